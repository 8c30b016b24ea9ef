"""Metrics: NumPy in, numbers out; no torch.

Every entry of `METRICS` has one signature, `f(labels, scores, counts=None) -> float | None`: labels 1, 0 or
NaN (blank, left out), one score an image (larger = more likely present), whole-number counts (how often each
image is taken; all 1 by default). `None` means that the metric is undefined on this input, which is never NaN
and never a warning. `tests/metrics/test_metrics_conformance.py` holds every entry to that.

Intervals, tests, calibration and subgroups are functions of their own, one idea a file (docs/statistics.md); what all
of them keep is in `tests/metrics/test_statistics_conformance.py`.
"""

from __future__ import annotations

from typing import Final

METRICS: Final[dict[str, str]] = {
    "auroc": "hilum.metrics.ranking:auroc",
    "auprc": "hilum.metrics.ranking:average_precision",
    "sensitivity": "hilum.metrics.operating_point:sensitivity",
    "specificity": "hilum.metrics.operating_point:specificity",
    "f1": "hilum.metrics.operating_point:f1",
    "accuracy": "hilum.metrics.operating_point:accuracy",
    "brier": "hilum.metrics.calibration:brier",
    "ece": "hilum.metrics.calibration:expected_calibration_error",
}
