"""`hilum adapt`: an encoder and labelled films to a classifier."""

from __future__ import annotations

from typing import Literal


def adapt(
    task: Literal["classify"],
    *,
    encoder: str,
    data: str,
    labels: tuple[str, ...],
    out: str,
    head: str = "linear",
    mode: Literal["frozen", "finetune"] = "frozen",
    fraction: float = 1.0,
    pool: Literal["cls", "mean", "cls+mean"] = "mean",
    policy: str = "ignore",
    targets: Literal["multilabel", "multiclass"] = "multilabel",
    weights: Literal["pretrained", "random"] = "pretrained",
    views: tuple[str, ...] = (),
    epochs: int = 50,
    batch_size: int | None = None,
    lrs: tuple[float, ...] = (),
    weight_decay: float | None = None,
    label_smoothing: float | None = None,
    layer_decay: float | None = None,
    drop_path: float = 0.1,
    mixup: float = 0.0,
    start: Literal["probe", "fresh"] = "probe",
    precision: Literal["fp32", "bf16", "fp16"] = "fp32",
    seed: int = 0,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
    resume: bool = False,
    dry_run: bool = False,
) -> str:
    """Train a classifier on an encoder; the weights with the best validation AUROC are kept in OUT/model.

    Args:
        task: what is learned.
        encoder: a pretraining run, an encoder folder, or a released MAE file.
        data: folder with a manifest that has splits and label columns.
        labels: findings to classify, e.g. Cardiomegaly,Effusion.
        out: the run folder; new or empty.
        head: linear or mlp.
        mode: frozen encodes each film once and trains heads on the features; finetune trains all weights.
        fraction: share of the training patients, e.g. 0.01, 0.1; nested for one seed.
        pool: what stands for a film: class token, mean of patch tokens, or both.
        policy: uncertain labels (-1) as ones, zeros or ignore; also by finding, e.g. zeros,Edema=ones.
        targets: independent findings, or classes of which exactly one holds.
        weights: random trains the same network without pretraining, to compare.
        views: only films with these view positions, e.g. PA,AP.
        epochs: passes over the training films.
        batch_size: films a step; default 256 frozen, 16 finetune.
        lrs: learning rates; a grid trained at once when frozen, one peak rate for finetune.
        weight_decay: AdamW's; default 0.01 frozen, 0.05 finetune.
        label_smoothing: default 0 frozen, 0.1 finetune.
        layer_decay: finetune: learning rate times this per layer below the head; default 0.75, from random weights 1.
        drop_path: finetune: stochastic depth of the last block.
        mixup: finetune: alpha of the Beta distribution; 0 is off.
        start: finetune: the head starts as the best probe on frozen features, or fresh as in MAE.
        precision: finetune: arithmetic of the forward pass.
        seed: key of every random draw.
        device: cpu, cuda, or whichever is there.
        workers: loader processes.
        resume: go on with the run in --out.
        dry_run: check everything, print the resolved configuration and stop.
    """
    given = dict(locals())
    import sys

    from hilum.evaluation.adaptation import Options, make_plan

    plan = make_plan(Options(**{name: given[name] for name in Options.__dataclass_fields__}))
    if dry_run:
        import json

        sys.stdout.write(json.dumps(plan.to_json(), indent=2) + "\n")
        return out
    from hilum.evaluation.features import Runner
    from hilum.evaluation.run import run_adaptation

    record = run_adaptation(plan, out, resume=resume, runner=Runner(device=device, workers=workers))
    sys.stdout.write(f"validation AUROC {record.validation['auroc']:.3f}; next: hilum evaluate {out} --data {data}\n")
    return out
