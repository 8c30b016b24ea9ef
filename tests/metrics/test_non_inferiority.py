"""The verdict by the place of the interval."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.metrics.estimate import Difference
from hilum.metrics.non_inferiority import non_inferiority
from tests.metrics.drawn_films import quick


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.05, "superior"),
        (0.0, 0.05, "non-inferior"),
        (-0.019, 0.03, "non-inferior"),
        (-0.019, -0.001, "non-inferior"),  # worse for certain, but by less than the margin
        (-0.02, 0.03, "inconclusive"),
        (-0.05, 0.03, "inconclusive"),
        (-0.05, -0.02, "inconclusive"),
        (-0.05, -0.021, "inferior"),
    ],
)
def test_cases(low: float, high: float, verdict: str) -> None:
    found = non_inferiority(Difference((low + high) / 2, low, high, 0.5, 1000), 0.02)
    assert found.verdict == verdict
    assert verdict in str(found)


@given(low=st.floats(-1, 1), width=st.floats(0, 1), margin=st.floats(1e-6, 1), wider=st.floats(0, 1))
@quick
def test_a_wider_margin_never_turns_a_claim_back(low: float, width: float, margin: float, wider: float) -> None:
    rank = {"inferior": 0, "inconclusive": 1, "non-inferior": 2, "superior": 3}
    gap = Difference(low + width / 2, low, low + width, None, 100)
    assert rank[non_inferiority(gap, margin + wider).verdict] >= rank[non_inferiority(gap, margin).verdict]


def test_undefined_and_refused() -> None:
    found = non_inferiority(Difference(None, None, None, None, 0, "no positives"), 0.02)
    assert (found.verdict, found.reason) == ("undefined", "no positives")
    assert str(found) == "undefined: no positives"
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["margin"] == 0.02
    for margin in (0.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="margin"):
            non_inferiority(Difference(0.1, 0.0, 0.2, 0.1, 100), margin)
