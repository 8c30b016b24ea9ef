"""NoFinding where a table has none: normal only if every label says so."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.errors import ManifestError
from hilum.labels import LabelPolicy, targets_of, with_no_finding
from hilum.manifest import Manifest
from tests.labels.tables import NAN, manifest


def test_every_combination_of_two_labels() -> None:
    cells = (1.0, 0.0, -1.0, NAN)
    pairs = [(a, b) for a in cells for b in cells]
    films = manifest({"Edema": [a for a, _ in pairs], "Mass": [b for _, b in pairs]})
    derived, rule = with_no_finding(films, ("NoFinding",))
    for policy in ("ones", "zeros", "ignore"):  # the rule is about what was said, whatever a hedge counts as
        got = targets_of(derived, ("NoFinding",), LabelPolicy.parse(policy))[:, 0]
        for (a, b), value in zip(pairs, got, strict=True):
            if 1.0 in (a, b):
                assert value == 0
            elif (a, b) == (0.0, 0.0):
                assert value == 1
            else:
                assert np.isnan(value)
    assert rule is not None
    assert "2 labels (Edema, Mass): 1 where all are 0" in rule


def test_a_supplied_column_wins_and_nothing_is_derived_unasked() -> None:
    supplied = manifest({"Edema": [0, 0], "NoFinding": [0, NAN]})
    assert with_no_finding(supplied, ("NoFinding",)) == (supplied, None)
    plain = manifest({"Edema": [0, 1]})
    assert with_no_finding(plain, ("Edema",))[0] is plain
    bare = Manifest(plain.table.drop(columns="label.Edema"), plain.root)
    with pytest.raises(ManifestError, match="no label columns: NoFinding cannot be derived"):
        with_no_finding(bare, ("NoFinding",))
