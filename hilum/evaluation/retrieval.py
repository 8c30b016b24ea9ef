"""Find the report of a film, the film of a report, and films like a film; every number beside its chance level.

Three ways to count a hit, side by side: `study` (any item of the query's study), `text` (also items of other studies
whose report is word for word the same) and `pair` (only the query's own film or report, whose twins in the study then
count as wrong). Reports enter the gallery once a study, except under `pair`, where every film brings its own copy.

Retrieval by class asks less and says more where reports repeat: which share of the first k items has the query's
finding, and the same finding on the same side. Items of the query's own study are left out there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hilum.errors import ManifestError
from hilum.evaluation.mentions import Side, affirming_sentences, sides_of
from hilum.heads.prompt_file import Prompts
from hilum.heads.retrieval import rank_hits, share_of_class
from hilum.labels import LabelPolicy, targets_of
from hilum.manifest import Manifest, same_patient
from hilum.metrics.resample import Resample
from hilum.metrics.retrieval import CUTOFFS, Ranks, chance_rank, chance_recall, first_rank, recall_at
from hilum.reports import Reports, normalised

Direction = Literal["image_to_report", "report_to_image", "image_to_image"]
Hit = Literal["study", "text", "pair"]

CLASS_K: Final = 10  # items looked at for the share of a class
_SIDES: Final[dict[str, frozenset[Side]]] = {
    "left": frozenset({"left"}),
    "right": frozenset({"right"}),
    "both sides": frozenset({"left", "right"}),
}
FEWEST: Final = 2  # films of a class without which nothing can be found


@dataclass(frozen=True)
class Items:
    """One side of a search: vectors and what they stand for; M items."""

    vectors: Tensor  # (M, E) float32
    film: NDArray[np.int64]  # (M,) row of the film; of a report: the first film it belongs to
    study: NDArray[np.int64]  # (M,)
    group: NDArray[np.int64]  # (M,) the same number for the same study or the same text

    def __len__(self) -> int:
        return len(self.film)

    def take(self, rows: NDArray[Any]) -> Items:
        """Some of the items, in this order."""
        return Items(self.vectors[torch.from_numpy(rows)], self.film[rows], self.study[rows], self.group[rows])


@dataclass(frozen=True)
class Archive:
    """Films and reports of one split, ready to be searched."""

    manifest: Manifest
    reports: Reports
    films: Items  # every film
    pairs: Items  # text vectors, one copy for each film with a report

    @property
    def distinct_reports(self) -> Items:
        """Text vectors, one for each report of a study."""
        texts = [(study, normalised(self.reports.texts[row])) for study, row in zip(*self._pair_keys(), strict=True)]
        first = {key: place for place, key in reversed(list(enumerate(texts)))}
        return self.pairs.take(np.array(sorted(first.values()), dtype=np.int64))

    @property
    def with_report(self) -> Items:
        """Films that have a report."""
        return self.films.take(self.pairs.film)

    @property
    def patients(self) -> NDArray[np.str_]:
        """(N,) of all films."""
        return np.array([same_patient(patient) for patient in self.manifest.table["patient_id"]], dtype=str)

    def _pair_keys(self) -> tuple[list[int], list[int]]:
        return self.pairs.study.tolist(), self.pairs.film.tolist()


def make_archive(manifest: Manifest, reports: Reports, films: Tensor, texts: Tensor, *, cosine: bool = True) -> Archive:
    """Bring vectors and ids together.

    Args:
        manifest: N films.
        reports: their texts and groups.
        films: (N, E) raw film vectors.
        texts: (T, E) raw vectors of the films that have a report, in row order.
        cosine: compare directions; False compares raw products.

    Raises:
        ManifestError: fewer than two studies have a report, so that nothing can be mistaken for anything.
    """
    if cosine:
        films, texts = F.normalize(films, dim=-1), F.normalize(texts, dim=-1)
    table = manifest.table
    keys = [(same_patient(p), s) for p, s in zip(table["patient_id"], table["study_id"], strict=True)]
    number = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    study = np.array([number[key] for key in keys], dtype=np.int64)
    rows = np.flatnonzero(reports.present)
    if np.unique(study[rows]).size < 2:
        raise ManifestError(
            f"{len(rows)} of the {len(manifest)} films have a report, of {np.unique(study[rows]).size} studies",
            where=manifest.root,
            fix="Retrieval needs reports of two studies or more: check the columns report and study_id, and --split",
        )
    everything = np.arange(len(manifest))
    return Archive(
        manifest,
        reports,
        Items(films, everything, study, reports.groups),
        Items(texts, rows, study[rows], reports.groups[rows]),
    )


def rank_all(archive: Archive) -> dict[Direction, dict[Hit, tuple[Items, Ranks]]]:
    """The queries of every direction and their ranks under every way to count a hit."""
    films, pairs, reports = archive.with_report, archive.pairs, archive.distinct_reports
    own = np.arange(len(films))
    found: dict[Direction, dict[Hit, tuple[Items, Ranks]]] = {
        "image_to_report": _both(films, reports) | {"pair": (films, _rank(films, pairs, own, own))},
        "report_to_image": _both(reports, films) | {"pair": (pairs, _rank(pairs, films, own, own))},
        "image_to_image": _both(archive.films, archive.films, own=archive.films.film),
    }
    return found


def direction_results(ranked: dict[Hit, tuple[Items, Ranks]], archive: Archive, **resampling: Any) -> dict[str, Any]:
    """Recall at 1, 5, 10 and median rank with intervals and chance levels, a plain JSON entry for each kind of hit."""
    found: dict[str, Any] = {}
    for hit, (queries, ranks) in ranked.items():
        resample = Resample(archive.patients[queries.film], **resampling)
        some = ranks.hits > 0
        if not some.any():
            found[hit] = {"queries": 0, "reason": "no query has a hit in the gallery"}
            continue
        found[hit] = {
            "queries": int(some.sum()),
            "without_hit": int((~some).sum()),
            "gallery": int(ranks.gallery[some].max()),
            "recall": {
                str(k): {**resample.mean(recall_at(ranks, k)).to_json(), "chance": _mean(chance_recall(ranks, k))}
                for k in CUTOFFS
            },
            "median_rank": {
                **resample.median(first_rank(ranks)).to_json(),
                "chance": float(np.nanmedian(chance_rank(ranks))),
            },
        }
    return found


def rank_table(ranked: dict[Direction, dict[Hit, tuple[Items, Ranks]]], archive: Archive) -> pd.DataFrame:
    """One row a query, direction and kind of hit: ids, expected rank, recall at 1, 5, 10, gallery size."""
    ids = archive.manifest.table[["image_id", "study_id", "patient_id"]]
    parts = []
    for direction, hits in ranked.items():
        for hit, (queries, ranks) in hits.items():
            part = ids.iloc[queries.film].reset_index(drop=True)
            part = part.assign(direction=direction, hit=hit, rank=first_rank(ranks), gallery=ranks.gallery)
            parts.append(part.assign(**{f"recall@{k}": recall_at(ranks, k) for k in CUTOFFS}))
    return pd.concat(parts, ignore_index=True)


def query_items(ranks: pd.DataFrame) -> pd.DataFrame:
    """One row a query and direction for comparing encoders; a hit is any item of the query's study.

    Args:
        ranks: of `rank_table`.

    Returns:
        `item_id`, `image_id`, `patient_id`, `category` (the direction), `value.recall@10`, `@1`, `@5` and
        `value.reciprocal_rank`, one over the expected rank of the first hit; NaN for a query without a hit.
    """
    table = ranks[ranks["hit"] == "study"].reset_index(drop=True)
    category = table["direction"].str.replace("_", " ")
    items = pd.DataFrame({"item_id": category + ": " + table["image_id"].astype(str)})
    items = items.assign(image_id=table["image_id"], patient_id=table["patient_id"], category=category)
    for k in sorted(CUTOFFS, key=lambda k: k != max(CUTOFFS)):
        items[f"value.recall@{k}"] = table[f"recall@{k}"]
    return items.assign(**{"value.reciprocal_rank": 1 / table["rank"]})


def film_classes(archive: Archive, findings: Sequence[str], prompts: Prompts | None) -> dict[str, NDArray[np.float32]]:
    """Class memberships (N,) of 1, 0 and NaN: each finding, and each finding by the side its report names.

    Args:
        archive: the films.
        findings: label columns.
        prompts: whose terms find the sentence about a finding; None or a finding without terms gives no sides.
    """
    targets = targets_of(archive.manifest, findings, LabelPolicy()) if findings else np.zeros((len(archive.films), 0))
    found: dict[str, NDArray[np.float32]] = {}
    for column, finding in enumerate(findings):
        member = targets[:, column].astype(np.float32)
        found[finding] = member
        terms = prompts[finding].terms if prompts is not None and finding in prompts else ()
        if not terms:
            continue
        sides = [
            sides_of(" ".join(affirming_sentences(text, terms))) if positive == 1 else frozenset[Side]()
            for text, positive in zip(archive.reports.texts, member, strict=True)
        ]
        for name, wanted in _SIDES.items():
            here = np.array([side == wanted for side in sides])
            unsaid = (member == 1) & np.array([not side for side in sides])
            on_side = np.where(unsaid | np.isnan(member), np.nan, here.astype(np.float32)).astype(np.float32)
            if here.sum() >= FEWEST:
                found[f"{finding}, {name}"] = on_side
    return {name: member for name, member in found.items() if (member == 1).sum() >= FEWEST and (member == 0).any()}


def class_results(
    archive: Archive, classes: dict[str, NDArray[np.float32]], **resampling: Any
) -> dict[Direction, dict[str, Any]]:
    """Share of the first `CLASS_K` items with the query's class: class -> mean with interval, films, chance level."""
    films, reports = archive.films, archive.distinct_reports
    sides: dict[Direction, tuple[Items, Items]] = {
        "image_to_report": (archive.with_report, reports),
        "report_to_image": (reports, films),
        "image_to_image": (films, films),
    }
    found: dict[Direction, dict[str, Any]] = {}
    for direction, (queries, gallery) in sides.items():
        found[direction] = {
            name: entry
            for name, member in classes.items()
            if (entry := _class_entry(archive, queries, gallery, member, resampling)) is not None
        }
    return found


def _class_entry(
    archive: Archive, queries: Items, gallery: Items, member: NDArray[np.float32], resampling: dict[str, Any]
) -> dict[str, Any] | None:
    asked = queries.take(np.flatnonzero(member[queries.film] == 1))
    known = gallery.take(np.flatnonzero(~np.isnan(member[gallery.film])))
    belongs = member[known.film] == 1
    if len(asked) < FEWEST or belongs.all() or not belongs.any():
        return None
    share = share_of_class(
        asked.vectors,
        known.vectors,
        torch.from_numpy(belongs),
        CLASS_K,
        query_study=torch.from_numpy(asked.study),
        gallery_study=torch.from_numpy(known.study),
    )
    own, own_belongs = (
        np.bincount(known.study, weights=weights, minlength=int(max(known.study.max(), asked.study.max())) + 1)
        for weights in (np.ones(len(known)), belongs.astype(np.float64))
    )
    left = len(known) - own[asked.study]
    chance = np.divide(belongs.sum() - own_belongs[asked.study], left, out=np.full(len(asked), np.nan), where=left > 0)
    estimate = Resample(archive.patients[asked.film], **resampling).mean(share)
    return {**estimate.to_json(), "chance": _mean(chance), "gallery": len(known)}


def _both(queries: Items, gallery: Items, *, own: NDArray[np.int64] | None = None) -> dict[Hit, tuple[Items, Ranks]]:
    pairs: tuple[tuple[Hit, NDArray[np.int64], NDArray[np.int64]], ...] = (
        ("study", queries.study, gallery.study),
        ("text", queries.group, gallery.group),
    )
    return {hit: (queries, _rank(queries, gallery, one, two, own)) for hit, one, two in pairs}


def _rank(
    queries: Items, gallery: Items, one: NDArray[Any], two: NDArray[Any], own: NDArray[Any] | None = None
) -> Ranks:
    itself = None if own is None or queries is not gallery else torch.from_numpy(own)
    groups = (torch.from_numpy(np.ascontiguousarray(side)) for side in (one, two))
    return rank_hits(queries.vectors, gallery.vectors, *groups, own=itself)


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.nanmean(values))
