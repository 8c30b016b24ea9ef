"""`hilum adapt detect`: an encoder and films with boxes to a model that finds them."""

from __future__ import annotations

from typing import Any, Literal

from hilum.commands.adapt import run_task


def detect(
    *,
    encoder: str,
    data: str,
    labels: tuple[str, ...] = (),
    out: str,
    boxes: str | None = None,
    preset: str | None = None,
    readers: Literal["fuse", "keep"] | None = None,
    shots: int | None = None,
    fraction: float | None = None,
    views: tuple[str, ...] = (),
    weights: Literal["pretrained", "random"] | None = None,
    mode: Literal["finetune", "frozen"] | None = None,
    head_set: dict[str, Any] | None = None,
    size: int | None = None,
    most_found: int | None = None,
    flip: float | None = None,
    scale: tuple[float, float] | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    warmup: float | None = None,
    min_lr: float | None = None,
    weight_decay: float | None = None,
    layer_decay: float | None = None,
    drop_path: float | None = None,
    clip_norm: float | None = None,
    precision: Literal["fp32", "bf16"] | None = None,
    seed: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
    resume: bool = False,
    dry_run: bool = False,
) -> str:
    """Train a model that finds boxes of findings (LW-DETR on the encoder); OUT/model is the best one on validation.

    Args:
        encoder: a pretraining run, an encoder folder, or a released file; of any family.
        data: folder with a manifest that has splits; a film in the file of boxes, or with the label 0, is known.
        labels: whose boxes, e.g. Effusion,Mass; default all categories of the file.
        out: the run folder; new or empty.
        boxes: COCO .json, or a table .csv or .parquet; default DATA/boxes.json, .csv or .parquet.
        preset: a protocol of a paper by name: maco-rsna-boxes, cxrbase-50-shot; options given beside it come first.
        readers: boxes of several readers are fused to one reading (default: weighted box fusion), or all kept.
        shots: learn from this many training patients with each finding, and as many without; nested for one seed.
        fraction: share of the training patients, e.g. 0.01, 0.1; default 1; nested for one seed.
        views: only films with these view positions, e.g. PA,AP.
        weights: random trains the same network without pretraining, to compare.
        mode: finetune (default) trains the encoder too; frozen leaves it as it is.
        head_set: sizes of the decoder, e.g. --head-set.queries 100, .groups 13, .width 256, .scales [2.0,0.5].
        size: pixels a side of the network's input; default the encoder's.
        most_found: boxes said of a film at most; default 100.
        flip: probability of a mirrored view; default 0.
        scale: smallest and largest factor of a view; default 0.8,1.2.
        epochs: passes over the training films; default 50.
        steps: optimizer steps, instead of epochs.
        batch_size: films a step; default 16.
        lr: peak learning rate; default 2e-4.
        warmup: share of the run; default 0.05.
        min_lr: learning rate at the end of the cosine; default 0.
        weight_decay: AdamW's; default 0.05.
        layer_decay: learning rate times this per layer below the head; default 0.75, from random weights 1.
        drop_path: stochastic depth of the last block; default 0.1.
        clip_norm: the gradient's norm is cut to this; default 0.1.
        precision: arithmetic of the encoder's forward pass; the decoder computes in fp32.
        seed: key of every random draw.
        device: cpu, cuda, or whichever is there.
        workers: loader processes.
        resume: go on with the run in --out.
        dry_run: check everything, print the resolved configuration and stop.
    """
    return run_task("detect", detect, locals())
