"""The preprocessing record: old ones still read, words and numbers that contradict each other are refused."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from hilum.errors import ConfigError
from hilum.released.pixels import PIXELS
from hilum.schema import Preprocessing


@pytest.mark.parametrize("name", PIXELS)
def test_records_survive_json(name: str) -> None:
    own = PIXELS[name].record
    values = own.to_json()
    assert Preprocessing.from_json({key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}) == own


def test_a_record_of_before_reads_as_it_was() -> None:
    old = {"size": 64, "channels": 1, "mean": [0.5], "std": [0.25], "resize": "pad", "interpolation": "bilinear",
           "antialias": True, "rescale": "none", "voi": "first"}  # fmt: skip
    own = Preprocessing.from_json(old)
    assert (own.resize_to, own.reduce, own.eight_bit, own.sides, own.margin) == (
        None,
        "crop",
        False,
        "nearest",
        "floor",
    )
    assert own.seen == 1
    with pytest.raises(ValueError, match="unknown preprocessing fields"):
        Preprocessing.from_json({**old, "gamma": 2})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"resize": "stretch"}, "resize is 'stretch'. It must be one of squeeze, shortest, pad, square"),
        ({"interpolation": "cubic"}, "interpolation is 'cubic'"),
        ({"rescale": "maxmin"}, "rescale is 'maxmin'"),
        ({"reduce": "fold"}, "reduce is 'fold'"),
        ({"size": 0}, "channels of 0 pixels"),
        ({"channels": 1}, "1 channels with mean"),
        ({"std": (0.2, 0.2, 0.0)}, "positive stds"),
        ({"resize_to": 200}, "no crop of 224 pixels from 200"),
        ({"reduce": "resize"}, "without resize_to"),
        ({"antialias": False, "interpolation": "lanczos"}, "antialias=False with lanczos"),
        ({"antialias": False, "eight_bit": True}, "Pillow always antialiases"),
        ({"interpolation": "skimage", "eight_bit": True}, "real numbers"),
        ({"sides": "floor"}, "without a letterbox"),
        ({"fill": "mean"}, "without a letterbox"),
        ({"resize": "pad", "fill": "mean", "rescale": "minmax"}, "rim must stay"),
        ({"resize": "pad", "fill": "mean", "resize_to": 448, "reduce": "resize"}, "rim must stay"),
    ],
)
def test_what_contradicts_itself_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match="preprocessing: ") as fault:
        Preprocessing(**values)
    assert said in str(fault.value)


def test_another_size_and_the_whole_film() -> None:
    own = Preprocessing(size=224, resize="shortest", resize_to=256)
    assert own.seen == 7 / 8
    assert own.at(112).resize_to == 128
    assert own.at(224) == own
    for name in PIXELS:
        record = PIXELS[name].record
        for rule in ("squeeze", "pad"):
            whole = record.whole(96, rule)
            assert (whole.size, whole.resize, whole.seen, whole.reduce) == (96, rule, 1, "crop")
            assert (whole.mean, whole.rescale, whole.eight_bit) == (record.mean, record.rescale, record.eight_bit)


def test_every_field_of_words_is_checked() -> None:
    from hilum import schema

    assert set(schema._RULES) == {field.name for field in fields(Preprocessing) if "Literal" in str(field.type)}
