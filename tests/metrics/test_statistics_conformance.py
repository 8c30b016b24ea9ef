"""What every statistic keeps, whatever it is called on: never NaN, no order of rows, no names, no scale, symmetry."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.metrics.bootstrap import bootstrap
from hilum.metrics.delong import delong, delong_test
from hilum.metrics.net_benefit import decision_curve, net_benefit
from hilum.metrics.operating_point import threshold_at_sensitivity, threshold_at_specificity
from hilum.metrics.permutation import permutation_test, permute_findings, permute_items
from hilum.metrics.resample import Resample
from hilum.metrics.scaling import fit_platt, fit_temperature
from hilum.metrics.subgroups import subgroup_gaps
from tests.metrics.drawn_films import Films, films, quick

DRAWS = 20


def judged(f: Films, interval: str = "percentile") -> dict[str, Any]:
    run = bootstrap(
        f.labels[:, None],
        f.first[:, None],
        f.patients,
        findings=("Mass",),
        operating_points={"0.5": [0.5]},
        draws=DRAWS,
        interval=interval,
    )
    return {metric: (run.estimate(metric, "Mass"), run.macro(metric)) for metric in run.points}


def values(f: Films) -> np.ndarray:
    return np.where(np.isnan(f.labels), np.nan, f.first)


STATISTICS: dict[str, Callable[[Films], Any]] = {
    "bootstrap": judged,
    "bootstrap, BCa": lambda f: judged(f, "bca"),
    "mean": lambda f: Resample(f.patients, draws=DRAWS).mean(values(f)),
    "mean, BCa": lambda f: Resample(f.patients, draws=DRAWS, interval="bca").macro(values(f), f.groups),
    "difference, BCa": lambda f: Resample(f.patients, draws=DRAWS, interval="bca").difference(values(f), f.second),
    "DeLong": lambda f: delong(f.labels, f.first),
    "DeLong of patients": lambda f: delong(f.labels, f.first, f.patients),
    "DeLong's test": lambda f: delong_test(f.labels, f.first, f.second, f.patients),
    "permutation, AUROC": lambda f: permutation_test(f.labels, f.first, f.second, f.patients, permutations=DRAWS),
    "permutation, AUPRC": lambda f: permutation_test(
        f.labels, f.first, f.second, f.patients, metric="auprc", permutations=DRAWS
    ),
    "permutation of items": lambda f: permute_items(
        values(f), f.second, f.patients, categories=f.groups, permutations=DRAWS
    ),
    "permutation of findings": lambda f: permute_findings(
        [None if math.isnan(v) else v for v in sorted(values(f))], sorted(f.second), permutations=DRAWS
    ),
    "subgroups": lambda f: subgroup_gaps(f.labels, f.first, f.patients, f.groups, draws=DRAWS, permutations=DRAWS),
    "decision curve": lambda f: decision_curve(f.labels, f.first, f.patients, [0.1, 0.5], draws=DRAWS),
    "net benefit": lambda f: net_benefit(f.labels, f.first, [0.1, 0.5]),
    "temperature": lambda f: fit_temperature(f.labels, f.first),
    "Platt": lambda f: fit_platt(f.labels, f.first),
    "threshold at sensitivity": lambda f: threshold_at_sensitivity(f.labels, f.first, 0.8),
    "threshold at specificity": lambda f: threshold_at_specificity(f.labels, f.first, 0.8),
}
# a permutation of findings has no images, so no rows and patients that could be changed
OF_IMAGES = sorted(set(STATISTICS) - {"permutation of findings"})
RANKS_ONLY = ["DeLong", "DeLong of patients", "DeLong's test", "permutation, AUROC", "permutation, AUPRC", "subgroups"]
PAIRED = ["DeLong's test", "permutation, AUROC", "permutation, AUPRC", "permutation of items", "difference, BCa"]


def leaves(found: Any) -> list[Any]:
    """Every number, text and None in a result, in order."""
    if is_dataclass(found) and not isinstance(found, type):
        return leaves(asdict(found))
    if isinstance(found, dict):
        return [leaf for value in found.values() for leaf in leaves(value)]
    if isinstance(found, list | tuple | np.ndarray):
        return [leaf for value in found for leaf in leaves(value)]
    return [found]


def same(one: Any, two: Any) -> None:
    for a, b in zip(leaves(one), leaves(two), strict=True):
        assert a == (pytest.approx(b, abs=1e-9) if isinstance(b, float) else b)


@pytest.mark.parametrize("name", STATISTICS)
@given(f=films)
@quick
def test_undefined_is_said_and_never_nan(name: str, f: Films) -> None:
    for leaf in leaves(STATISTICS[name](f)):
        assert not isinstance(leaf, float) or math.isfinite(leaf)


@pytest.mark.parametrize("name", OF_IMAGES)
@given(f=films, data=st.data())
@quick
def test_neither_rows_nor_blank_labels_nor_names_in_the_same_order_matter(
    name: str, f: Films, data: st.DataObject
) -> None:
    found = STATISTICS[name](f)
    order = np.array(data.draw(st.permutations(range(len(f.labels)))), dtype=int)
    same(STATISTICS[name](f.take(order)), found)
    same(STATISTICS[name](f._replace(patients=np.array([f"case {p}" for p in f.patients], dtype=str))), found)
    blank = np.isnan(f.labels)
    same(STATISTICS[name](f._replace(first=np.where(blank, 0.77, f.first))), found)


@pytest.mark.parametrize("name", ["DeLong", "DeLong of patients", "DeLong's test", "net benefit"])
@given(f=films)
@quick
def test_what_is_not_drawn_sees_no_names_at_all(name: str, f: Films) -> None:
    renamed = f._replace(patients=np.array([f"p{9 - int(p[1:])}" for p in f.patients], dtype=str))
    same(STATISTICS[name](renamed), STATISTICS[name](f))


@pytest.mark.parametrize("name", RANKS_ONLY)
@given(f=films)
@quick
def test_only_the_order_of_scores_matters_each_model_by_itself(name: str, f: Films) -> None:
    stretched = f._replace(first=np.exp(3 * f.first) - 7, second=0.1 * f.second**3)
    same(STATISTICS[name](stretched), STATISTICS[name](f))


@pytest.mark.parametrize("name", ["DeLong", "DeLong's test", "permutation, AUROC"])
@given(f=films)
@quick
def test_present_and_absent_are_only_names(name: str, f: Films) -> None:
    one, two = STATISTICS[name](f), STATISTICS[name](f._replace(labels=1 - f.labels, first=-f.first, second=-f.second))
    for field in ("value", "low", "high", "p", "observed", "p_macro"):
        if hasattr(one, field):
            same(getattr(one, field), getattr(two, field))


@pytest.mark.parametrize("name", PAIRED)
@given(f=films)
@quick
def test_first_and_second_are_only_names(name: str, f: Films) -> None:
    known = f._replace(first=values(f)) if name in ("permutation of items", "difference, BCa") else f
    one, two = STATISTICS[name](known), STATISTICS[name](known._replace(first=known.second, second=known.first))
    if hasattr(one, "observed"):
        same([None if v is None else -v for v in leaves(one.observed)], leaves(two.observed))
        same(one.p, two.p)
    else:
        ends = [None if end is None else -end for end in (one.value, one.high, one.low)]
        same(ends, [two.value, two.low, two.high])
        same(one.p, two.p)


@pytest.mark.parametrize("name", STATISTICS)
@given(f=films)
@quick
def test_bounds(name: str, f: Films) -> None:
    found = STATISTICS[name](f)
    for p in leaves(getattr(found, "p", None)) + leaves(getattr(found, "p_macro", None)):
        assert p is None or 0 < p <= 1
        if p is not None and hasattr(found, "permutations"):
            assert p >= 1 / (1 + DRAWS)
    low, high = getattr(found, "low", None), getattr(found, "high", None)
    assert low is None or high is None or -1 <= low <= high <= 1
