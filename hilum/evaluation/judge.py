"""Judge a trained classifier on a split: predictions, numbers with intervals, baselines, and the results page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hilum.baselines import BASELINES
from hilum.errors import ConfigError
from hilum.evaluation.baseline_scores import baseline_scores, can_learn, check_baselines
from hilum.evaluation.classifier import load_classifier
from hilum.evaluation.feature_store import FeatureStore
from hilum.evaluation.features import Runner
from hilum.evaluation.judged import Judged
from hilum.evaluation.patients import trained_patients
from hilum.evaluation.predict import films_to_judge, page_context, predict, summary
from hilum.manifest import Manifest
from hilum.metrics.prevalence import CUTS
from hilum.results import against_baselines, classification_results, write_results
from hilum.run_folder import RunFolder
from hilum.schema import Split


def judge(
    run: str,
    data: str,
    *,
    split: Split = "test",
    out: str | None = None,
    draws: int = 1000,
    seed: int = 0,
    views: tuple[str, ...] = (),
    baselines: Sequence[str] | None = None,
    cuts: Sequence[float] = CUTS,
    allow_train: bool = False,
    runner: Runner | None = None,
    features: str | None = None,
    command: str = "",
) -> Judged:
    """Predict a split and write results.html, .md, .json and predictions.parquet; arguments as of `hilum evaluate`.

    With `features`, a folder of `hilum embed`, a frozen classifier reads these instead of the films. `baselines` None
    takes all there are, where the data set has films to teach them; `cuts` part rare from common findings.

    Raises:
        ConfigError: an unknown name, a non-empty `out`, or patients of the training among those to be judged.
        CheckpointError: `run` holds no classifier.
        ManifestError: no films to judge.
    """
    check_baselines(baselines or ())
    if list(cuts) != sorted({cut for cut in cuts if 0 < cut < 1}):
        raise ConfigError(f"must be rising shares inside (0, 1), not {list(cuts)}", where="cuts", fix="Use 0.01,0.1")
    if out is not None:
        RunFolder(out)  # refuses a folder with something in it
    trained, manifest, patients = load_classifier(run), Manifest.read(data), trained_patients(run)
    record = trained.record
    films = films_to_judge(record, manifest, split, views=views, patients=patients, allow_train=allow_train)
    table = predict(trained, films, runner=runner, store=None if features is None else FeatureStore.open(features))
    context = page_context(record, run=run, data=data, digest=manifest.digest, split=split)
    results = classification_results(
        table,
        thresholds=record.thresholds,
        draws=draws,
        seed=seed,
        context={**context, "command": command},
        cuts=cuts,
        training=record.counts,
        in_depth=True,
    )
    said = [*films.notes, *(f"{k}: {v}." for k, v in record.threshold_notes.items())]
    results["notes"] = [*said, *results["notes"]]
    if baselines is None:
        teachable = can_learn(manifest, record, views=views, patients=patients)
        baselines = tuple(BASELINES) if teachable else ()
        if not teachable:
            results["notes"].append("No baselines: this data set has no labelled training films to teach them.")
    if baselines:
        scores, notes = baseline_scores(baselines, record, manifest, films, views=views, patients=patients)
        results["baselines"] = against_baselines(table, scores, notes=notes, draws=draws, seed=seed)
    folder = Path(out) if out is not None else Path(run) / f"evaluate-{split}-{manifest.digest[:8]}"
    page = write_results(folder, results, table)["html"]
    return Judged(folder, page, results, [summary(results)], table)
