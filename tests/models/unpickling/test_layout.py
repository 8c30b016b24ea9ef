"""Tensors of any strides are laid out as PyTorch lays them out; those that reach out of their storage are refused."""

from __future__ import annotations

import io

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load

from hilum.models.unpickling.layout import Tensors, check, pieces
from hilum.models.unpickling.records import RefusedError, Storage, Tensor


def _tensor(shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, count: int = 1000) -> Tensor:
    numbers = torch.arange(count, dtype=torch.int32)
    storage = Storage("0", "I32", count, memoryview(numbers.numpy().tobytes()))
    return Tensor(storage, "I32", offset, shape, strides)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 11)), max_size=4), st.integers(0, 20))
def test_any_strides(axes: list[tuple[int, int]], offset: int) -> None:
    shape, strides = tuple(size for size, _ in axes), tuple(stride for _, stride in axes)
    tensor = _tensor(shape, strides, offset)
    check(tensor)
    raw = b"".join(bytes(piece) for piece in pieces(tensor))
    wanted = torch.as_strided(torch.arange(1000, dtype=torch.int32), shape, strides, offset)
    assert raw == wanted.contiguous().numpy().tobytes()


def test_large_tensors_come_in_pieces() -> None:
    tensor = _tensor((3000, 2000), (1, 3000), count=6_000_000)
    got = list(pieces(tensor))
    assert max(len(piece) for piece in got) <= 1 << 22
    wanted = torch.arange(6_000_000, dtype=torch.int32).view(2000, 3000).t()
    assert b"".join(bytes(piece) for piece in got) == wanted.contiguous().numpy().tobytes()


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "match"),
    [
        ((1001,), (1,), 0, "reaches out"),
        ((2,), (1000,), 0, "reaches out"),
        ((1,), (1,), 1000, "reaches out"),
        ((-1,), (1,), 0, "negative"),
        ((5,), (-1,), 5, "negative"),
        ((5,), (1,), -1, "negative"),
        ((5, 5), (1,), 0, "do not fit each other"),
        ((1 << 30, 1 << 30), (0, 0), 0, "more numbers than any computer"),
        ((0, 1 << 60), (1, 1), 0, "more numbers than any computer"),
    ],
)
def test_what_reaches_out_is_refused(shape: tuple[int, ...], strides: tuple[int, ...], offset: int, match: str) -> None:
    with pytest.raises(RefusedError, match=match):
        check(_tensor(shape, strides, offset))


def test_a_storage_that_declares_too_much_is_refused() -> None:
    storage = Storage("0", "F32", 2_500_000_000, memoryview(bytes(16)))
    with pytest.raises(RefusedError, match="declares 10,000,000,000 bytes and has 16"):
        check(Tensor(storage, "F32", 0, (4,), (1,)))


def test_a_file_cannot_grow_without_limit() -> None:
    tensors = Tensors(size=1000)
    with pytest.raises(RefusedError, match="far more memory than its 1,000 bytes"):
        tensors.name(_tensor((1 << 25,), (0,)))
    again, many, one, twice = Tensors(1000), Tensors(1000), _tensor((), ()), _tensor((1 << 22,), (0,))
    with pytest.raises(RefusedError, match="far more memory"):  # the reader copies what is named twice
        [again.name(twice) for _ in range(5)]
    with pytest.raises(RefusedError, match="more than 100,000 tensors"):
        [many.name(one) for _ in range(100_001)]


def test_scattered_strips_are_limited() -> None:
    with pytest.raises(RefusedError, match="scattered"):
        Tensors(size=1 << 30).name(_tensor((2, 2) * 11, (1, 300) * 11, count=10_000))


def test_what_is_written_is_safetensors() -> None:
    tensors = Tensors(size=1000)
    assert [tensors.name(t) for t in (_tensor((2, 3), (1, 2)), _tensor((), (), 7), _tensor((0, 4), (1, 1)))] == [
        "0",
        "1",
        "2",
    ]
    out = io.BytesIO()
    tensors.write(out, "tree", None)
    got = load(out.getvalue())
    assert got["0"].tolist() == [[0, 2, 4], [1, 3, 5]]
    assert got["1"].item() == 7
    assert got["2"].shape == (0, 4)
