"""Judge a detector on the films of a split: boxes found, numbers with intervals, the baseline, pictures, the page."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from hilum.errors import ConfigError
from hilum.evaluation.detection.card import SHOWN_RATE
from hilum.evaluation.detection.found import find_boxes
from hilum.evaluation.detection.model import DetectorRecord, load_detector
from hilum.evaluation.detection.pictures import draw_examples
from hilum.evaluation.detection.prior import prior_table
from hilum.evaluation.detection.truth import FILES, BoxedFilms, box_file, boxed_films
from hilum.evaluation.features import Runner
from hilum.evaluation.judged import Judged
from hilum.evaluation.patients import trained_patients
from hilum.evaluation.predict import honest_films
from hilum.films import FilmStore
from hilum.manifest import Manifest
from hilum.results.detection import detection_markdown, detection_page, detection_results, summary_lines
from hilum.results.reading import write_reading
from hilum.run_folder import RunFolder
from hilum.schema import Split

BASELINES: Final = ("centre-prior",)
NOT_THEIRS: Final = {  # preset -> what a reader must know before comparing with the paper
    "maco-rsna-boxes": "MaCo's protocol with our detector: LW-DETR, where its code has Mask R-CNN with a ViTDet trunk.",
    "cxrbase-50-shot": "CXRBase's number of shots with our detector and negatives: the paper states neither.",
}


def judge_boxes(
    run: str,
    data: str,
    *,
    split: Split = "test",
    out: str | None = None,
    draws: int = 1000,
    seed: int = 0,
    views: tuple[str, ...] = (),
    baselines: Sequence[str] | None = None,
    boxes: str | None = None,
    allow_train: bool = False,
    runner: Runner | None = None,
    command: str = "",
) -> Judged:
    """Find the boxes of a split; writes results.html, .md, .json, found.parquet, truth.parquet and boxes.png.

    Args:
        run: of `hilum adapt detect`.
        data: folder with a manifest.
        split: whose films are judged.
        out: folder for the results; default RUN/evaluate-<split>-<start of the data's digest>.
        draws: patients are drawn this often for the intervals.
        seed: of the draws, and of the films that are shown.
        views: only films with these view positions; default those of training.
        baselines: centre-prior, or none; None shows all there are.
        boxes: a file of true boxes; default that of the data folder, else where the run found its own.
        allow_train: judge on patients of the training all the same; the page says so.
        runner: device, batch size.
        command: for the page.

    Raises:
        ConfigError: a non-empty `out`, no boxes, or patients of the training among those to be judged.
        CheckpointError: `run` holds no detector.
        ManifestError: no films to judge.
    """
    if unknown := [name for name in baselines or () if name not in BASELINES]:
        fix = f"Known for boxes: {', '.join(BASELINES)}"
        raise ConfigError(f"{', '.join(unknown)} finds no boxes", where="baselines", fix=fix)
    if out is not None:
        RunFolder(out)  # refuses a folder with something in it
    trained, manifest, runner = load_detector(run), Manifest.read(data), runner or Runner()
    record = trained.record
    chosen, notes = honest_films(
        manifest,
        split,
        views=views,
        trained_views=tuple(record.origin.get("views", ())),
        patients=trained_patients(run),
        allow_train=allow_train,
    )
    films = true_boxes(run, record, chosen, boxes)
    model = trained.model.to(runner.torch_device).eval()
    store = FilmStore(films.manifest)
    found = find_boxes(model, films, store, trained.preprocessing, runner, most=record.most_found)
    baseline = None if baselines is not None and not baselines else prior_table(record.prior, films)
    context = _context(record, run=run, data=data, digest=manifest.digest, split=split) | {"command": command}
    results = detection_results(
        found,
        films.truth(),
        findings=record.findings,
        baseline=baseline,
        context=context,
        thresholds=record.thresholds,
        draws=draws,
        seed=seed,
    )
    results["notes"] += [*notes, *films.notes, *_remarks(record)]
    folder = Path(out) if out is not None else Path(run) / f"evaluate-{split}-{manifest.digest[:8]}"
    page = _written(folder, results, films, found, baseline, record)
    return Judged(folder, page, results, summary_lines(results), found)


def _written(
    folder: Path,
    results: dict[str, Any],
    films: BoxedFilms,
    found: pd.DataFrame,
    baseline: pd.DataFrame | None,
    record: DetectorRecord,
) -> Path:
    """The page with its pictures, the numbers and both tables, in a folder."""
    truth = films.truth()
    examples, picture = draw_examples(films, found, record.thresholds, seed=results["bootstrap"]["seed"])
    return write_reading(
        folder,
        results,
        html=detection_page(results, found, truth, baseline, examples),
        markdown=detection_markdown(results),
        tables={"found": found, "truth": truth},
        pictures={"boxes.png": picture} if examples else {},
    )


def true_boxes(run: str, record: DetectorRecord, films: Manifest, boxes: str | None) -> BoxedFilms:
    """The boxes of films to judge: of the file named, that of their folder, or where training found its own.

    Raises:
        ConfigError: none of them is there.
        ManifestError: no film is known.
    """
    if boxes is None and not any((films.root / name).is_file() for name in FILES):
        try:
            boxes = json.loads((Path(run) / "config.json").read_text()).get("boxes")
        except (OSError, ValueError):  # a model folder by itself
            boxes = None
    readers: Any = record.readers
    return boxed_films(films, box_file(films.root, boxes), record.findings, readers=readers, strict=False)


def _remarks(record: DetectorRecord) -> list[str]:
    """What a reader must know of the detector."""
    notes = [f"{finding}: {note}." for finding, note in record.threshold_notes.items()]
    preset = record.origin.get("preset")
    return [*notes, NOT_THEIRS[preset]] if preset in NOT_THEIRS else notes


def _context(record: DetectorRecord, *, run: str, data: str, digest: str, split: Split) -> dict[str, Any]:
    """How the boxes were found, for the results page, in the order in which it is shown."""
    origin = record.origin
    return {
        "title": f"Boxes of {', '.join(record.findings)} on the {split} split of {Path(data).resolve().name}",
        "detector": run,
        "head": "LW-DETR on the encoder's tokens",
        "preset": origin.get("preset") or "none",
        "encoder": origin.get("encoder"),
        "encoder_learned_too": origin.get("encoder_learns"),
        "trained_on": "{train_films} films, {train_patients} patients of {data}".format_map(defaultdict(str, origin)),
        "label_fraction": origin.get("fraction"),
        "shots": origin.get("shots") or "all",
        "readers": record.readers,
        "data": data,
        "manifest_sha256": digest,
        "split": split,
        "shown_rate": SHOWN_RATE,
        "thresholds": {name: round(value, 4) for name, value in record.thresholds.items()},
        "validation": record.headline,
    }
