"""`hilum adapt survive`: an encoder and films with follow-up to a model of risk over time."""

from __future__ import annotations

from typing import Any, Literal

from hilum.commands.adapt import run_task


def survive(
    *,
    encoder: str,
    data: str,
    endpoints: tuple[str, ...],
    out: str,
    preset: str | None = None,
    horizon: float | None = None,
    form: Literal["cox", "discrete", "binary"] | None = None,
    reduce: Literal["first", "last", "mean"] | None = None,
    threshold: Literal["median", "youden"] | None = None,
    covariates: tuple[str, ...] = (),
    intervals: int | None = None,
    labels: tuple[str, ...] = (),
    head: str | None = None,
    head_variant: str | None = None,
    head_set: dict[str, Any] | None = None,
    blocks: int | None = None,
    pool: Literal["cls", "mean", "cls+mean"] | None = None,
    policy: str | None = None,
    weights: Literal["pretrained", "random"] | None = None,
    views: tuple[str, ...] = (),
    epochs: int | None = None,
    batch_size: int | None = None,
    lrs: tuple[float, ...] = (),
    grid: Literal["default", "chexfound-paper", "chexfound-released"] | None = None,
    features: str | None = None,
    token_memory: float | None = None,
    weight_decay: float | None = None,
    seed: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
    resume: bool = False,
    dry_run: bool = False,
) -> str:
    """Train a model of risk over time on an encoder; OUT/model is the best one on validation.

    Args:
        encoder: a pretraining run, an encoder folder, or a released MAE file.
        data: folder with a manifest that has splits, follow-up and perhaps label columns.
        endpoints: which columns time.* and event.*, e.g. Death,HeartFailure.
        out: the run folder; new or empty.
        preset: a protocol of a paper by name, e.g. chexfound-mortality; options given beside it come first.
        horizon: days at which risk is asked for, e.g. 1825.
        form: Cox (default), discrete time, or the plain binary question at the horizon.
        reduce: which of a person's films counts: first (default), last, or the mean score.
        threshold: where high risk begins, on validation: median (default) or Youden's.
        covariates: manifest columns learned from beside the film, e.g. age,sex.
        intervals: discrete: parts into which the training events are cut; default 10.
        labels: findings learned beside the endpoints.
        head: linear (default) or mlp on pooled tokens; glori or chexfound-probe on the tokens of the last blocks.
        head_variant: glori: hilum, paper, released, or released-patches, which has no class token.
        head_set: further options of the head, e.g. --head-set.dim 96.
        blocks: glori, chexfound-probe: how many blocks of the encoder are read; default 4, or all if fewer.
        pool: what stands for a film: class token, mean of patch tokens, or both.
        policy: uncertain labels (-1) as ones, zeros or ignore; also by finding, e.g. zeros,Edema=ones.
        weights: random trains the same network without pretraining, to compare.
        views: only films with these view positions, e.g. PA,AP.
        epochs: passes over the training films; default 50, for Cox on the whole training set at once 100.
        batch_size: films a step; default 256, for Cox on pooled features all of them.
        lrs: learning rates; a grid trained at once.
        grid: rates by name, where --lrs gives none: the head's own, or CheXFound's 9 (paper) or 13 (released).
        features: a folder of `hilum embed` to read instead of running the encoder.
        token_memory: GiB of tokens held in memory; more are read or computed again every epoch.
        weight_decay: AdamW's; default 0.01, 0.0001 for glori and chexfound-probe.
        seed: key of every random draw.
        device: cpu, cuda, or whichever is there.
        workers: loader processes.
        resume: go on with the run in --out.
        dry_run: check everything, print the resolved configuration and stop.
    """
    return run_task("survive", survive, locals())
