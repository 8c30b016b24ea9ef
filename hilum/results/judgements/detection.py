"""Found boxes against true ones: COCO's averages and sensitivities, by finding.

A film is the item, with all its boxes; a finding the category. `found.parquet` and `truth.parquet` are the tables of
`hilum.metrics.detection`; a film without a box stands in the truth with a blank one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.metrics.bootstrap import Counts
from hilum.metrics.detection.bootstrap import NO_BOX, DetectionBootstrap, bootstrap_detection
from hilum.metrics.detection.tables import BOX, FOUND, TRUTH
from hilum.results.judgement import Metric, Replicates, Tests, read_table

METRICS: Final = {
    "ap50": Metric("AP50"),
    "ap": Metric("AP"),
    "ar": Metric("AR"),
    "sensitivity@0.25": Metric("Sensitivity at 0.25 false positives a film"),
    "sensitivity@0.5": Metric("Sensitivity at 0.5 false positives a film"),
    "sensitivity@1": Metric("Sensitivity at 1 false positive a film"),
}


@dataclass(frozen=True)
class BoxesFound:
    """N films with their boxes."""

    items: NDArray[np.str_]  # (N,) image ids
    patients: NDArray[np.str_]  # (N,)
    categories: tuple[str, ...]
    found: pd.DataFrame
    truth: pd.DataFrame
    noun: str = "films"
    metrics: Mapping[str, Metric] = field(default_factory=lambda: METRICS)
    made: dict[tuple[int, int], DetectionBootstrap] = field(default_factory=dict, repr=False, compare=False)

    def select(self, categories: Sequence[str]) -> Self:
        """Only these findings; films without any of them stay, as films without a box."""
        return replace(self, categories=tuple(categories), made={})

    def reorder(self, rows: NDArray[np.intp]) -> Self:
        """The films in another order."""
        return replace(self, items=self.items[rows], patients=self.patients[rows])

    def disagreement(self, other: Self) -> str:
        """Whether the true boxes differ."""
        mine, theirs = (set(side._true_boxes()) for side in (self, other))
        differing = sorted({box[0] for box in mine ^ theirs})
        return f"the true boxes of {len(differing)} differ, the first is {str(differing[0])!r}" if differing else ""

    def replicates(self, metric: str, draws: int, seed: int) -> Replicates:
        """Each finding in each draw of patients."""
        if (draws, seed) not in self.made:
            self.made[draws, seed] = bootstrap_detection(
                self.found, self.truth, categories=self.categories, draws=draws, seed=seed
            )
        rated = self.made[draws, seed]
        points = rated.points[metric]
        return Replicates(
            self.categories,
            points,
            rated.replicates[metric],
            tuple(Counts(rated.n, rated.n_patients, images) for images in rated.images),
            tuple(NO_BOX if np.isnan(point) else "" for point in points),
        )

    def tests(self, other: Self, metric: str, permutations: int, seed: int) -> Tests | None:
        """None: average precision has no swap of patients that would cost less than a bootstrap; its p is shown."""
        del other, metric, permutations, seed
        return None

    def _true_boxes(self) -> list[tuple[str, str, tuple[float, ...]]]:
        rows = self.truth[self.truth["category"].isin(self.categories)]
        boxes = [tuple(box) for box in rows[BOX].to_numpy(np.float64).round(3).tolist()]
        return list(zip(rows["image_id"].astype(str), rows["category"].astype(str), boxes, strict=True))


def open_detection(folder: Path, results: Mapping[str, Any]) -> BoxesFound:
    """Read found.parquet and truth.parquet."""
    del results
    truth, found = read_table(folder, "truth", TRUTH), read_table(folder, "found", FOUND)
    films = truth.drop_duplicates("image_id")
    return BoxesFound(
        items=films["image_id"].to_numpy(dtype=str),
        patients=films["patient_id"].to_numpy(dtype=str),
        categories=tuple(sorted(set(truth["category"].fillna("").astype(str)) - {""})),
        found=found,
        truth=truth,
    )
