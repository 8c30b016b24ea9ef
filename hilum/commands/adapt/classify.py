"""`hilum adapt classify`: an encoder and films with labels to a classifier."""

from __future__ import annotations

from typing import Any, Literal

from hilum.commands.adapt import run_task


def classify(
    *,
    encoder: str,
    data: str,
    labels: tuple[str, ...] = (),
    out: str,
    preset: str | None = None,
    head: str | None = None,
    head_variant: str | None = None,
    head_set: dict[str, Any] | None = None,
    blocks: int | None = None,
    mode: Literal["frozen", "finetune"] | None = None,
    fraction: float | None = None,
    fraction_unit: Literal["patient", "image"] | None = None,
    fraction_seed: int | None = None,
    shots: int | None = None,
    pool: Literal["cls", "mean", "cls+mean"] | None = None,
    policy: str | None = None,
    targets: Literal["multilabel", "multiclass"] | None = None,
    weights: Literal["pretrained", "random"] | None = None,
    views: tuple[str, ...] = (),
    epochs: int | None = None,
    steps: int | None = None,
    warmup: float | None = None,
    batch_size: int | None = None,
    lrs: tuple[float, ...] = (),
    grid: Literal["default", "chexfound-paper", "chexfound-released"] | None = None,
    decay: Literal["cosine", "poly", "constant"] | None = None,
    optimizer: Literal["adamw", "sgd"] | None = None,
    momentum: float | None = None,
    clip_norm: float | None = None,
    loss: Literal["bce", "class-balanced", "asymmetric"] | None = None,
    loss_set: dict[str, Any] | None = None,
    loss_sum: bool | None = None,
    second_round: Literal["none", "fresh", "warm"] | None = None,
    features: str | None = None,
    token_memory: float | None = None,
    weight_decay: float | None = None,
    label_smoothing: float | None = None,
    layer_decay: float | None = None,
    drop_path: float | None = None,
    mixup: float | None = None,
    augment: Literal["none", "weak", "mrm", "cxrbase", "chexfound", "medim"] | None = None,
    augment_set: dict[str, Any] | None = None,
    freeze: bool | None = None,
    train_positions: bool | None = None,
    start: Literal["probe", "fresh"] | None = None,
    select: Literal["auroc", "loss"] | None = None,
    evaluate_every: float | None = None,
    threshold: str | None = None,
    calibrate: Literal["none", "temperature", "platt"] | None = None,
    precision: Literal["fp32", "bf16", "fp16"] | None = None,
    seed: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
    resume: bool = False,
    dry_run: bool = False,
) -> str:
    """Train a classifier on an encoder; OUT/model is the best one on validation.

    Args:
        encoder: a pretraining run, an encoder folder, or a released MAE file.
        data: folder with a manifest that has splits and label columns.
        labels: findings to classify, e.g. Cardiomegaly,Effusion; NoFinding is derived where the table has none.
        out: the run folder; new or empty.
        preset: a protocol of a paper by name, e.g. chexfound-glori; options given beside it come first.
        head: linear (default) or mlp on pooled tokens; glori or chexfound-probe on the tokens of the last blocks.
        head_variant: glori: hilum, paper, released, or released-patches, which has no class token.
        head_set: further options of the head, e.g. --head-set.dim 96.
        blocks: glori, chexfound-probe: how many blocks of the encoder are read; default 4, or all if fewer.
        mode: frozen (default) encodes each film once and trains heads on the features; finetune trains all weights.
        fraction: share of the training patients, e.g. 0.01, 0.1; default 1; nested for one seed.
        fraction_unit: image draws films instead of patients, as published tables do: a patient may be cut.
        fraction_seed: of the draw of --fraction or --shots, to repeat a run on the same films; default --seed.
        shots: this many positive patients a finding, and the negatives they need, in place of a fraction.
        pool: what stands for a film: class token, mean of patch tokens (default), or both.
        policy: uncertain labels (-1) as ones, zeros or ignore (default); by finding, e.g. zeros,Edema=ones; or a
            published rule: medim-chexpert, u-ones, u-zeros, u-ignore.
        targets: independent findings (default), or classes of which exactly one holds.
        weights: random trains the same network without pretraining, to compare.
        views: only films with these view positions, e.g. PA,AP.
        epochs: passes over the training films; default 50.
        steps: finetune: optimizer steps, in place of epochs.
        warmup: finetune: share of the run in which the rate rises; default 0.1.
        batch_size: films a step; default 256 frozen, 16 finetune.
        lrs: learning rates; a grid trained at once when frozen, one peak rate for finetune.
        grid: frozen: rates by name, where --lrs gives none: the head's own, or CheXFound's 9 (paper) or 13 (released).
        decay: of the rate after warm-up; poly (a straight line) is for finetune; default cosine.
        optimizer: finetune: adamw (default) or sgd.
        momentum: finetune: of SGD; default 0.9.
        clip_norm: finetune: the gradient norm is clipped to this; default not at all.
        loss: bce (default, cross-entropy), class-balanced (by effective number of films), asymmetric (multi-label).
        loss_set: options of the loss: beta; or positive, negative, margin, e.g. --loss-set.negative 2.
        loss_sum: frozen: sum the loss over a batch's labels, as CheXFound, instead of averaging it.
        second_round: frozen: train again on train and val at the best rate, from a fresh head or going on warm.
        features: frozen: a folder of `hilum embed` to read instead of running the encoder.
        token_memory: frozen: GiB of tokens held in memory; more are read or computed again every epoch; default 2.
        weight_decay: AdamW's; default 0.01 frozen (0.0001 for glori and chexfound-probe), 0.05 finetune.
        label_smoothing: default 0 frozen, 0.1 finetune.
        layer_decay: finetune: learning rate times this per layer below the head; default 0.75, from random weights 1.
        drop_path: finetune: stochastic depth of the last block; default 0.1.
        mixup: finetune: alpha of the Beta distribution; 0, the default, is off.
        augment: none (default frozen), weak (default finetune), or as in mrm, cxrbase, chexfound, medim; frozen,
            the encoder then runs every epoch.
        augment_set: options of the augmentation, e.g. --augment-set.flip 0.
        freeze: finetune: head and its norm alone learn.
        train_positions: finetune: a fixed table of positions learns too.
        start: finetune: the head starts as the best probe on frozen features (default), or fresh as in MAE.
        select: what chooses the weights on validation films: best macro AUROC (auroc, default), or lowest loss.
        evaluate_every: finetune: epochs between looks at the validation films; default one, or a twentieth of the run.
        threshold: chosen on validation: max-f1 (default), sensitivity=0.9 or specificity=0.9.
        calibrate: temperature or platt scaling of the scores, fitted on validation; default none.
        precision: finetune: arithmetic of the forward pass.
        seed: key of every random draw; default 0.
        device: cpu, cuda, or whichever is there.
        workers: loader processes.
        resume: go on with the run in --out.
        dry_run: check everything, print the resolved configuration and stop.
    """
    return run_task("classify", classify, locals())
