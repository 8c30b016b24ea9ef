"""Columns to targets: what is left out is counted, what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.errors import ConfigError, ManifestError
from hilum.evaluation.survival.endpoints import check_endpoints, check_learnable, endpoint_targets, follow_up
from hilum.evaluation.survival.films import followed_films
from hilum.labels import LabelPolicy
from hilum.manifest import Manifest

NAN = np.nan


def manifest(**columns: list[float]) -> Manifest:
    count = len(next(iter(columns.values())))
    table = pd.DataFrame(
        {
            "image": [f"{row}.png" for row in range(count)],
            "patient_id": [f"p{row}" for row in range(count)],
            "split": "train",
            **{name.replace("__", "."): values for name, values in columns.items()},
        }
    )
    return Manifest.from_table(table, Path("films"))


def test_blank_and_same_day_films_have_no_target() -> None:
    data = manifest(time__Stroke=[10, 0, NAN, 30, 5], event__Stroke=[1, 1, NAN, 2, 0])
    targets = endpoint_targets(data.table, ("Stroke", "Elsewhere"))
    wanted = [[10, 1], [NAN, NAN], [NAN, NAN], [30, 2], [5, 0]]
    np.testing.assert_array_equal(targets, np.hstack([wanted, np.full((5, 2), NAN)]))
    counts = follow_up(data.table, "Stroke").to_json()
    assert counts == {
        "films": 3, "events": 1, "competing": 1, "censored": 1, "blank": 1, "same_day": 1, "longest": 30.0
    }  # fmt: skip


def test_unknown_endpoints_are_answered_with_those_there() -> None:
    data = manifest(time__Death=[10, 20], event__Death=[1, 0], time__Stroke=[10, 20], event__Stroke=[1, 2])
    check_endpoints(data, ("Death", "Stroke"))
    with pytest.raises(ConfigError, match=r"unknown endpoint 'Deaht'\. Did you mean 'Death'\? Known: Death, Stroke"):
        check_endpoints(data, ("Deaht",))
    with pytest.raises(ConfigError, match=r"no endpoint named.*Choose from: Death, Stroke"):
        check_endpoints(data, ())
    with pytest.raises(ConfigError, match="named twice"):
        check_endpoints(data, ("Death", "Death"))
    with pytest.raises(ConfigError, match=r"'Death' has no follow-up in this data.*add columns time\.<Endpoint>"):
        check_endpoints(manifest(age=[40, 50]), ("Death",))


def test_nothing_competes_with_death_of_any_cause() -> None:
    with pytest.raises(ManifestError, match=r"event\.Death: 1 films have event 2, first '1'.*e\.g\. Cardiovascular"):
        check_endpoints(manifest(time__Death=[10, 20], event__Death=[1, 2]), ("Death",))
    data = manifest(time__CardiovascularDeath=[10, 20], event__CardiovascularDeath=[1, 2])
    check_endpoints(data, ("CardiovascularDeath",))


@pytest.mark.parametrize(("time", "event", "said"), [(-3, 1, "-3"), (3, 3, "3")])
def test_negative_times_and_other_codes_are_refused_at_the_door(time: float, event: float, said: str) -> None:
    with pytest.raises(ManifestError, match=f"row 2, column '(time|event).Stroke': '?{said}.*is not allowed here"):
        manifest(time__Stroke=[4, time], event__Stroke=[1, event])


def test_what_cannot_be_learned_is_refused() -> None:
    censored = follow_up(manifest(time__Stroke=[10, 90], event__Stroke=[0, 2]).table, "Stroke")
    with pytest.raises(ManifestError, match=r"the val split \(2 films with follow-up\) has no event of Stroke"):
        check_learnable(censored, "Stroke", split="val", horizon=20)
    there = follow_up(manifest(time__Stroke=[10, 90], event__Stroke=[1, 0]).table, "Stroke")
    check_learnable(there, "Stroke", split="val", horizon=90)
    with pytest.raises(ConfigError, match=r"91 days lie beyond the follow-up of Stroke.*90 days. Use at most 90"):
        check_learnable(there, "Stroke", split="val", horizon=91)
    with pytest.raises(ConfigError, match="positive number of days"):
        check_learnable(there, "Stroke", split="val", horizon=0)


def test_films_with_something_known_are_kept_and_counted_at_the_horizon() -> None:
    data = manifest(
        time__Stroke=[10, NAN, 20, NAN, 60, 5],
        event__Stroke=[1, NAN, 0, NAN, 0, 2],
        label__Mass=[NAN, 1, 0, NAN, -1, 1],
    )
    films = followed_films(data, "train", ("Stroke",), ("Mass",), LabelPolicy())
    assert list(films.manifest.table["image_id"]) == ["0", "1", "2", "4", "5"]
    np.testing.assert_array_equal(films.targets[:, 0], [NAN, 1, 0, NAN, 1])
    np.testing.assert_array_equal(films.followed("Stroke")[:, 0], [10, NAN, 20, 60, 5])
    counts = films.counts(30.0)["Stroke"]
    assert counts["at_horizon"] == {"yes": 1, "no": 2, "lost": 1}
    assert (counts["films"], counts["blank"]) == (4, 2)
    with pytest.raises(ManifestError, match="the val split has 0 films and none with follow-up for Stroke"):
        followed_films(data, "val", ("Stroke",), (), LabelPolicy())
