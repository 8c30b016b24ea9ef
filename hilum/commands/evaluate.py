"""`hilum evaluate`: a classifier and films it has never seen to results with intervals."""

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
    allow_train: bool = False,
    batch_size: int = 64,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
) -> str:
    """Judge a classifier on the patients of a split; writes results.html, .md, .json and predictions.parquet.

    Args:
        run: the run folder of `hilum adapt`.
        data: folder with a manifest.
        split: whose films are judged.
        out: folder for the results; default RUN/evaluate-<split>-<start of the data's digest>.
        draws: patients are drawn this often for the intervals.
        seed: of the draws.
        views: only films with these view positions; default those of training.
        baselines: what a network must beat, beside the result: metadata, hog.
        allow_train: judge on patients of the training all the same; the page says so.
        batch_size: films a forward pass.
        device: cpu, cuda, or whichever is there.
        workers: loader processes.
    """
    given = dict(locals())
    import shlex
    import sys
    from pathlib import Path

    from hilum.commands.arguments import as_words
    from hilum.evaluate.baseline_scores import baseline_scores, check_baselines
    from hilum.evaluate.classifier import load_classifier
    from hilum.evaluate.features import Runner
    from hilum.evaluate.predict import films_to_judge, page_context, predict, summary
    from hilum.evaluate.run import trained_patients
    from hilum.manifest import Manifest
    from hilum.results import against_baselines, classification_results, write_results
    from hilum.run_folder import RunFolder

    check_baselines(baselines)
    if out is not None:
        RunFolder(out)  # refuses a folder with something in it
    trained, manifest, patients = load_classifier(run), Manifest.read(data), trained_patients(run)
    films = films_to_judge(trained.record, manifest, split, views=views, patients=patients, allow_train=allow_train)
    table = predict(trained, films, runner=Runner(device=device, batch_size=batch_size, workers=workers))
    results = classification_results(
        table,
        thresholds=trained.record.thresholds,
        draws=draws,
        seed=seed,
        context={
            **page_context(trained.record, run=run, data=data, digest=manifest.digest, split=split),
            "command": f"hilum {shlex.join(as_words(evaluate, given))}",
        },
    )
    results["notes"] = [*films.notes, *(f"{k}: {v}." for k, v in trained.record.threshold_notes.items())]
    if baselines:
        scores, notes = baseline_scores(baselines, trained.record, manifest, films, views=views, patients=patients)
        results["baselines"] = against_baselines(table, scores, notes=notes, draws=draws, seed=seed)
    folder = Path(out) if out is not None else Path(run) / f"evaluate-{split}-{manifest.digest[:8]}"
    page = write_results(folder, results, table)["html"]
    sys.stdout.write(f"{summary(results)}\n{page}\n")
    return str(folder)
