"""`hilum evaluate`: a classifier or a model of risk, and films it has never seen, to results with intervals."""

from __future__ import annotations

from typing import Any, Literal


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
    allow_train: bool = False,
    batch_size: int = 64,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
) -> str:
    """Judge a run of `hilum adapt` on the patients of a split; writes results.html, .md, .json and predictions.parquet.

    Args:
        run: the run folder of `hilum adapt`: a classifier, or a model of risk over time.
        data: folder with a manifest.
        split: whose films are judged.
        out: folder for the results; default RUN/evaluate-<split>-<start of the data's digest>.
        draws: patients are drawn this often for the intervals.
        seed: of the draws.
        views: only films with these view positions; default those of training.
        baselines: classifier: what a network must beat, beside the result: metadata, hog.
        allow_train: judge on patients of the training all the same; the page says so.
        batch_size: films a forward pass.
        device: cpu, cuda, or whichever is there.
        workers: loader processes.
    """
    given = dict(locals())
    import shlex
    import sys

    from hilum.commands.arguments import as_words
    from hilum.evaluation.features import Runner
    from hilum.evaluation.judge import judge
    from hilum.evaluation.predict import summary
    from hilum.evaluation.survival.model import is_risk_run

    runner = Runner(device=device, batch_size=batch_size, workers=workers)
    command = f"hilum {shlex.join(as_words(evaluate, given))}"
    asked: dict[str, Any] = {
        "split": split, "out": out, "draws": draws, "seed": seed, "views": views, "allow_train": allow_train,
        "runner": runner, "command": command,
    }  # fmt: skip
    if is_risk_run(run):
        from hilum.errors import ConfigError
        from hilum.evaluation.survival.judge import judge_risk

        if baselines:
            raise ConfigError("a model of risk is judged without baselines", where="baselines", fix="Leave it out")
        risk = judge_risk(run, data, **asked)
        sys.stdout.write("\n".join([*risk.lines, str(risk.page)]) + "\n")
        return str(risk.folder)
    judged = judge(run, data, baselines=baselines, **asked)
    sys.stdout.write(f"{summary(judged.results)}\n{judged.page}\n")
    return str(judged.folder)
