"""Judge a segmenter on the films of a split: masks drawn, every convention measured, the results page."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pandas as pd

from hilum.errors import ConfigError, UserError
from hilum.evaluation.features import Runner
from hilum.evaluation.judged import Judged
from hilum.evaluation.patients import trained_patients
from hilum.evaluation.predict import honest_films
from hilum.evaluation.segmentation.films import MaskedFilms, masked_films
from hilum.evaluation.segmentation.mean_mask import MeanMask, fit_mean_mask
from hilum.evaluation.segmentation.measure import measured_items
from hilum.evaluation.segmentation.model import SegmenterRecord, load_segmenter
from hilum.evaluation.segmentation.run import EVALUATION_BATCH
from hilum.evaluation.segmentation.sheets import FILMS, SIDE, Panel, choose_rows, legend, mask_panels
from hilum.manifest import Manifest
from hilum.manifest.masks import FOLDER, SIIM_SIZE, Masks, read_masks
from hilum.results.pictures import data_uri, png, sheet
from hilum.results.reading import write_reading
from hilum.results.segmentation import (
    Example,
    segmentation_markdown,
    segmentation_page,
    segmentation_results,
    summary_lines,
)
from hilum.run_folder import RunFolder
from hilum.schema import Split

BASELINES: Final = ("nothing", "mean-mask")  # the first is always on the page: it costs no time


def judge_masks(
    run: str,
    data: str,
    *,
    split: Split = "test",
    out: str | None = None,
    draws: int = 1000,
    seed: int = 0,
    views: tuple[str, ...] = (),
    baselines: Sequence[str] | None = None,
    masks: str | None = None,
    beside: Sequence[str] = (),
    allow_train: bool = False,
    runner: Runner | None = None,
    command: str = "",
) -> Judged:
    """Draw the masks of a split and write results.html, .md, .json, items.parquet and sheet.png.

    Args:
        run: of `hilum adapt segment`.
        data: folder with a manifest.
        split: whose films are judged.
        out: folder for the results; default RUN/evaluate-<split>-<start of the data's digest>.
        draws: patients are drawn this often for the intervals.
        seed: of the draws, and of the films that are shown.
        views: only films with these view positions; default those of training.
        baselines: mean-mask is fitted on the set's other splits and shown; what drawing nothing scores always is. None:
            both.
        masks: as in training; default DATA/masks, else where the run found its own.
        beside: further runs, whose masks are drawn in the pictures beside this one's.
        allow_train: judge on patients of the training all the same; the page says so.
        runner: device, batch size.
        command: for the page.

    Raises:
        ConfigError: a non-empty `out`, no masks, or patients of the training among those to be judged.
        CheckpointError: `run` holds no segmenter.
        ManifestError: no films to judge.
    """
    if unknown := [name for name in baselines or () if name not in BASELINES]:
        fix = f"Known for masks: {', '.join(BASELINES)}"
        raise ConfigError(f"{', '.join(unknown)} draws no masks", where="baselines", fix=fix)
    if out is not None:
        RunFolder(out)  # refuses a folder with something in it
    runner = runner or Runner()
    runner = replace(runner, batch_size=min(runner.batch_size, EVALUATION_BATCH))
    trained, manifest = load_segmenter(run), Manifest.read(data)
    shown_models = dict(zip(_names([run, *beside]), [trained, *map(load_segmenter, beside)], strict=True))
    record = trained.record
    chosen, notes = honest_films(
        manifest,
        split,
        views=views,
        trained_views=tuple(record.origin.get("views", ())),
        patients=trained_patients(run),
        allow_train=allow_train,
    )
    truth = find_masks(run, record, chosen, masks)
    films = masked_films(MaskedFilms(chosen, truth), chosen)
    place: MeanMask | None = None
    if baselines is None or "mean-mask" in baselines:
        place, said = _mean_mask(run, record, manifest, masks, views, seed)
        notes += said
    cuts = {name: record.cut(name) for name in record.findings}
    items = measured_items(films, trained.probabilities(films, runner), cuts, place)
    context = _context(record, run=run, data=data, digest=manifest.digest, split=split) | {"command": command}
    results = segmentation_results(items, cuts=_cuts(record), context=context, draws=draws, seed=seed)
    results["notes"] = [*notes, *truth.notes, *_remarks(record, films, len(chosen), items)]
    shown = films.take(choose_rows(films, seed, FILMS))
    panels = mask_panels(shown, shown_models, runner)
    folder = Path(out) if out is not None else Path(run) / f"evaluate-{split}-{manifest.digest[:8]}"
    page = write_reading(
        folder,
        results,
        html=segmentation_page(results, [_example(panel) for panel in panels], legend(films.findings)),
        markdown=segmentation_markdown(results),
        tables={"items": items},
        pictures={"sheet.png": panels_sheet(panels)},
    )
    return Judged(folder, page, results, summary_lines(results), items)


def find_masks(run: str, record: SegmenterRecord, films: Manifest, masks: str | None) -> Masks:
    """The masks of films to judge: those named, those beside the manifest, or where training found its own.

    Raises:
        ConfigError: none of them is there.
    """
    try:
        trained: dict[str, Any] = json.loads((Path(run) / "config.json").read_text())
    except (OSError, ValueError):  # a model folder by itself
        trained = {}
    if masks is None and not (films.root / FOLDER).is_dir():
        masks = trained.get("masks")
    rows, columns = trained.get("mask_size", SIIM_SIZE)
    pairs = trained.get("runs", "relative")
    return read_masks(films, record.findings, masks, pairs=pairs, size=(rows, columns), every=False)


def _mean_mask(
    run: str, record: SegmenterRecord, manifest: Manifest, masks: str | None, views: tuple[str, ...], seed: int
) -> tuple[MeanMask | None, list[str]]:
    """The mean mask of the set's own training films, cut by its validation films; or why there is none."""
    wanted = views or tuple(record.origin.get("views", ())) or None
    try:
        parts = []
        for split in ("train", "val"):
            chosen = manifest.select(split=split, views=wanted)
            parts.append(masked_films(MaskedFilms(chosen, find_masks(run, record, chosen, masks)), chosen))
    except UserError as error:
        return None, [f"No mean mask beside the model: {error}"]
    return fit_mean_mask(parts[0], parts[1], seed), []


def panels_sheet(panels: Sequence[Panel]) -> bytes:
    """All panels as one PNG, a row a film: film, truth, models."""
    rows = [
        [(picture, panel.title if place == 0 else caption) for place, (caption, picture) in enumerate(panel.pictures)]
        for panel in panels
    ]
    return png(sheet(rows, SIDE))


def _example(panel: Panel) -> Example:
    return Example(panel.title, tuple((caption, data_uri(picture)) for caption, picture in panel.pictures))


def _names(runs: Sequence[str]) -> list[str]:
    """The folders' names; those that are not alone in having theirs are numbered."""
    paths = [Path(run).resolve() for run in runs]
    names = [path.parent.name if path.name == "model" else path.name for path in paths]
    return [f"{name} ({place})" if names.count(name) > 1 else name for place, name in enumerate(names, start=1)]


def _cuts(record: SegmenterRecord) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "threshold": record.cut(name).threshold,
            "area": record.cut(name).area,
            "note": record.threshold_notes.get(name, ""),
        }
        for name in record.findings
    }


def _remarks(record: SegmenterRecord, films: MaskedFilms, chosen: int, items: pd.DataFrame) -> list[str]:
    """What a reader must know of these films and numbers."""
    notes = [f"{name}: {note}." for name, note in record.threshold_notes.items()]
    if left_out := chosen - len(films):
        notes.append(f"{left_out} films are left out: nobody says whether a finding is on them.")
    for name, (masks, _) in films.counts().items():
        if not masks:
            notes.append(f"{name}: no film here has a mask of it.")
    if "value.hd95_mm" in items:
        blind = sum(films.spacing(row) is None for row in range(len(films)))
        if blind:
            notes.append(f"{blind} films have no spacing_mm: they have no surface distance.")
    else:
        notes.append("The manifest has no spacing_mm: surface distances are in pixels of the stored films.")
    return notes


def _context(record: SegmenterRecord, *, run: str, data: str, digest: str, split: Split) -> dict[str, Any]:
    """How the masks were drawn, for the results page, in the order in which it is shown."""
    origin = record.origin
    return {
        "title": f"Masks of {', '.join(record.findings)} on the {split} split of {Path(data).resolve().name}",
        "segmenter": run,
        "head": f"{record.config.form}, loss {record.loss}",
        "preset": origin.get("preset") or "none",
        "encoder": origin.get("encoder"),
        "trained_on": "{train_films} films, {train_patients} patients of {data}".format_map(defaultdict(str, origin)),
        "label_fraction": origin.get("fraction"),
        "data": data,
        "manifest_sha256": digest,
        "split": split,
        "thresholds": record.chosen_on,
        "validation": record.headline,
    }
