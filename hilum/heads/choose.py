"""What validation films decide: which weights are kept (macro AUROC), and the thresholds.

A threshold has the largest F1, or reaches a given sensitivity or specificity: "max-f1", "sensitivity=0.9",
"specificity=0.9".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ConfigError, ManifestError
from hilum.metrics.operating_point import best_f1_threshold, threshold_at_sensitivity, threshold_at_specificity
from hilum.metrics.ranking import auroc

DEFAULT_THRESHOLD: Final = 0.5
MAX_F1: Final = "max-f1"


@dataclass(frozen=True)
class ThresholdRule:
    """How the threshold of a finding is chosen on validation films."""

    kind: Literal["max-f1", "sensitivity", "specificity"] = "max-f1"
    target: float | None = None  # to reach, in (0, 1]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `"max-f1"`, `"sensitivity=0.9"` or `"specificity=0.9"`.

        Raises:
            ConfigError: anything else.
        """
        kind, equals, value = text.partition("=")
        if text == MAX_F1:
            return cls()
        try:
            target = float(value)
        except ValueError:
            target = 0.0
        if kind not in ("sensitivity", "specificity") or not equals or not 0 < target <= 1:
            fix = "Use max-f1, sensitivity=0.9 or specificity=0.9"
            raise ConfigError(f"{text!r} is no rule for thresholds", where="threshold", fix=fix)
        return cls(kind, target)  # type: ignore[arg-type]

    def __str__(self) -> str:
        """In words, for cards and pages."""
        return "largest F1" if self.target is None else f"{self.kind} of at least {self.target:g}"

    def choose(self, targets: NDArray[np.floating], scores: NDArray[np.floating]) -> float | None:
        """The threshold of one finding, (N,) each; None without a positive or without a negative."""
        if self.target is None:
            return best_f1_threshold(targets, scores)
        at = threshold_at_sensitivity if self.kind == "sensitivity" else threshold_at_specificity
        return at(targets, scores, self.target)


def macro_auroc(targets: NDArray[np.floating], scores: NDArray[np.floating]) -> float | None:
    """Mean AUROC over the findings that have both classes; None when none has, or a score is not finite.

    Args:
        targets: (N, K) of 1, 0, NaN.
        scores: (N, K), larger means more likely present.
    """
    if not np.isfinite(scores).all():
        return None
    each = [auroc(targets[:, column], scores[:, column]) for column in range(targets.shape[1])]
    defined = [value for value in each if value is not None]
    return float(np.mean(defined)) if defined else None


def choose_thresholds(
    targets: NDArray[np.floating], scores: NDArray[np.floating], findings: Sequence[str], rule: str = MAX_F1
) -> tuple[dict[str, float], dict[str, str]]:
    """The threshold that a rule gives each finding on validation films, and notes where there is none.

    A finding without a positive or without a negative among these films cannot choose; it keeps 0.5, and the
    note says so.

    Args:
        targets: (N, K) of 1, 0, NaN.
        scores: (N, K) probabilities.
        findings: the K names.
        rule: as `ThresholdRule.parse` reads it.

    Raises:
        ConfigError: no such rule.
    """
    way = ThresholdRule.parse(rule)
    thresholds, notes = {}, {}
    for column, finding in enumerate(findings):
        chosen = way.choose(targets[:, column], scores[:, column])
        thresholds[finding] = DEFAULT_THRESHOLD if chosen is None else chosen
        if chosen is None:
            missing = "positives" if not (targets[:, column] == 1).any() else "negatives"
            notes[finding] = f"no {missing} in validation: the threshold is {DEFAULT_THRESHOLD}, not chosen"
    return thresholds, notes


def check_choosable(targets: NDArray[np.floating], *, split: str = "val") -> None:
    """Refuse validation films on which no AUROC is defined: nothing could be chosen by them.

    Raises:
        ManifestError: no finding has both classes.
    """
    if not any((column == 1).any() and (column == 0).any() for column in targets.T):
        raise ManifestError(
            f"the {split} split ({len(targets)} films) has both classes of no finding: nothing can be chosen",
            where="labels",
            fix="Give the val split labelled films with and without the finding",
        )
