"""Patient-level bootstrap of detection: AP, AP50, AR and sensitivities, per finding and macro, and paired differences.

Patients are drawn with all their images; every finding and every compared model sees the same draws. A replicate
without a true box of a finding says nothing about it and is skipped for it, and `Estimate.draws` states how many were
used. The macro value is the mean over findings with a true box; in each replicate, over those that it drew.

Source: Efron 1979 (percentile bootstrap); Field and Welsh 2007 (resampling whole clusters).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.metrics.detection.coco import coco_scores
from hilum.metrics.detection.matching import rank
from hilum.metrics.detection.tables import Scenes, read_scenes
from hilum.metrics.detection.weighted import RATES, Rated, rate
from hilum.metrics.estimate import Difference, Estimate, percentile_interval, two_sided_share
from hilum.metrics.replicates import draw_blocks

Floats = NDArray[np.float64]

SENSITIVITIES: Final = tuple(f"sensitivity@{allowed:g}" for allowed in RATES)  # false positives an image
DETECTION_METRICS: Final = ("ap", "ap50", "ar", *SENSITIVITIES)
NO_BOX: Final = "no true box of this finding"
ONE_PATIENT: Final = "one patient: no interval"
NOT_PAIRED: Final = "a paired difference needs the same images, true boxes, draws and seed on both sides"


@dataclass(frozen=True)
class DetectionBootstrap:
    """Point values and replicates of every metric; NaN in the arrays marks "undefined"."""

    findings: tuple[str, ...]
    boxes: tuple[int, ...]  # true boxes of each finding
    images: tuple[int, ...]  # images with a true box of it
    n: int  # images judged
    n_patients: int
    points: Mapping[str, Floats]  # metric -> (K,)
    replicates: Mapping[str, Floats]  # metric -> (K, draws)
    draws: int
    confidence: float
    pairing: str  # digest of images, truth, draws and seed: what two paired results must share

    def estimate(self, metric: str, finding: str) -> Estimate:
        """One finding's metric with its percentile interval; `n_positive` counts images with a true box."""
        row = self.findings.index(finding)
        return self._estimate(self.points[metric][row], self.replicates[metric][row], self.images[row])

    def macro(self, metric: str) -> Estimate:
        """The mean over the findings with a true box, with its interval; `n_positive` sums their images."""
        point, replicates = _mean_defined(self.points[metric][:, None])[0], _mean_defined(self.replicates[metric])
        return self._estimate(point, replicates, sum(self.images))

    def difference(self, other: DetectionBootstrap, metric: str, finding: str | None = None) -> Difference:
        """Paired difference, this one minus `other`, of a finding, or macro where none is named.

        Raises:
            ValueError: the two are not of the same images, true boxes and draws.
        """
        if self.pairing != other.pairing:
            raise ValueError(NOT_PAIRED)
        if finding is None:
            gap = float(_mean_defined((self.points[metric] - other.points[metric])[:, None])[0])
            gaps = _mean_defined(self.replicates[metric]) - _mean_defined(other.replicates[metric])
        else:
            row = self.findings.index(finding)
            gap = float(self.points[metric][row] - other.points[metric][row])
            gaps = self.replicates[metric][row] - other.replicates[metric][row]
        if np.isnan(gap):
            return Difference(None, None, None, None, 0, NO_BOX)
        if self.n_patients < 2:
            return Difference(gap, None, None, None, 0, ONE_PATIENT)
        low, high, used = percentile_interval(gaps, self.confidence)
        return Difference(gap, low, high, two_sided_share(gaps), used)

    def _estimate(self, point: float, replicates: Floats, positive: int) -> Estimate:
        if np.isnan(point):
            return Estimate(None, None, None, self.n, self.n_patients, positive, 0, NO_BOX)
        if self.n_patients < 2:
            return Estimate(float(point), None, None, self.n, self.n_patients, positive, 0, ONE_PATIENT)
        low, high, used = percentile_interval(replicates, self.confidence)
        reason = "" if used else "no usable draw: no interval"
        return Estimate(float(point), low, high, self.n, self.n_patients, positive, used, reason)


def bootstrap_detection(
    found: pd.DataFrame,
    truth: pd.DataFrame,
    *,
    categories: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> DetectionBootstrap:
    """Rate found boxes against true ones.

    Args:
        found: image_id, patient_id, category, x, y, w, h, score; a row a box.
        truth: the same without score; an image without boxes has one row with NaN and category "".
        categories: findings in the order wanted; None: those of the true boxes.
        draws: bootstrap replicates.
        seed: of the draws.
        confidence: coverage of the intervals, in (0, 1).

    Raises:
        ValueError: tables that `read_scenes` refuses, or numbers out of range.
    """
    if not 0 < confidence < 1 or draws < 0:
        raise ValueError(f"confidence must lie in (0, 1) and draws be >= 0, got {confidence} and {draws}")
    scenes = read_scenes(found, truth, categories)
    ranked = [rank(scenes, k) for k in range(len(scenes.categories))]
    points = {**points_of(scenes), **coco_scores(scenes)}
    rates, parts = np.array(RATES), dict[str, list[Floats]]()
    for counts in draw_blocks(len(scenes.patients), draws, seed):
        for name, values in _named([rate(one, scenes.patient, counts, rates) for one in ranked]).items():
            parts.setdefault(name, []).append(values)
    nothing = np.empty((len(scenes.categories), 0))
    replicates = {
        name: np.concatenate([nothing, *parts.get(name, [])], axis=1)[:, :draws] for name in DETECTION_METRICS
    }
    return DetectionBootstrap(
        findings=scenes.categories,
        boxes=tuple(int(one.positives.sum()) for one in ranked),
        images=tuple(int((one.positives > 0).sum()) for one in ranked),
        n=len(scenes.images),
        n_patients=len(scenes.patients),
        points=points,
        replicates=replicates,
        draws=draws,
        confidence=confidence,
        pairing=_pairing(scenes, draws, seed),
    )


def detection_points(
    found: pd.DataFrame, truth: pd.DataFrame, categories: Sequence[str] | None = None
) -> dict[str, Floats]:
    """Every metric without intervals, metric -> (K,), NaN where undefined: quick enough for each epoch of a training.

    Raises:
        ValueError: tables that `read_scenes` refuses.
    """
    return points_of(read_scenes(found, truth, categories))


def macro_value(values: Floats) -> float | None:
    """Mean of the defined values (K,); None where none is."""
    mean = float(_mean_defined(values[:, None])[0])
    return None if np.isnan(mean) else mean


def points_of(scenes: Scenes, counts: NDArray[np.uint8] | None = None) -> dict[str, Floats]:
    """Every metric (K,) where patients (P,) count so often, each once where None."""
    ones = np.ones(len(scenes.patients), np.uint8) if counts is None else counts
    rated = [
        rate(rank(scenes, k), scenes.patient, ones[:, None], np.array(RATES)) for k in range(len(scenes.categories))
    ]
    return {name: values[:, 0] for name, values in _named(rated).items()}


def _named(rated: Sequence[Rated]) -> dict[str, Floats]:
    """Metric -> (K, L)."""
    if not rated:
        return {name: np.empty((0, 1)) for name in DETECTION_METRICS}
    found = {
        "ap": np.stack([one.precision.mean(axis=0) for one in rated]),
        "ap50": np.stack([one.precision[0] for one in rated]),
        "ar": np.stack([one.recall.mean(axis=0) for one in rated]),
    }
    for row, name in enumerate(SENSITIVITIES):
        found[name] = np.stack([one.sensitivity[row] for one in rated])
    return found


def _mean_defined(rows: Floats) -> Floats:
    """Mean over findings (K, R) -> (R,), undefined ones left out; NaN where none is defined."""
    known = ~np.isnan(rows)
    count = known.sum(axis=0)
    found = np.full(rows.shape[1], np.nan)
    np.divide(np.where(known, rows, 0.0).sum(axis=0), count, out=found, where=count > 0)
    return found


def _pairing(scenes: Scenes, draws: int, seed: int) -> str:
    """Digest of what two results must share to be compared draw by draw."""
    total = hashlib.sha256()
    for text in (*scenes.images, *scenes.patients, *scenes.categories, str(draws), str(seed)):
        total.update(f"{text}\n".encode())
    for array in (scenes.patient, scenes.truth.image, scenes.truth.category, scenes.truth.box):
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
