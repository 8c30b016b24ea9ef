from __future__ import annotations

import pandas as pd
import pytest

from hilum.errors import ConfigError
from hilum.manifest import Manifest
from hilum.manifest.where import select_where


@pytest.fixture
def films() -> Manifest:
    return Manifest.from_table(
        pd.DataFrame(
            {
                "image": [f"{i}.png" for i in range(6)],
                "patient_id": list("abcdef"),
                "view_position": ["PA", "AP", "LATERAL", "", "PA", "AP"],
                "sex": ["F", "M", "F", "M", "", "F"],
                "age": [10, 20, 30, None, 50, 60],
                "label.Mass": [1, 0, -1, None, 0, 1],
            }
        ),
        ".",
    )


@pytest.mark.parametrize(
    ("conditions", "patients"),
    [
        ("view_position=PA,AP", "abef"),
        ("view_position = PA , AP", "abef"),
        ("view_position=", "d"),
        ("view_position!=LATERAL", "abdef"),
        ("sex!=F", "bde"),
        ("age>=20", "bcef"),
        ("age<30", "ab"),
        ("age<=30", "abc"),
        ("age>50", "f"),
        ("age=10,60", "af"),
        ("age!=10,", "bcef"),
        ("label.Mass=1", "af"),
        ("label.Mass=", "d"),
        (("view_position=PA,AP", "age>15", "sex=F,M"), "bf"),
        ((), "abcdef"),
    ],
)
def test_films_that_meet_all_conditions(films: Manifest, conditions: str | tuple[str, ...], patients: str) -> None:
    chosen, lines = select_where(films, conditions)
    assert "".join(chosen.table["patient_id"]) == patients
    assert chosen.root == films.root
    assert len(lines) == (1 if isinstance(conditions, str) else len(conditions))


def test_every_condition_is_counted(films: Manifest) -> None:
    lines = select_where(films, ("view_position=PA,AP", "age>15"))[1]
    assert lines == ["view_position=PA,AP: 4 of 6 films", "age>15: 3 of 4 films"]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("view_position", "'view_position' is not a condition.*column=value"),
        ("=PA", "'=PA' is not a condition"),
        ("view=PA", "unknown column 'view'.*view_position"),
        ("view_position=pa", "no film has 'pa' in the column 'view_position'.*'PA'"),
        ("sex>F", "orders a column of text"),
        ("age=old", "'old' in 'age=old' is not a number"),
        ("age>", "'age>' needs one number"),
        ("age>1,2", "'age>1,2' needs one number"),
        ("age>99", r"no film meets the conditions \(age>99: 0 of 6 films\)"),
    ],
)
def test_slips_are_refused(films: Manifest, condition: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        select_where(films, condition)


def test_the_nearest_value_is_offered(films: Manifest) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'LATERAL'"):
        select_where(films, "view_position=LATERALS")
