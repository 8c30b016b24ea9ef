"""Maps of any head put to the question of boxes: does the hottest place lie on the finding?

Beside each map stand those that it has to beat: the head's queries where it has some, the class token of the encoder,
which looks at the same places whatever the finding, and the centre of the film, which has learned nothing. A point
drawn at random lies in a box as often as the box is large; that share is `chance`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.evaluation.features import Runner
from hilum.evaluation.grounding import Mapped
from hilum.evaluation.prediction.explained import Explained, is_convolution, load_explained
from hilum.evaluation.prediction.maps import EVERY, Way, film_maps, names_of, resolve_way
from hilum.evaluation.query_maps import FilmMaps, QueryModel
from hilum.evaluation.query_maps import film_maps as query_maps
from hilum.heads.grounding import box_mask, centre_prior
from hilum.manifest import Manifest

Floats = NDArray[np.float64]

MEASURED: Final = ("pointing", "miou", "dice", "cnr")  # of an item, the one that decides first


@dataclass(frozen=True)
class Traced:
    """A model and the way in which its answers are traced to places."""

    model: Explained
    way: Way

    @property
    def record(self) -> Any:
        """Findings, label policy, origin."""
        return self.model.record

    @property
    def names(self) -> tuple[str, ...]:
        """What it can be asked about."""
        return self.model.names

    @property
    def preprocessing(self) -> Any:
        """How a film becomes its input."""
        return self.model.preprocessing


@dataclass(frozen=True)
class TracedMaps:
    """The maps of one film: those asked for, and what stands beside them."""

    way: Way
    maps: Floats  # (M, S, S), or (1, S, S) where all findings have the same
    beside: FilmMaps | None  # queries and class token of a head with queries
    class_token: Floats | None

    def ways(self, query: int) -> dict[str, Floats]:
        """The maps (S, S) that are compared on a question about one finding."""
        own: dict[str, Floats] = {self.way: self.maps[query if len(self.maps) > 1 else 0]}
        if self.beside is not None:
            return own | self.beside.ways(query)
        looked = {} if self.class_token is None else {"class_token": self.class_token}
        return own | looked | {"centre": centre_prior(self.maps.shape[-1])}


def load_traced(run: str | Path, maps: str) -> Traced:
    """A run of `hilum adapt` and the way of making maps that is meant.

    Raises:
        CheckpointError: the folder holds no classifier or model of risk.
        ConfigError: no such way, or not with this encoder.
    """
    model = load_explained(run)
    return Traced(model, resolve_way(model, maps))


def traced_maps(traced: Traced, manifest: Manifest, rows: Sequence[int], runner: Runner) -> dict[int, TracedMaps]:
    """Maps of some films of a manifest, by row."""
    model, way = traced.model, traced.way
    part = Manifest(manifest.table.iloc[list(rows)].reset_index(drop=True), manifest.root)
    maps = film_maps(model, part, way, runner=runner)
    if model.has_queries:
        queries = QueryModel(model.backbone, model.head, model.preprocessing, model.names, model.record)
        asked = query_maps(queries, manifest, rows, runner)
        return {row: TracedMaps(way, one, asked[row], None) for row, one in zip(rows, maps, strict=True)}
    if is_convolution(model) or not model.backbone.config.class_token:
        return {row: TracedMaps(way, one, None, None) for row, one in zip(rows, maps, strict=True)}
    looks = film_maps(model, part, "attention", runner=runner)
    return {row: TracedMaps(way, one, None, look[0]) for row, one, look in zip(rows, maps, looks, strict=True)}


def chances(asked: Sequence[Mapped]) -> Floats:
    """How often a point drawn at random lies in the boxes of each question: their share of the film, (N,)."""
    found: Floats = np.array([box_mask(one.boxes, one.shape).mean() for one in asked], dtype=np.float64)
    return found


def items_of(scores: pd.DataFrame, way: str, chance: Floats) -> pd.DataFrame:
    """One row a question: the numbers of one way, the pointing game of the centre, and of a point drawn at random.

    Args:
        scores: of `score_maps`.
        way: whose numbers count.
        chance: (questions,) of `chances`.
    """
    table = scores[scores["way"] == way].reset_index(drop=True)
    centre = scores[scores["way"] == "centre"].set_index("question")["pointing"]
    items = table[["image_id", "patient_id", "category"]].copy()
    items.insert(0, "item_id", table["image_id"] + ":" + table["category"])
    for name in MEASURED:
        items[f"value.{name}"] = table[name]
    items["value.pointing_centre"] = centre.loc[table["question"]].to_numpy()
    items["value.pointing_chance"] = chance[table["question"].to_numpy()]
    return items


def chance_note(items: pd.DataFrame) -> str:
    """What a point drawn at random scores, in words, by category."""
    column = "value.pointing_chance"
    each = ", ".join(f"{name} {100 * share:.1f} %" for name, share in items.groupby("category")[column].mean().items())
    return f"Chance: a point drawn at random lies in a box {100 * items[column].mean():.1f} % of the time ({each})."


def way_note(traced: Traced) -> str:
    """A word on maps that do not depend on the finding; empty elsewhere."""
    if names_of(traced.model, traced.way) == (EVERY,):
        return f"The maps ({traced.way}) are the same for every finding of a film: the head has no queries of its own."
    return ""
