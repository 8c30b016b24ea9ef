"""Which sentence is asked of which film, and where the truth lies: from boxes, or from the words of a report.

Boxes of one film and one phrase (in any case) are one question; without phrases, boxes of one film and one category.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.errors import ConfigError, ManifestError
from hilum.evaluation.boxes import match_films, read_boxes
from hilum.evaluation.mentions import Place, affirming_sentences, places_of
from hilum.heads.grounding import boxes_on_input
from hilum.heads.prompt_file import Prompts
from hilum.manifest import Manifest
from hilum.reports import reports_of
from hilum.schema import FRONTAL_VIEWS

Sentences = Literal["auto", "phrase", "prompts", "report"]
LACKING: Final = {  # what a question without a sentence lacks
    "phrase": "phrase",
    "prompts": "entry in the prompts file",
    "report": "affirming sentence in the report",
}
UNNAMED: Final = "all"  # the category of boxes without one


@dataclass(frozen=True)
class Pair:
    """One question: a sentence and the place it speaks of."""

    row: int  # of the film in the manifest
    phrases: tuple[str, ...]  # one sentence, or several whose vectors are averaged
    category: str
    boxes: NDArray[np.float64]  # (B, 4) left, top, width, height; no row for a weak place, whose box needs the mask
    size: tuple[float, float] | None = None  # (H, W) of the picture the boxes are given in; None: the stored film's
    places: tuple[Place, ...] = ()  # of weak boxes


@dataclass(frozen=True)
class Questions:
    """All pairs of a manifest, and what a reader must know about them."""

    pairs: tuple[Pair, ...]  # in the order of the films
    notes: tuple[str, ...]
    weak: bool = False  # boxes are made of words


def questions_from_boxes(
    manifest: Manifest, boxes: str | Path, sentences: Sentences, prompts: Prompts, sections: Sequence[str] = ()
) -> Questions:
    """Questions from a file of boxes.

    Args:
        manifest: the films that may be asked about.
        boxes: a file that `read_boxes` reads.
        sentences: "phrase" takes those of the file, "prompts" the positive sentences of the category, "report" the
            first sentence of the film's own report that affirms the category; "auto": phrase where the file has them,
            else prompts.
        prompts: sentences and terms of the categories.
        sections: of the reports.

    Raises:
        ConfigError: a broken file, or sentences that it does not have.
        ManifestError: no question is left.
    """
    table, strangers = match_films(read_boxes(boxes), manifest)
    notes = [f"{strangers} boxes are of films that are not among those judged."] if strangers else []
    table["category"] = table["category"].where(table["category"] != "", UNNAMED)
    if sentences == "auto":
        sentences = "phrase" if (table["phrase"] != "").any() else "prompts"
    texts = reports_of(manifest, sections).texts if sentences == "report" else ()
    pairs, without = list[Pair](), dict[str, int]()
    folded = table["phrase"].map(lambda text: " ".join(text.lower().split()))
    for _, group in table.groupby(["row", "category", folded if sentences == "phrase" else table["row"]], sort=True):
        row, category = int(group["row"].iloc[0]), str(group["category"].iloc[0])
        phrases = _phrases(sentences, group, category, prompts, texts)
        if not phrases:
            without[category] = without.get(category, 0) + 1
            continue
        corners = group[["x", "y", "w", "h"]].to_numpy(dtype=np.float64)
        pairs.append(Pair(row, phrases, category, corners, given_size(group)))
    if without:
        shown = ", ".join(f"{category} ({count})" for category, count in sorted(without.items()))
        notes.append(f"Left out, since there is no {LACKING[sentences]} for it: {shown}.")
    if not pairs:
        raise ManifestError(
            f"no film of {len(manifest)} has both a box and a sentence ({sentences})",
            where=boxes,
            fix="Check that the boxes name images of this split, and --sentences",
        )
    asked = {
        "phrase": "the phrases of the file",
        "prompts": f"the positive sentences of the prompts file {prompts.name}, averaged",
        "report": "the report's own sentence that affirms the finding",
    }
    return Questions(tuple(pairs), (f"Sentences: {asked[sentences]}.", *notes))


def questions_from_zones(manifest: Manifest, sections: Sequence[str] = ()) -> Questions:
    """Weak questions: the whole report of a frontal film, and the places it names.

    Raises:
        ManifestError: no report names a side.
    """
    texts, views = reports_of(manifest, sections).texts, manifest.table["view_position"]
    pairs, lateral = list[Pair](), 0
    for row, (text, view) in enumerate(zip(texts, views, strict=True)):
        sided = [place for place in places_of(text) if place.side is not None]
        zones = [place for place in sided if place.zone is not None]
        if sided and view and view not in FRONTAL_VIEWS:
            lateral += 1
        elif len({place.side for place in zones or sided}) == 1:  # both sides are most of the film: nothing to point at
            places = tuple(zones or sided)
            name = " and ".join(map(str, places))
            pairs.append(Pair(row, (text,), name, np.zeros((0, 4)), None, places))
    if not pairs:
        raise ManifestError(
            f"none of {len(manifest)} films has a report that names one side",
            where=manifest.root,
            fix="Give boxes, or films whose reports say left or right",
        )
    notes = ["WEAK BOXES: made of the side and zone words of the reports, not drawn by anybody."]
    notes += [f"{lateral} films that are not frontal were left out."] if lateral else []
    return Questions(tuple(pairs), tuple(notes), weak=True)


def boxes_on_film(pair: Pair, shape: tuple[int, int], fit: str) -> NDArray[np.float64]:
    """The pair's boxes in pixels of the stored film.

    Args:
        pair: with boxes in pixels of a picture of `pair.size`.
        shape: (H, W) of the stored film.
        fit: how `hilum prepare` made that film of the picture: squeeze, shortest (whole film kept) or pad.

    Returns:
        (B, 4).
    """
    if pair.size is None or pair.size == shape:
        return pair.boxes
    height, width = pair.size
    if fit == "pad" and shape[0] == shape[1]:
        return boxes_on_input(pair.boxes, (int(height), int(width)), shape[0], "pad")
    across, down = shape[1] / width, shape[0] / height
    found: NDArray[np.float64] = pair.boxes * np.array([across, down, across, down])
    return found


def prepared_fit(manifest: Manifest) -> str:
    """How `hilum prepare` brought these films to size; squeeze where there is no record."""
    path = manifest.root / "prepare.json"
    try:
        record: Any = json.loads(path.read_text())
        return str(record["settings"]["fit"])
    except (OSError, ValueError, KeyError, TypeError):
        return "squeeze"


def _phrases(
    sentences: Sentences, group: pd.DataFrame, category: str, prompts: Prompts, texts: Sequence[str]
) -> tuple[str, ...]:
    """What is asked about the boxes of one group; () where there is nothing to ask with."""
    if sentences == "phrase":
        return tuple(group["phrase"].iloc[:1][group["phrase"].iloc[:1] != ""])
    if category not in prompts:
        return ()
    if sentences == "prompts":
        return prompts[category].positive
    if not prompts[category].terms:
        raise ConfigError(
            f"has no terms for {category}", where=f"prompts {prompts.name}", fix="Add them, or use --sentences prompts"
        )
    return tuple(affirming_sentences(texts[int(group["row"].iloc[0])], prompts[category].terms)[:1])


def given_size(group: pd.DataFrame) -> tuple[float, float] | None:
    """(H, W) of the picture that the boxes of one film are given in; None where the file does not say."""
    height, width = group["height"].iloc[0], group["width"].iloc[0]
    return None if np.isnan(height) or np.isnan(width) else (float(height), float(width))
