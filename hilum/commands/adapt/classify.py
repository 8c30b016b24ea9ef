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
    pool: Literal["cls", "mean", "cls+mean"] | None = None,
    policy: str | None = None,
    targets: Literal["multilabel", "multiclass"] | None = None,
    weights: Literal["pretrained", "random"] | None = None,
    views: tuple[str, ...] = (),
    epochs: int | None = None,
    batch_size: int | None = None,
    lrs: tuple[float, ...] = (),
    grid: Literal["default", "chexfound-paper", "chexfound-released"] | None = None,
    loss_sum: bool | None = None,
    second_round: Literal["none", "fresh", "warm"] | None = None,
    features: str | None = None,
    token_memory: float | None = None,
    weight_decay: float | None = None,
    label_smoothing: float | None = None,
    layer_decay: float | None = None,
    drop_path: float | None = None,
    mixup: float | None = None,
    start: Literal["probe", "fresh"] | None = None,
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
        labels: findings to classify, e.g. Cardiomegaly,Effusion.
        out: the run folder; new or empty.
        preset: a protocol of a paper by name, e.g. chexfound-glori; options given beside it come first.
        head: linear (default) or mlp on pooled tokens; glori or chexfound-probe on the tokens of the last blocks.
        head_variant: glori: hilum, paper, released, or released-patches, which has no class token.
        head_set: further options of the head, e.g. --head-set.dim 96.
        blocks: glori, chexfound-probe: how many blocks of the encoder are read; default 4, or all if fewer.
        mode: frozen (default) encodes each film once and trains heads on the features; finetune trains all weights.
        fraction: share of the training patients, e.g. 0.01, 0.1; default 1; nested for one seed.
        pool: what stands for a film: class token, mean of patch tokens (default), or both.
        policy: uncertain labels (-1) as ones, zeros or ignore (default); also by finding, e.g. zeros,Edema=ones.
        targets: independent findings (default), or classes of which exactly one holds.
        weights: random trains the same network without pretraining, to compare.
        views: only films with these view positions, e.g. PA,AP.
        epochs: passes over the training films; default 50.
        batch_size: films a step; default 256 frozen, 16 finetune.
        lrs: learning rates; a grid trained at once when frozen, one peak rate for finetune.
        grid: frozen: rates by name, where --lrs gives none: the head's own, or CheXFound's 9 (paper) or 13 (released).
        loss_sum: frozen: sum the loss over a batch's labels, as CheXFound, instead of averaging it.
        second_round: frozen: train again on train and val at the best rate, from a fresh head or going on warm.
        features: frozen: a folder of `hilum embed` to read instead of running the encoder.
        token_memory: frozen: GiB of tokens held in memory; more are read or computed again every epoch; default 2.
        weight_decay: AdamW's; default 0.01 frozen (0.0001 for glori and chexfound-probe), 0.05 finetune.
        label_smoothing: default 0 frozen, 0.1 finetune.
        layer_decay: finetune: learning rate times this per layer below the head; default 0.75, from random weights 1.
        drop_path: finetune: stochastic depth of the last block; default 0.1.
        mixup: finetune: alpha of the Beta distribution; 0, the default, is off.
        start: finetune: the head starts as the best probe on frozen features (default), or fresh as in MAE.
        precision: finetune: arithmetic of the forward pass.
        seed: key of every random draw; default 0.
        device: cpu, cuda, or whichever is there.
        workers: loader processes.
        resume: go on with the run in --out.
        dry_run: check everything, print the resolved configuration and stop.
    """
    return run_task("classify", classify, locals())
