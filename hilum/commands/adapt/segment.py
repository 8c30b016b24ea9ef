"""`hilum adapt segment`: an encoder and films with masks to a model that draws them."""

from __future__ import annotations

from typing import Literal

from hilum.commands.adapt import run_task


def segment(
    *,
    encoder: str,
    data: str,
    labels: tuple[str, ...],
    out: str,
    preset: str | None = None,
    masks: str | None = None,
    runs: Literal["relative", "absolute"] | None = None,
    mask_size: tuple[int, int] | None = None,
    head: Literal["upernet", "medim"] | None = None,
    width: int | None = None,
    auxiliary_width: int | None = None,
    dropout: float | None = None,
    decoder: tuple[int, ...] = (),
    decoder_start: Literal["pretrained", "fresh"] | None = None,
    loss: Literal["focal-dice", "focal-log-dice"] | None = None,
    weights: Literal["pretrained", "random"] | None = None,
    views: tuple[str, ...] = (),
    fraction: float | None = None,
    balance: bool | None = None,
    size: int | None = None,
    resize: Literal["pad", "squeeze"] | None = None,
    crop: float | None = None,
    flip: float | None = None,
    rotate: float | None = None,
    contrast: float | None = None,
    brightness: float | None = None,
    epochs: float | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    warmup_steps: int | None = None,
    decay: Literal["cosine", "poly", "constant"] | None = None,
    optimizer: Literal["adamw", "sgd"] | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
    layer_decay: float | None = None,
    drop_path: float | None = None,
    layer_scale: float | None = None,
    evaluate_every: int | None = None,
    select: Literal["pooled", "positive", "all", "loss"] | None = None,
    threshold: Literal["validation", "given"] | None = None,
    precision: Literal["fp32", "bf16", "fp16"] | None = None,
    seed: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
    resume: bool = False,
    dry_run: bool = False,
) -> str:
    """Train a model that draws masks of findings; OUT/model is the best one on validation.

    Args:
        encoder: a pretraining run, an encoder folder, or a released file; of any family.
        data: folder with a manifest that has splits; a label of 0 is an empty mask, a blank one is unknown.
        labels: whose masks, e.g. Pneumothorax,Effusion.
        out: the run folder; new or empty.
        preset: a protocol of a paper by name: mrm-siim, maco-siim, medim-siim; options given beside it come first.
        masks: folder of PNG (ID.Finding.png), COCO JSON with run lengths, or SIIM's CSV; default DATA/masks.
        runs: how a CSV counts: relative to the end of the last run (default; SIIM), or absolute from 1.
        mask_size: rows and columns of the masks in a CSV; default 1024,1024.
        head: upernet (default) on four depths of the encoder, or medim: the decoder that restored films in pretraining.
        width: upernet: features of every level; default the encoder's, at most 768; 64 is quick on a CPU.
        auxiliary_width: upernet: of the auxiliary head; 0 leaves it out.
        dropout: upernet: before the last convolution; default 0.1.
        decoder: medim: features after each block; default those of the pretraining run.
        decoder_start: medim: pretrained (default) where the encoder comes with a decoder, or fresh.
        loss: focal-dice (MRM; default of upernet) or focal-log-dice (MedIM; default of medim).
        weights: random trains the same network without pretraining, to compare.
        views: only films with these view positions, e.g. PA,AP.
        fraction: share of the training patients, e.g. 0.01, 0.1; nested for one seed.
        balance: train on all films with a mask and as many without.
        size: pixels a side of the network's input; default the encoder's.
        resize: pad (keep the film's shape, on black) or squeeze; default as the encoder.
        crop: smallest share of the film that a view keeps; default 0.6; 1 is the whole film.
        flip: probability of a mirrored view; default 0.5.
        rotate: largest angle in degrees; default 10.
        contrast: largest departure of the factor from 1; default 0.2.
        brightness: largest shift as a share of full range; default 0.1.
        epochs: passes over the training films; default 50.
        steps: optimizer steps, instead of epochs.
        batch_size: films a step, 2 or more; default 8.
        lr: peak learning rate; default 1e-4.
        warmup_steps: default 5 % of the run.
        decay: of the learning rate: cosine (default), poly (a straight line) or constant.
        optimizer: adamw (default) or sgd.
        momentum: sgd's; default 0.9.
        weight_decay: default 0.05.
        layer_decay: learning rate times this per layer below the head; default 0.75, from random weights 1.
        drop_path: stochastic depth of the last block; default 0.1.
        layer_scale: add a LayerScale of this start to the encoder; default none.
        evaluate_every: steps between looks at the validation films; default an epoch, at most twenty a run.
        select: what chooses the weights on validation: pooled Dice (default), that of positive films, of all, or loss.
        threshold: validation (default) chooses threshold and smallest area there; given: 0.5 and none.
        precision: arithmetic of the forward pass.
        seed: key of every random draw.
        device: cpu, cuda, or whichever is there.
        workers: loader processes.
        resume: go on with the run in --out.
        dry_run: check everything, print the resolved configuration and stop.
    """
    return run_task("segment", segment, locals())
