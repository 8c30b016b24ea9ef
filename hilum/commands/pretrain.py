"""`hilum pretrain`: films to a pretrained encoder."""

from __future__ import annotations

from typing import Any, Literal


def pretrain(
    method: Literal["mae", "mrm", "maco", "medim", "dinov2"],
    *,
    data: str,
    out: str,
    preset: str | None = None,
    variant: str | None = None,
    model: str | None = None,
    size: int | None = None,
    init: str | None = None,
    init_text: str | None = None,
    views: tuple[str, ...] = (),
    where: str | None = None,
    data_fraction: float = 1.0,
    sections: tuple[str, ...] | None = None,
    tokenizer: str | None = None,
    vocabulary: int = 30000,
    epochs: float = 100.0,
    max_steps: int | None = None,
    batch_size: int = 256,
    micro_batch: int | None = None,
    lr: float | None = None,
    base_lr: float | None = None,
    warmup: float | None = None,
    weight_decay: float | None = None,
    clip_norm: float | None = None,
    ema_decay: float | None = None,
    precision: Literal["fp32", "bf16", "fp16"] = "fp32",
    compile: bool = False,
    seed: int = 0,
    workers: int = 0,
    devices: int = 1,
    nodes: int = 1,
    strategy: Literal["ddp", "fsdp2"] = "ddp",
    accelerator: Literal["auto", "cpu", "cuda"] = "auto",
    save_every: int | None = None,
    keep_checkpoints: int = 2,
    probe: bool = True,
    set: dict[str, Any] | None = None,
    resume: bool = False,
    dry_run: bool = False,
) -> str:
    """Pretrain an encoder on the training films of a manifest; RUN/encoder is what `hilum.load` reads.

    Args:
        method: the objective; mae and dinov2 learn from films, mrm, maco and medim from films and their reports.
        data: folder with a manifest (from `hilum prepare`, or written by hand).
        out: the run folder; new or empty.
        preset: a published configuration of the method by name, e.g. cxrbase.
        variant: of all but mae: paper or released, where these disagree; ours (hilum) if omitted.
        model: backbone by name, e.g. vit_base_patch16.
        size: pixels a side of the training image.
        init: start from this encoder, run or released file (MAE, MRM, MaCo, CheXFound, timm's ViT) instead of random
            weights; a dinov2 run hands on student, teacher and heads, e.g. as the stage before a larger --size.
        init_text: start the report encoder from this BERT folder, or run of ours; its tokenizer is used too.
        views: only films with these view positions, e.g. PA,AP.
        where: only films whose manifest columns meet these conditions, e.g. --where "view_position=PA,AP; age>=18".
        data_fraction: share of the training patients, e.g. 0.2; for one seed smaller shares lie inside larger ones.
        sections: parts of the report to read, in this order, e.g. impression,findings; the method's own if omitted.
        tokenizer: tokenizer.json, vocab.txt or a BERT folder; one is trained on the training reports if omitted.
        vocabulary: most entries of a tokenizer that is trained.
        epochs: passes over the films; fractions are allowed.
        max_steps: stop after this many optimizer steps.
        batch_size: films per optimizer step over all devices.
        micro_batch: films per device per forward pass; the rest is gradient accumulation.
        lr: peak learning rate; default base_lr * batch_size / 256, dinov2 base_lr * sqrt(batch_size / 1024).
        base_lr: learning rate that this rule starts from; default 1.5e-4, dinov2 2e-4.
        warmup: share of the run with rising learning rate; default 0.05, dinov2 0.1.
        weight_decay: AdamW's, none on biases and norms; default 0.05, dinov2 0.04 rising to 0.2.
        clip_norm: clip the gradient norm to this; default none, dinov2 3.
        ema_decay: export a moving average of the weights with this decay.
        precision: arithmetic of the forward pass; weights stay in fp32.
        compile: torch.compile (GPUs).
        seed: key of every random draw.
        workers: loader processes per device.
        devices: devices on this machine.
        nodes: machines, under torchrun or SLURM.
        strategy: how several devices share the work.
        accelerator: cpu, cuda, or whichever is there.
        save_every: optimizer steps between checkpoints.
        keep_checkpoints: how many to keep.
        probe: judge the encoder on the validation labels at every checkpoint, where there are any.
        set: further options of the method, e.g. --set.mask_ratio 0.6.
        resume: go on with the run in --out, bit for bit where it stopped.
        dry_run: print the resolved configuration and stop.
    """
    given = dict(locals())
    import os
    import sys

    from hilum.config import TrainSettings
    from hilum.distributed import in_process_group, launch_children, process_rank
    from hilum.pretraining import make_plan, run_pretraining

    named = {"model": model, "image_size": size, "sections": sections}
    own = {name: value for name, value in named.items() if value is not None}
    kept = f"{out}/tokenizer.json"
    if resume and os.path.isfile(kept):
        tokenizer = kept
    settings = {
        name: value for name, value in given.items() if name in TrainSettings.__dataclass_fields__ and value is not None
    }
    plan = make_plan(
        method,
        data,
        preset=preset,
        variant=variant,
        method_options={**own, **(set or {})},
        settings=settings,
        views=views,
        where=[condition.strip() for condition in (where or "").split(";") if condition.strip()],
        data_fraction=data_fraction,
        init=init,
        init_text=init_text,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
    )
    if dry_run:
        import json

        sys.stdout.write(json.dumps(plan.to_json(), indent=2) + "\n")
    elif devices > 1 and not in_process_group():
        from hilum.commands.arguments import as_words

        launch_children(as_words(pretrain, given), devices)
    else:
        if process_rank() == 0:
            sys.stdout.writelines(f"{line}\n" for line in plan.counts)
        run_pretraining(plan, out, resume=resume, probe=probe)
        if process_rank() == 0:
            sys.stdout.write(
                f"encoder in {out}/encoder; next: hilum adapt classify --encoder {out} --data {data} ...\n"
            )
    return out
