"""Targets: findings are checked at the door, classes are exclusive."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.errors import ConfigError, ManifestError
from hilum.labels import LabelPolicy, check_both_classes, check_findings, targets_of
from tests.labels.tables import NAN, manifest


def test_findings_are_checked_at_the_door() -> None:
    films = manifest({"Edema": [1, 0], "Mass": [0, 0]})
    with pytest.raises(ConfigError, match=r"unknown finding 'Edma'\. Did you mean 'Edema'\? Known: Edema, Mass"):
        check_findings(films, ("Edma",))
    with pytest.raises(ConfigError, match="named twice"):
        check_findings(films, ("Edema", "Edema"))
    with pytest.raises(ConfigError, match="no finding named"):
        check_findings(films, ())
    with pytest.raises(ManifestError, match=r"train split lacks .* Mass \(0 positive, 2 negative\)"):
        check_both_classes(targets_of(films, ("Edema", "Mass"), LabelPolicy()), ("Edema", "Mass"), split="train")


def test_multiclass_rows_have_exactly_one_class_or_are_unknown() -> None:
    films = manifest({"NoFinding": [1, 0, NAN, NAN], "Pneumonia": [0, 1, 1, NAN], "Tuberculosis": [0, 0, NAN, 0]})
    names = ("NoFinding", "Pneumonia", "Tuberculosis")
    got = targets_of(films, names, LabelPolicy(), "multiclass")
    np.testing.assert_array_equal(got, [[1, 0, 0], [0, 1, 0], [0, 1, 0], [NAN] * 3])
    with pytest.raises(ManifestError, match=r"1 of 2 films do not have exactly one .* first '1'"):
        targets_of(manifest({"Edema": [1, 1], "Mass": [0, 1]}), ("Edema", "Mass"), LabelPolicy(), "multiclass")
    with pytest.raises(ManifestError, match="1 of 2 films"):
        targets_of(manifest({"Edema": [1, 0], "Mass": [0, 0]}), ("Edema", "Mass"), LabelPolicy(), "multiclass")
