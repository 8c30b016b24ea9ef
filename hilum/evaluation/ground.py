"""`hilum ground` as a library call: questions, maps, numbers with intervals, pictures, and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.encoder import load
from hilum.errors import ConfigError, ManifestError
from hilum.evaluation.features import Runner
from hilum.evaluation.grounding import (
    Mapped,
    Similarity,
    differences,
    mapped,
    pair_similarities,
    question_items,
    score_maps,
    summarise,
)
from hilum.evaluation.grounding_pairs import (
    Pair,
    Questions,
    Sentences,
    boxes_on_film,
    prepared_fit,
    questions_from_boxes,
    questions_from_zones,
)
from hilum.evaluation.joint_space import JointEncoder, asked_of, films_to_read, split_notes
from hilum.evaluation.zone_boxes import lung_mask, zone_box
from hilum.films import decode
from hilum.heads.grounding import GroundingRule, grounding_rule, on_film
from hilum.heads.prompt_file import read_prompts
from hilum.manifest import Manifest
from hilum.metrics.grounding import min_max
from hilum.results.classification import plain, software_versions
from hilum.results.grounding import Example, grounding_markdown, grounding_page
from hilum.results.notes import draws_note
from hilum.results.pictures import data_uri, overlay, png, sheet
from hilum.results.reading import write_reading
from hilum.run_folder import RunFolder
from hilum.schema import Preprocessing, Split

BOX_FILES = ("boxes.json", "boxes.csv")  # looked for in the data folder, in this order
MISPLACED = 0.1  # a larger share of boxes outside their films, and those inside are not where they should be either
SIDE = 250  # pixels of a picture
UNSHOWN = ("prior_alone", "centre")  # maps that are the same on every film


@dataclass(frozen=True)
class Grounding:
    """What decides a grounding result."""

    preset: str = "hilum"
    tau: float | None = None  # of the position prior; None: the preset's
    boxes: str | None = None  # a file; None: boxes.json or boxes.csv of the data folder; "zones": made of report words
    masks: str | None = None  # folder of lung masks for zones; None: masks/ of the data folder, if there
    sentences: Sentences = "auto"
    prompts: str = "findings"
    sections: tuple[str, ...] = ()  # of the reports
    split: Split = "test"
    views: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()  # of a classifier: "category=finding", whose query is asked about the boxes of a category
    anchor: str | None = None  # of a classifier: image id of the film on which maps of many films are averaged
    registered: int = 25  # films an average
    allow_train: bool = False  # of a classifier: films of patients that it learned from, with a note
    examples: int = 8  # questions with pictures
    draws: int = 1000
    seed: int = 0

    def rule(self) -> GroundingRule:
        """The preset with the tau asked for.

        Raises:
            ConfigError: no such preset, or tau is not more than 0.
        """
        chosen = grounding_rule(self.preset)
        return chosen if self.tau is None else replace(chosen, tau=self.tau)


def judge_grounding(
    encoder: str | JointEncoder,
    data: str,
    out: str,
    options: Grounding,
    *,
    runner: Runner | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Ask, map and score; writes results.html, .md, .json, scores.parquet, items.parquet and maps.png.

    Args:
        encoder: a run or encoder folder with a text tower, or the encoder itself.
        data: folder with a manifest.
        out: a new folder.
        options: what is asked.
        runner: device, batch size and so on.
        command: shown on the page.

    Returns:
        The results as plain JSON values.

    Raises:
        ConfigError: tau, a preset, a file of boxes or prompts that cannot be, or a non-empty `out`.
        CheckpointError: the encoder has no text tower.
        ManifestError: no question can be asked.
    """
    runner, rule = runner or Runner(), options.rule()
    RunFolder(out)  # refuses a folder with something in it
    everything = Manifest.read(data)
    manifest = films_to_read(everything, options.split, options.views)
    questions = find_questions(manifest, options)
    loaded = load(encoder) if isinstance(encoder, str) else encoder
    loaded.require_towers()
    asked, notes = similarities_of(loaded, manifest, questions, options, rule=rule, runner=runner)
    weights = loaded.position_prior
    maps = [mapped(one, rule, weights) for one in asked]
    scores = score_maps(maps, rule, loaded.preprocessing, manifest)
    resampling: dict[str, Any] = {"draws": options.draws, "seed": options.seed}
    results = plain(
        {
            "task": "grounding",
            "of": "sentences",
            "weak": questions.weak,
            "ways": summarise(scores, **resampling),
            "differences": differences(scores, **resampling),
            "counts": count_questions(maps, scores),
            "bootstrap": {"unit": "patient", "confidence": 0.95, **resampling},
            "versions": software_versions(),
            "notes": [
                *questions.notes,
                *notes,
                *_notes(options, rule, weights is not None),
                *draws_note(options.draws),
            ],
            "context": _context(loaded, encoder, data, everything, options, rule, command),
        }
    )
    examples, picture = draw_examples(
        maps, scores, rule, loaded.preprocessing, manifest, options.examples, options.seed
    )
    write_reading(
        out,
        results,
        html=grounding_page(results, examples),
        markdown=grounding_markdown(results),
        tables={"scores": scores, "items": question_items(scores)},
        pictures={"maps.png": picture} if examples else {},
    )
    return dict(results)


def box_file(manifest: Manifest, options: Grounding) -> Path:
    """The file of boxes asked for, or that of the data folder.

    Raises:
        ConfigError: there is none.
    """
    places = [Path(options.boxes)] if options.boxes else [manifest.root / name for name in BOX_FILES]
    file = next((place for place in places if place.is_file() or options.boxes), None)
    if file is None:
        raise ConfigError(
            f"the data folder has no {' or '.join(BOX_FILES)}",
            where="boxes",
            fix="Give a file of boxes, or --boxes zones for weak boxes made of the words of the reports",
        )
    return file


def find_questions(manifest: Manifest, options: Grounding) -> Questions:
    """The questions that the options ask of a manifest.

    Raises:
        ConfigError: no boxes anywhere.
    """
    if options.boxes == "zones":
        return questions_from_zones(manifest, options.sections)
    file = box_file(manifest, options)
    prompts = read_prompts(options.prompts)
    return questions_from_boxes(manifest, file, options.sentences, prompts, options.sections)


def similarities_of(
    encoder: JointEncoder,
    manifest: Manifest,
    questions: Questions,
    options: Grounding,
    *,
    rule: GroundingRule,
    runner: Runner,
) -> tuple[list[Similarity], list[str]]:
    """All questions with their similarity grids and boxes in pixels; questions without a box on the film left out.

    Raises:
        ManifestError: no question has a box on its film.
    """
    places, notes = placed(manifest, questions, options)
    grids = pair_similarities(encoder, manifest, tuple(pair for pair, _, _ in places), rule=rule, runner=runner)
    return [
        Similarity(pair, grid, shape, boxes) for (pair, shape, boxes), grid in zip(places, grids, strict=True)
    ], notes


def placed(
    manifest: Manifest, questions: Questions, options: Grounding
) -> tuple[list[tuple[Pair, tuple[int, int], NDArray[np.float64]]], list[str]]:
    """Questions with the shape (H, W) of their film and their boxes (B, 4) in its pixels, and what was left out.

    Raises:
        ManifestError: no question has a box on its film.
    """
    fit, places, notes = prepared_fit(manifest), list[tuple[Pair, tuple[int, int], Any]](), list[str]()
    folder = Path(options.masks) if options.masks else manifest.root / "masks"
    masked = 0
    for pair in questions.pairs:
        shape = _shape(manifest, pair.row)
        if pair.places:
            lungs = lung_mask(folder, manifest, pair.row, shape) if folder.is_dir() else None
            masked += lungs is not None
            found = [box for place in pair.places if (box := zone_box(place, lungs, shape)) is not None]
            boxes = np.stack(found) if found else np.zeros((0, 4))
        else:
            boxes = boxes_on_film(pair, shape, fit)
        ends = boxes[:, :2] + boxes[:, 2:]
        if ((ends > 0.5) & (boxes[:, :2] < np.array([shape[1], shape[0]]) - 0.5)).all(axis=1).any():
            places.append((pair, shape, boxes))
    lost = len(questions.pairs) - len(places)
    if not places or lost > MISPLACED * len(questions.pairs):
        raise ManifestError(
            f"{lost} of {len(questions.pairs)} boxes lie outside their films: they are given in other pixels",
            where=options.boxes or manifest.root,
            fix="Boxes are left, top, width, height in pixels of the stored film, or of image_width x image_height",
        )
    if lost:
        notes.append(f"{lost} questions were left out, since their boxes lie outside the film.")
    if questions.weak:
        notes.append(f"{masked} of {len(questions.pairs)} questions use a lung mask, the others shares of the film.")
    return places, notes


def draw_examples(
    asked: Sequence[Mapped],
    scores: pd.DataFrame,
    rule: GroundingRule,
    preprocessing: Preprocessing,
    manifest: Manifest,
    count: int,
    seed: int,
) -> tuple[list[Example], bytes]:
    """Pictures of some questions: the film with its boxes, and each map over it that depends on the film."""
    examples, rows = [], []
    for number in np.sort(np.random.default_rng(seed).permutation(len(asked))[:count]):
        one = asked[number]
        film = decode(manifest.paths()[one.pair.row])
        numbers = scores[scores["question"] == number].set_index("way")
        pictures = [("the film and its boxes", overlay(film, None, one.boxes, SIDE))]
        for way, grid in one.maps.items():
            if way not in UNSHOWN:
                rule_of = preprocessing.resize, rule.upsampling
                heat = min_max(on_film(grid[None], one.shape, *rule_of, seen=preprocessing.seen)[0])
                pictures.append((_caption(way, numbers.loc[way]), overlay(film, heat, one.boxes, SIDE)))
        title = f"{manifest.table['image_id'].iloc[one.pair.row]}: {one.pair.category}"
        shown = tuple((text, data_uri(picture)) for text, picture in pictures)
        examples.append(Example(title, " | ".join(one.pair.phrases), shown))
        rows.append([(picture, f"{title}. {text}") for text, picture in pictures])
    return examples, png(sheet(rows, SIDE)) if rows else b""


def _caption(way: str, numbers: pd.Series[Any]) -> str:
    name = way.replace("_", " ")
    return f"{name}: mIoU {numbers['miou']:.2f}, CNR {numbers['cnr']:.2f}, pointing {numbers['pointing']:.2g}"


def _shape(manifest: Manifest, row: int) -> tuple[int, int]:
    """(H, W) of a stored film, from the manifest where it says so."""
    film = manifest.table.iloc[row]
    if {"height", "width"} <= set(manifest.table.columns) and not np.isnan([film["height"], film["width"]]).any():
        return int(film["height"]), int(film["width"])
    height, width = decode(manifest.paths()[row]).shape
    return height, width


def count_questions(asked: Sequence[Mapped], scores: pd.DataFrame) -> dict[str, Any]:
    """Questions, films, patients, boxes, questions of each category, and the median share of a film in its boxes."""
    area = [one.boxes[:, 2:].prod(axis=1).sum() / np.prod(one.shape) for one in asked]
    return {
        "questions": len(asked),
        "films": int(scores["image_id"].nunique()),
        "patients": int(scores["patient_id"].nunique()),
        "boxes": sum(len(one.boxes) for one in asked),
        "categories": dict(scores.drop_duplicates("question")["category"].value_counts().sort_index()),
        "median_box_share": float(np.median(area)),
    }


def _notes(options: Grounding, rule: GroundingRule, has_prior: bool) -> list[str]:
    notes = []
    if not has_prior:
        notes.append("The encoder learned no importance of positions: there is no map with a position prior.")
    elif rule.tau is None:
        notes.append(f"The preset {options.preset} knows no position prior; give --tau to see the maps with it.")
    return [*notes, *split_notes(options.split)]


def _context(
    encoder: JointEncoder,
    source: str | JointEncoder,
    data: str,
    manifest: Manifest,
    options: Grounding,
    rule: GroundingRule,
    command: str,
) -> dict[str, Any]:
    left_out = ("draws", "seed", "tau", "ask", "anchor", "registered", "allow_train")
    chosen = {name: value for name, value in asdict(options).items() if name not in left_out}
    return {
        "title": f"Grounding on the {options.split} split of {Path(data).resolve().name}",
        **asked_of(encoder, source, data, manifest),
        **chosen,
        "rule": asdict(rule),
        "command": command,
    }
