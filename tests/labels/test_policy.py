"""Uncertain labels: rules by finding, and the published ones by name."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.errors import ConfigError
from hilum.labels import POLICIES, LabelPolicy, targets_of
from tests.labels.tables import NAN, manifest


def test_policy_turns_uncertain_into_what_it_says_and_leaves_the_rest() -> None:
    films = manifest({"Edema": [1, 0, -1, NAN], "Mass": [-1, -1, 1, 0], "Nodule": [-1, 1, 0, NAN]})
    policy = LabelPolicy.parse("Edema=ones, Mass=zeros")
    got = targets_of(films, ("Edema", "Mass", "Nodule"), policy)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, [[1, 0, NAN], [0, 0, 1], [1, 1, 0], [NAN, 0, NAN]])


@pytest.mark.parametrize(
    ("text", "edema", "mass"),
    [("ignore", "ignore", "ignore"), ("", "ignore", "ignore"), ("zeros,Edema=ones", "ones", "zeros")],
)
def test_policy_reads_default_and_exceptions(text: str, edema: str, mass: str) -> None:
    policy = LabelPolicy.parse(text)
    assert (policy.rule("Edema"), policy.rule("Mass")) == (edema, mass)
    assert LabelPolicy.from_json(policy.to_json()) == policy


def test_policy_faults_are_named() -> None:
    with pytest.raises(ConfigError, match=r"policy: unknown rule .* 'one'\. Did you mean 'ones'\?"):
        LabelPolicy.parse("Edema=one")
    with pytest.raises(ConfigError, match="two rules for Edema"):
        LabelPolicy.parse("Edema=ones,Edema=zeros")
    with pytest.raises(ConfigError, match="two rules for all findings"):
        LabelPolicy.parse("ones,zeros")
    with pytest.raises(ConfigError, match=r"unknown finding 'Edma'.*Did you mean 'Edema'"):
        targets_of(manifest({"Edema": [1, 0]}), ("Edema",), LabelPolicy.parse("Edma=ones"))


def test_published_policies_go_by_name() -> None:
    medim = LabelPolicy.parse("medim-chexpert")
    rules = {name: medim.rule(name) for name in ("Atelectasis", "Edema", "Effusion", "Cardiomegaly", "Consolidation")}
    assert rules == {
        "Atelectasis": "ones",
        "Edema": "ones",
        "Effusion": "ones",
        "Cardiomegaly": "zeros",
        "Consolidation": "zeros",
    }
    assert LabelPolicy.from_json(medim.to_json()) == medim
    films = manifest({"Edema": [-1, 0], "Cardiomegaly": [-1, 1], "Mass": [-1, NAN]})  # two of the five, and another
    got = targets_of(films, ("Edema", "Cardiomegaly", "Mass"), medim)
    np.testing.assert_array_equal(got, [[1, 0, NAN], [0, 1, NAN]])
    assert {LabelPolicy.parse(f"u-{rule}").default for rule in ("ones", "zeros", "ignore")} == {
        "ones",
        "zeros",
        "ignore",
    }
    for name in POLICIES:
        assert LabelPolicy.parse(name).name == name
    with pytest.raises(ConfigError, match="Did you mean 'medim-chexpert'"):
        LabelPolicy.parse("medim-chexpart")
