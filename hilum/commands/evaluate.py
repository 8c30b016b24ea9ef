"""`hilum evaluate`: a trained model and films it has never seen, to results with intervals."""

from __future__ import annotations

from typing import Literal


def evaluate(
    run: str,
    *,
    data: str,
    split: Literal["train", "val", "test"] = "test",
    out: str | None = None,
    draws: int = 1000,
    seed: int = 0,
    views: tuple[str, ...] = (),
    baselines: tuple[str, ...] = (),
    cuts: tuple[float, ...] = (),
    masks: str | None = None,
    boxes: str | None = None,
    beside: tuple[str, ...] = (),
    allow_train: bool = False,
    batch_size: int = 64,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
) -> str:
    """Judge a run of `hilum adapt` on the patients of a split; writes results.html, .md, .json and the tables behind.

    Args:
        run: the run folder of `hilum adapt`, whatever its task.
        data: folder with a manifest.
        split: whose films are judged.
        out: folder for the results; default RUN/evaluate-<split>-<start of the data's digest>.
        draws: patients are drawn this often for the intervals.
        seed: of the draws.
        views: only films with these view positions; default those of training.
        baselines: what the model must beat, e.g. metadata,hog; default all that the task knows; none for none.
        cuts: classify: shares of training films at which findings are binned by prevalence; default 0.01,0.1.
        masks: segment: the true masks, as in training; default DATA/masks, else where the run found its own.
        boxes: detect: the true boxes, as in training; default DATA/boxes.json, else where the run found its own.
        beside: segment: further runs, whose masks are drawn beside this one's.
        allow_train: judge on patients of the training all the same; the page says so.
        batch_size: films a forward pass.
        device: cpu, cuda, or whichever is there.
        workers: loader processes.
    """
    given = dict(locals())
    import inspect
    import shlex
    import sys

    from hilum.commands.arguments import as_words
    from hilum.errors import ConfigError
    from hilum.evaluation.features import Runner
    from hilum.evaluation.tasks import task_of

    judge_run = task_of(run).judge_run
    special = {name: given[name] for name in ("cuts", "masks", "boxes", "beside") if given[name]}
    if foreign := sorted(set(special) - set(inspect.signature(judge_run).parameters)):
        raise ConfigError("says nothing to a run of this task", where=foreign[0], fix="Leave it out")
    judged = judge_run(
        run,
        data,
        split=split,
        out=out,
        draws=draws,
        seed=seed,
        views=views,
        baselines=() if baselines == ("none",) else baselines or None,
        allow_train=allow_train,
        runner=Runner(device=device, batch_size=batch_size, workers=workers),
        command=f"hilum {shlex.join(as_words(evaluate, given))}",
        **special,
    )
    sys.stdout.write("\n".join([*judged.lines, str(judged.page)]) + "\n")
    return str(judged.folder)
