"""`hilum adapt`: an encoder and films with labels to a classifier, with follow-up to a model of risk."""

from __future__ import annotations

from typing import Any, Literal


def adapt(
    task: Literal["classify", "survive"],
    *,
    encoder: str,
    data: str,
    labels: tuple[str, ...] = (),
    out: str,
    endpoints: tuple[str, ...] = (),
    horizon: float | None = None,
    form: Literal["cox", "discrete", "binary"] = "cox",
    reduce: Literal["first", "last", "mean"] = "first",
    threshold: Literal["median", "youden"] = "median",
    covariates: tuple[str, ...] = (),
    intervals: int = 10,
    head: str = "linear",
    head_variant: str | None = None,
    head_set: dict[str, Any] | None = None,
    blocks: int | None = None,
    mode: Literal["frozen", "finetune"] = "frozen",
    fraction: float = 1.0,
    pool: Literal["cls", "mean", "cls+mean"] = "mean",
    policy: str = "ignore",
    targets: Literal["multilabel", "multiclass"] = "multilabel",
    weights: Literal["pretrained", "random"] = "pretrained",
    views: tuple[str, ...] = (),
    epochs: int | None = None,
    batch_size: int | None = None,
    lrs: tuple[float, ...] = (),
    grid: Literal["default", "chexfound-paper", "chexfound-released"] = "default",
    loss_sum: bool = False,
    second_round: Literal["none", "fresh", "warm"] = "none",
    features: str | None = None,
    token_memory: float = 2.0,
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
    """Train a classifier, or a model of risk over time, on an encoder; OUT/model is the best one on validation.

    Args:
        task: what is learned: classify findings, or survive: risk over time.
        encoder: a pretraining run, an encoder folder, or a released MAE file.
        data: folder with a manifest that has splits and label columns.
        labels: findings to classify, e.g. Cardiomegaly,Effusion; survive: findings learned beside the endpoints.
        out: the run folder; new or empty.
        endpoints: survive: which columns time.* and event.*, e.g. Death,HeartFailure.
        horizon: survive: days at which risk is asked for, e.g. 1825.
        form: survive: Cox, discrete time, or the plain binary question at the horizon.
        reduce: survive: which of a person's films counts: first, last, or the mean score.
        threshold: survive: where high risk begins, on validation: median or Youden's.
        covariates: survive: manifest columns learned from beside the film, e.g. age,sex.
        intervals: survive, discrete: parts into which the training events are cut.
        head: linear or mlp on pooled tokens; glori or chexfound-probe on the tokens of the last blocks.
        head_variant: glori: hilum, paper, released, or released-patches, which has no class token.
        head_set: further options of the head, e.g. --head-set.dim 96.
        blocks: glori, chexfound-probe: how many blocks of the encoder are read; default 4, or all if fewer.
        mode: frozen encodes each film once and trains heads on the features; finetune trains all weights.
        fraction: share of the training patients, e.g. 0.01, 0.1; nested for one seed.
        pool: what stands for a film: class token, mean of patch tokens, or both.
        policy: uncertain labels (-1) as ones, zeros or ignore; also by finding, e.g. zeros,Edema=ones.
        targets: independent findings, or classes of which exactly one holds.
        weights: random trains the same network without pretraining, to compare.
        views: only films with these view positions, e.g. PA,AP.
        epochs: passes over the training films; default 50, for Cox on the whole training set at once 100.
        batch_size: films a step; default 256 frozen, 16 finetune, for Cox on pooled features all of them.
        lrs: learning rates; a grid trained at once when frozen, one peak rate for finetune.
        grid: frozen: rates by name, where --lrs gives none: the head's own, or CheXFound's 9 (paper) or 13 (released).
        loss_sum: frozen: sum the loss over a batch's labels, as CheXFound, instead of averaging it.
        second_round: frozen: train again on train and val at the best rate, from a fresh head or going on warm.
        features: frozen: a folder of `hilum embed` to read instead of running the encoder.
        token_memory: frozen: GiB of tokens held in memory; more are read or computed again every epoch.
        weight_decay: AdamW's; default 0.01 frozen (0.0001 for glori and chexfound-probe), 0.05 finetune.
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

    from hilum.commands.arguments import options_of

    if task == "survive":
        from hilum.evaluation.features import Runner
        from hilum.evaluation.survival import plan as survival

        risk_plan = survival.make_plan(options_of(survival.Options, adapt, given))
        if dry_run:
            import json

            sys.stdout.write(json.dumps(risk_plan.to_json(), indent=2) + "\n")
            return out
        from hilum.evaluation.survival.run import result_name, run_survival

        risk = run_survival(risk_plan, out, resume=resume, runner=Runner(device=device, workers=workers))
        found = f"{result_name(risk)} {risk.validation['value']:.3f}"
        sys.stdout.write(f"validation {found}; next: hilum evaluate {out} --data {data}\n")
        return out
    from hilum.evaluation.adaptation import Options, make_plan

    plan = make_plan(options_of(Options, adapt, given))
    if dry_run:
        import json

        sys.stdout.write(json.dumps(plan.to_json(), indent=2) + "\n")
        return out
    from hilum.evaluation.features import Runner
    from hilum.evaluation.run import run_adaptation

    record = run_adaptation(plan, out, resume=resume, runner=Runner(device=device, workers=workers))
    sys.stdout.write(f"validation AUROC {record.validation['auroc']:.3f}; next: hilum evaluate {out} --data {data}\n")
    return out
