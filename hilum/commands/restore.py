"""`hilum restore`: hide part of films and reports and let a run of MRM restore them."""

from __future__ import annotations

from typing import Literal


def restore(
    run: str,
    *,
    data: str,
    out: str,
    split: Literal["train", "val", "test"] = "test",
    views: tuple[str, ...] = (),
    report_alone: str | None = None,
    mask_ratio: float | None = None,
    terms: str | None = None,
    reference: int = 2000,
    examples: int = 4,
    draws: int = 1000,
    seed: int = 0,
    batch_size: int = 64,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
) -> str:
    """Count which hidden words come back; writes results.html, .md, .json, words.parquet and restored.png.

    Args:
        run: the run folder of `hilum pretrain mrm`, or one of its checkpoints.
        data: folder with a manifest that has reports.
        out: folder for the results; new or empty.
        split: whose films and reports are hidden and restored.
        views: only films with these view positions, e.g. PA,AP.
        report_alone: a second run to compare with, trained with --set.image_vector_on=none and the same tokenizer.
        mask_ratio: share of the film's patches that are hidden; default the run's own, 0 shows the whole film.
        terms: word list whose words are also counted apart; default our own of anatomy, findings, devices and places.
        reference: training films, at most, whose mean vector stands for no film in particular.
        examples: restored records to show; 0 for none.
        draws: patients are drawn this often for the intervals.
        seed: of masks, examples and draws.
        batch_size: films a forward pass.
        device: cpu, cuda, or whichever is there.
        workers: loader processes.
    """
    given = dict(locals())
    import shlex
    import sys
    from pathlib import Path

    from hilum.commands.arguments import as_words
    from hilum.errors import ConfigError
    from hilum.evaluation.features import Runner
    from hilum.evaluation.restore import Restoration, run_restoration
    from hilum.methods.mrm import MRM
    from hilum.pretraining import load_method
    from hilum.results.restoration import summary_lines

    models = [load_method(source) if source is not None else None for source in (run, report_alone)]
    for source, model in zip((run, report_alone), models, strict=True):
        if model is not None and not isinstance(model, MRM):
            raise ConfigError("is no run of mrm", where=source, fix="Give the folder of `hilum pretrain mrm`")
    method, alone = models
    assert isinstance(method, MRM)
    results = run_restoration(
        method,
        data,
        out,
        Restoration(**{name: given[name] for name in Restoration.__dataclass_fields__}),
        report_alone=alone,
        runner=Runner(device=device, batch_size=batch_size, workers=workers),
        command=f"hilum {shlex.join(as_words(restore, given))}",
        source=run,
    )
    sys.stdout.write("\n".join([*summary_lines(results), str(Path(out) / "results.html")]) + "\n")
    return out
