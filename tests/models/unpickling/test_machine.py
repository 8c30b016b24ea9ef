"""The machine reads pickles as Python does, as far as data goes; of programs it makes refusals, in whatever dress."""

from __future__ import annotations

import io
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.models.unpickling.machine import unpickle
from hilum.models.unpickling.records import Array, Name, Object, RefusedError, Tensor, key_of
from tests.models.unpickling.assembly import mapping, name, number, text, whole
from tests.models.unpickling.hostile import GADGETS, gadget

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def _no_storage(identity: Any) -> Any:
    raise RefusedError("a storage")


def _read(raw: bytes) -> Any:
    return unpickle(io.BytesIO(raw), _no_storage)


@given(values, st.integers(0, 5))
def test_plain_values_come_back(value: Any, protocol: int) -> None:
    assert _read(pickle.dumps(value, protocol)) == value


@given(st.sets(st.integers()), st.integers(0, 5))
def test_sets_become_lists(value: set[int], protocol: int) -> None:
    assert sorted(_read(pickle.dumps(value, protocol))) == sorted(value)
    assert sorted(_read(pickle.dumps(frozenset(value), protocol))) == sorted(value)


def test_shared_parts_stay_shared() -> None:
    part = [1]
    got = _read(pickle.dumps([part, part]))
    assert got[0] is got[1]


@pytest.mark.parametrize("kind", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "?", ">f4", ">i2"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_numpy_scalars_and_arrays(kind: str, protocol: int) -> None:
    row = np.array([0, 1, 1], dtype=kind)
    assert _read(pickle.dumps(row[1], protocol)) == row[1].item()
    array = _read(pickle.dumps(row, protocol))
    assert isinstance(array, Array)
    assert isinstance(array.content, Tensor)
    assert array.content.shape == (3,)
    assert bytes(array.content.storage.raw or b"") == row.tobytes()


@pytest.mark.parametrize("how", range(8))
def test_every_gadget_is_named_in_every_dress(how: int, tmp_path: Path) -> None:
    for place, (module, attribute, _) in enumerate(GADGETS):
        for protocol in (2, 4):
            with pytest.raises(RefusedError, match="no checkpoint needs") as caught:
                _read(whole(gadget(place, tmp_path, how), protocol))
            assert f"{module}.{attribute}" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_allowed_name_is_not_looked_up() -> None:
    got = _read(whole(name("pytorch_lightning.nowhere", "Thing") + b")R" + mapping(a=number(1)) + b"b"))
    assert isinstance(got, Object)
    assert (str(got.kind), got.state) == ("pytorch_lightning.nowhere.Thing", {"a": 1})


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (b"a", "damaged"),
        (b"}(Kae", "damaged"),
        (b"0", "damaged"),
        (b"](K\x01u", "damaged"),
        (b"}K\x01a", "appends to what is no list"),
        (b"]K\x01K\x02s", "sets items of what is no dictionary"),
        (b"K\x01}b", "a state for what has none"),
        (b"h\x05", "never written"),
        (b"Nq\x01j\xff\xff\xff\xff", "never written"),
        (b"Nr\xff\xff\xff\xff", "memo slot out of range"),
        (b"}]K\x01s", "a list as key"),
        (text("x") + b")R", "calls what is no name"),
        (name("torch", "FloatStorage") + b"}b", "would change torch.FloatStorage itself"),
        (b"\x82\x01", "EXT1"),
        (b"\x97", "NEXT_BUFFER"),
    ],
)
def test_nonsense_is_refused(body: bytes, match: str) -> None:
    with pytest.raises(RefusedError, match=match):
        _read(whole(body))


def test_keys_are_text() -> None:
    content = {1: "a", None: "b", 2.5: "c", (1, "x"): "e", b"raw": "f", 1 << 80: "g"}
    assert list(_read(pickle.dumps(content, 4))) == ["1", "None", "2.5", "(1, x)", "raw", "<integer of 81 bits>"]
    assert key_of(Name("a", "B")) == "<a.B>"


@pytest.mark.filterwarnings("ignore:invalid escape:DeprecationWarning")
def test_mutants_are_read_or_refused() -> None:
    dice = random.Random(6)
    honest = pickle.dumps({"a": [1, 2.5, "x" * 20], "b": {"c": (None, True, b"raw")}, "d": np.arange(3)}, 2)
    refused = 0
    for _ in range(3000):
        raw = bytearray(honest)
        for _ in range(dice.randrange(1, 4)):
            raw[dice.randrange(len(raw))] = dice.randrange(256)
        try:
            _read(bytes(raw))
        except RefusedError:
            refused += 1
    assert 1000 < refused < 3000
