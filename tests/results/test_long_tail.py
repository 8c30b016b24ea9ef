"""Bins of prevalence: means of their findings, empty bins, and findings that cannot be judged."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.metrics.bootstrap import bootstrap
from hilum.results.long_tail import long_tail_results

NAMES = ("common", "rare", "rarer", "never", "unlabelled")


def test_each_bin_is_the_mean_of_its_findings() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((500, 5)) < [0.3, 0.05, 0.04, 0.0, 0.5]).astype(float)
    labels[:, 4] = np.nan
    judged = bootstrap(labels, rng.random((500, 5)) + labels, np.arange(500) // 2, findings=NAMES, draws=50)
    found = long_tail_results(judged, (0.01, 0.1))
    rarest, rare, common = found["bins"]
    assert (rarest["findings"], rarest["undefined"], rarest["auroc"]["value"]) == (["never"], ["never"], None)
    assert rare["findings"] == ["rare", "rarer"]
    assert rare["auroc"]["value"] == pytest.approx(judged.points["auroc"][1:3].mean())
    assert rare["auroc"]["low"] == pytest.approx(np.quantile(judged.replicates["auroc"][1:3].mean(axis=0), 0.025))
    assert common["findings"] == ["common"]
    assert common["auprc"] == judged.estimate("auprc", "common").to_json()
    assert [one["findings"] for one in long_tail_results(judged, ())["bins"]] == [["common", "rare", "rarer", "never"]]


def test_prevalence_of_training_counts_where_it_is_known_for_all() -> None:
    labels = np.tile([[1.0, 0.0], [0.0, 1.0]], (20, 1))
    judged = bootstrap(labels, labels, np.arange(40), findings=("a", "b"), draws=5)
    assert long_tail_results(judged)["counted_on"] == "these films"
    found = long_tail_results(judged, (0.1,), {"a": (1, 99), "b": (50, 50)})
    assert found["counted_on"] == "training films"
    assert [one["findings"] for one in found["bins"]] == [["a"], ["b"]]
    assert long_tail_results(judged, (0.1,), {"a": (1, 99)})["counted_on"] == "these films"
