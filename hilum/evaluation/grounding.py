"""Score heat maps of sentences with and without a position prior, and the prior alone.

A prior over positions that does not depend on the film lifts every number of any model, because lungs and boxes lie
where they lie. So each way of making a map is judged on the same questions, and their differences are paired:

- `without_prior`: the sentence's similarity with the patches.
- `with_prior`: the same times MaCo's learned importance of each position.
- `prior_alone`: that importance without film or sentence.
- `centre`: a Gaussian in the middle of the film, which has learned nothing at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum.evaluation.detection.geometry import placed_by
from hilum.evaluation.features import Runner, run_films
from hilum.evaluation.grounding_pairs import Pair
from hilum.evaluation.joint_space import JointEncoder, phrase_vectors, word_vectors
from hilum.films import FilmStore
from hilum.heads.grounding import (
    GroundingRule,
    box_mask,
    boxes_on_input,
    centre_prior,
    on_film,
    position_prior,
    similarities,
    smooth,
    upsample,
    word_map,
)
from hilum.manifest import Manifest, same_patient
from hilum.metrics.grounding import THRESHOLDS, contrast_to_noise, min_max, overlap, pointing_game
from hilum.metrics.resample import Resample
from hilum.schema import Preprocessing

Floats = NDArray[np.float64]

METRICS: Final = ("miou", "dice", "cnr", "cnr_abs", "pointing")
PAIRS: Final = (  # what the prior adds, and what the model adds to the prior and to the centre of the film
    ("with_prior", "without_prior"),
    ("with_prior", "prior_alone"),
    ("with_prior", "centre"),
    ("without_prior", "prior_alone"),
    ("without_prior", "centre"),
)
MAIN_WAYS: Final = ("with_prior", "without_prior")  # the first of these that was mapped is the encoder's result
COMPARED: Final = ("miou", "pointing", "cnr", "dice")  # of an item, the one that decides first


@dataclass(frozen=True)
class Similarity:
    """One question with everything that scoring needs; maps are (S, S) of patches."""

    pair: Pair
    grid: Floats  # similarity of each patch with the sentence, before any prior
    shape: tuple[int, int]  # (H, W) of the film
    boxes: Floats  # (B, 4) in pixels of the film


@dataclass(frozen=True)
class Mapped:
    """One question with every map of it that is compared."""

    pair: Pair
    maps: Mapping[str, Floats]  # way -> (S, S), smoothed
    shape: tuple[int, int]  # (H, W) of the film
    boxes: Floats  # (B, 4) in pixels of the film


def pair_similarities(
    encoder: JointEncoder, manifest: Manifest, pairs: tuple[Pair, ...], *, rule: GroundingRule, runner: Runner
) -> list[Floats]:
    """Similarity grids of all questions, in order; each film is encoded once and each sentence is read once.

    Args:
        encoder: with a text tower.
        manifest: the films.
        pairs: questions in the order of the films.
        rule: how patches and sentence are compared.
        runner: device, batch size and so on.

    Returns:
        One (S, S) a question; several phrases of one are averaged before the comparison.

    Raises:
        ConfigError: the rule compares words, and the encoder did not align words.
    """
    encoder.require_towers()
    encoder.to(runner.torch_device)
    read = word_vectors if rule.similarity == "words" else phrase_vectors
    texts = list(dict.fromkeys(phrase for pair in pairs for phrase in pair.phrases))
    vectors = dict(zip(texts, read(encoder, texts), strict=True))
    rows = sorted({pair.row for pair in pairs})
    part = Manifest(manifest.table.iloc[rows].reset_index(drop=True), manifest.root)
    batches = run_films(encoder.project_tokens, FilmStore(part, cache=False), encoder.preprocessing, runner)
    asked: dict[int, list[int]] = {row: [] for row in rows}
    for number, pair in enumerate(pairs):
        asked[pair.row].append(number)
    found: dict[int, Floats] = {}
    for row, patches in zip(rows, (film for batch in batches for film in batch), strict=True):
        for number in asked[row]:
            found[number] = _grid(patches, [vectors[phrase] for phrase in pairs[number].phrases], rule)
    return [found[number] for number in range(len(pairs))]


def ways_of(grid: Floats, rule: GroundingRule, weights: Tensor | None) -> dict[str, Floats]:
    """The maps (S, S) that are compared on one question, smoothed; the prior's only where one was learned."""
    found: dict[str, Floats] = {"without_prior": grid}
    if weights is not None and rule.tau is not None:
        prior = position_prior(weights, rule.tau)
        found |= {"with_prior": grid * prior, "prior_alone": prior}
    found["centre"] = centre_prior(len(grid))
    return {way: smooth(one[None], rule.sigma)[0] for way, one in found.items()}


def score_map(
    grid: Floats, shape: tuple[int, int], boxes: Floats, rule: GroundingRule, preprocessing: Preprocessing
) -> dict[str, float]:
    """All numbers of one map on one question.

    Args:
        grid: (S, S), smoothed.
        shape: (H, W) of the film.
        boxes: (B, 4) in pixels of the film.
        rule: how the map is laid and scored.
        preprocessing: how the film became the encoder's input.

    Returns:
        `METRICS`, `iou@<threshold>` for each, and `empty`: thresholds with nothing above them; NaN where undefined.
    """
    heat, mask = heat_and_mask(grid, shape, boxes, rule, preprocessing)
    lap = overlap(heat, mask, empty=rule.empty, unseen=rule.on == "film")
    cnr = contrast_to_noise(heat, mask)
    contrast = np.nan if cnr is None else cnr
    numbers = {
        "miou": float(lap.iou.mean()),
        "dice": float(lap.dice.mean()),
        "cnr": contrast,
        "cnr_abs": abs(contrast),
        "pointing": pointing_game(heat, mask, maxima=rule.maxima) if mask.any() else np.nan,
        "empty": float(lap.empty.sum()),
    }
    return numbers | {f"iou@{threshold}": float(iou) for threshold, iou in zip(THRESHOLDS, lap.iou, strict=True)}


def heat_and_mask(
    grid: Floats, shape: tuple[int, int], boxes: Floats, rule: GroundingRule, preprocessing: Preprocessing
) -> tuple[Floats, NDArray[np.bool_]]:
    """The map and the boxes on the pixels where they are compared: the film's, or the encoder's input."""
    if rule.on == "film":
        heat = on_film(grid[None], shape, preprocessing.resize, rule.upsampling, seen=preprocessing.seen)[0]
        mask = box_mask(boxes, shape)
    else:
        size = preprocessing.size
        heat = upsample(grid[None], size, size, rule.upsampling)[0]
        if preprocessing.seen == 1:  # floored as MaCo floors
            placed = boxes_on_input(boxes, shape, size, preprocessing.resize)
        else:
            placed = placed_by(shape, preprocessing).forward(boxes, shape)
        mask = box_mask(placed, (size, size))
    return (min_max(heat) if rule.scaled else heat), mask


def mapped(one: Similarity, rule: GroundingRule, weights: Tensor | None) -> Mapped:
    """A question with the maps of `ways_of`."""
    return Mapped(one.pair, ways_of(one.grid, rule, weights), one.shape, one.boxes)


def score_questions(
    asked: list[Similarity],
    rule: GroundingRule,
    weights: Tensor | None,
    preprocessing: Preprocessing,
    manifest: Manifest,
) -> pd.DataFrame:
    """One row a question and way: ids, category, phrase and the numbers of `score_map`."""
    return score_maps((mapped(one, rule, weights) for one in asked), rule, preprocessing, manifest)


def score_maps(
    asked: Iterable[Mapped], rule: GroundingRule, preprocessing: Preprocessing, manifest: Manifest
) -> pd.DataFrame:
    """One row a question and map: ids, category, phrase and the numbers of `score_map`."""
    return pd.DataFrame(list(_rows(asked, rule, preprocessing, manifest)))


def summarise(scores: pd.DataFrame, *, draws: int, seed: int) -> dict[str, Any]:
    """Means with patient-level intervals of each way, over questions (micro) and over categories (macro).

    Returns:
        way -> metric -> `micro` and `macro`, `categories` (name -> metric -> estimate), `iou` (threshold -> mean),
        `empty` (questions with an empty prediction at some threshold).
    """
    found: dict[str, Any] = {}
    for way, part in scores.groupby("way", sort=False):
        resample = _resample(part, draws, seed)
        entry: dict[str, Any] = {
            metric: {
                "micro": _told(resample.mean(part[metric]).to_json(), part[metric]),
                "macro": _told(resample.macro(part[metric], part["category"].to_numpy(str)).to_json(), part[metric]),
            }
            for metric in METRICS
        }
        entry["iou"] = {str(threshold): _plain_mean(part[f"iou@{threshold}"]) for threshold in THRESHOLDS}
        entry["empty"] = int((part["empty"] > 0).sum())
        entry["categories"] = {
            str(name): {metric: _resample(group, draws, seed).mean(group[metric]).to_json() for metric in METRICS}
            for name, group in part.groupby("category")
        }
        found[str(way)] = entry
    return found


def differences(
    scores: pd.DataFrame, wanted: Sequence[tuple[str, str]] = PAIRS, *, draws: int, seed: int
) -> list[dict[str, Any]]:
    """Paired differences between ways, first minus second, micro and macro; pairs without their maps are left out."""
    table = scores.pivot(index="question", columns="way", values=list(METRICS))
    about = scores.drop_duplicates("question").set_index("question").loc[table.index]
    resample, categories = _resample(about, draws, seed), about["category"].to_numpy(str)
    ways = set(scores["way"])
    return [
        {"first": first, "second": second}
        | {
            metric: {
                "micro": resample.difference(table[metric][first], table[metric][second]).to_json(),
                "macro": resample.difference(table[metric][first], table[metric][second], categories).to_json(),
            }
            for metric in METRICS
        }
        for first, second in wanted
        if {first, second} <= ways
    ]


def question_items(scores: pd.DataFrame) -> pd.DataFrame:
    """One row a question for comparing encoders: the numbers of its main map, and of every map as `<metric>@<way>`.

    Args:
        scores: of `score_maps`.

    Returns:
        `item_id` (film, category, phrase), `image_id`, `patient_id`, `category`, `value.<metric>[@<way>]`.
    """
    ways = list(dict.fromkeys(scores["way"]))
    main = next(way for way in (*MAIN_WAYS, *ways) if way in ways)
    about = scores.drop_duplicates("question").set_index("question")
    name = about["image_id"].astype(str) + ": " + about["category"] + ": " + about["phrase"]
    again = name.groupby(name).cumcount()
    items = about[["image_id", "patient_id", "category"]].copy()
    items.insert(0, "item_id", name.where(again == 0, name + " #" + (again + 1).astype(str)))
    table = scores.pivot(index="question", columns="way", values=list(COMPARED))
    for metric in COMPARED:
        items[f"value.{metric}"] = table[metric][main]
    for way in ways:
        for metric in COMPARED:
            items[f"value.{metric}@{way}"] = table[metric][way]
    return items.reset_index(drop=True)


def _rows(
    asked: Iterable[Mapped], rule: GroundingRule, preprocessing: Preprocessing, manifest: Manifest
) -> Iterator[Mapping[str, Any]]:
    table = manifest.table
    for number, one in enumerate(asked):
        film = table.iloc[one.pair.row]
        about = {
            "question": number,
            "image_id": film["image_id"],
            "patient_id": film["patient_id"],
            "category": one.pair.category,
            "phrase": " | ".join(one.pair.phrases),
        }
        for way, grid in one.maps.items():
            yield {**about, "way": way, **score_map(grid, one.shape, one.boxes, rule, preprocessing)}


def _grid(patches: Tensor, phrases: list[Tensor], rule: GroundingRule) -> Floats:
    """Similarity of the patches (P, E) with one question's phrases: each (E,), or (W, E) where words are compared."""
    if rule.similarity == "words":
        grid: Floats = np.mean([word_map(patches, words) for words in phrases], axis=0)
    else:
        sentence = torch.stack(phrases).mean(dim=0, keepdim=True)
        grid = similarities(patches, sentence, cosine=rule.similarity == "cosine")[0]
    return grid


def _resample(part: pd.DataFrame, draws: int, seed: int) -> Resample:
    return Resample([same_patient(patient) for patient in part["patient_id"]], draws=draws, seed=seed)


def _told(estimate: dict[str, Any], values: pd.Series[float]) -> dict[str, Any]:
    """An estimate that rests on fewer questions than were asked says so."""
    missing = int(values.isna().sum())
    reason = f"undefined for {missing} of {len(values)} questions" if missing and not estimate["reason"] else ""
    return estimate | ({"reason": reason} if reason else {})


def _plain_mean(values: pd.Series[float]) -> float | None:
    return None if values.isna().all() else float(values.mean())
