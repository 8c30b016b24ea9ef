"""Masks written as run lengths: COCO's counts, plain or packed into text, and the pairs of the SIIM-ACR table.

All of them run down the columns, from the left one to the right. SIIM's pairs are (pixels since the end of the last
run, length); other competitions write (first pixel counted from 1, length), which is `absolute`. "-1" and " -1" are
the empty mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ManifestError

Pairs = Literal["relative", "absolute"]
EMPTY = "-1"


@dataclass(frozen=True)
class Runs:
    """One mask as run lengths; decoded when it is asked for."""

    counts: str | tuple[int, ...]  # as the file has them
    form: Literal["relative", "absolute", "coco"]
    size: tuple[int, int]  # rows, columns
    where: str  # file and image, for messages

    def check(self) -> None:
        """Refuse what `mask` would, without drawing: cheap enough for every row before a training begins.

        Raises:
            ManifestError: the runs leave the image or are no whole numbers.
        """
        if self.form == "coco":
            counts = unpack_counts(self.counts) if isinstance(self.counts, str) else self.counts
            _lengths_of(counts, self.size, where=self.where)
        else:
            assert isinstance(self.counts, str)
            _runs_of(self.counts, self.size, self.form, where=self.where)

    def mask(self) -> NDArray[np.bool_]:
        """(rows, columns) bool.

        Raises:
            ManifestError: the runs leave the image or are no whole numbers.
        """
        if self.form == "coco":
            counts = unpack_counts(self.counts) if isinstance(self.counts, str) else self.counts
            return mask_of_counts(counts, self.size, where=self.where)
        assert isinstance(self.counts, str)
        return mask_of_pairs(self.counts, self.size, self.form, where=self.where)


def mask_of_pairs(text: str, size: tuple[int, int], form: Pairs, *, where: str) -> NDArray[np.bool_]:
    """SIIM's text of pairs -> (rows, columns) bool.

    Raises:
        ManifestError: an odd number of numbers, no whole numbers, or runs that leave the image.
    """
    flat = np.zeros(size[0] * size[1], dtype=bool)
    if text.strip() not in (EMPTY, ""):
        for start, length in zip(*_runs_of(text, size, form, where=where), strict=True):
            flat[start : start + length] = True
    return flat.reshape(size[1], size[0]).T


def _runs_of(text: str, size: tuple[int, int], form: Pairs, *, where: str) -> tuple[NDArray[np.int64], ...]:
    """Where each run begins, from 0, and how long it is."""
    try:
        numbers = np.array(text.split(), dtype=np.int64)
    except ValueError:
        raise ManifestError("run lengths are no whole numbers", where=where, fix="Correct that row") from None
    if numbers.size % 2:
        raise ManifestError("run lengths are not pairs of start and length", where=where, fix="Correct that row")
    given, lengths = numbers[0::2], numbers[1::2]
    starts = np.cumsum(given) + np.concatenate([[0], np.cumsum(lengths)[:-1]]) if form == "relative" else given - 1
    if (numbers < 0).any() or (starts < 0).any() or (starts + lengths > size[0] * size[1]).any():
        other = "absolute" if form == "relative" else "relative"
        raise ManifestError(
            f"runs counted as {form} leave the image of {size[0]} x {size[1]} pixels",
            where=where,
            fix=f"Give the right --mask-size, or --runs {other}",
        )
    return starts, lengths


def mask_of_counts(counts: Sequence[int], size: tuple[int, int], *, where: str) -> NDArray[np.bool_]:
    """COCO's counts, zeros first and in turn with ones -> (rows, columns) bool.

    Raises:
        ManifestError: the counts do not add up to the image.
    """
    lengths = _lengths_of(counts, size, where=where)
    flat = np.repeat(np.arange(lengths.size) % 2 == 1, lengths)
    return flat.reshape(size[1], size[0]).T


def _lengths_of(counts: Sequence[int], size: tuple[int, int], *, where: str) -> NDArray[np.int64]:
    """The counts as an array that fits the image."""
    lengths = np.asarray(counts, dtype=np.int64)
    if (lengths < 0).any() or lengths.sum() != size[0] * size[1]:
        raise ManifestError(
            f"run lengths cover {lengths.sum()} pixels and the mask has {size[0]} x {size[1]}",
            where=where,
            fix="Correct counts or size of that annotation",
        )
    return lengths


def unpack_counts(text: str) -> tuple[int, ...]:
    """COCO's packed text -> counts: five bits a letter, low ones first; from the third on a difference to two before.

    Source: the format of pycocotools (maskApi.c, rleFrString), https://github.com/cocodataset/cocoapi
    """
    counts: list[int] = []
    place = 0
    while place < len(text):
        value, shift, more = 0, 0, True
        while more:
            bits = ord(text[place]) - 48
            value |= (bits & 0x1F) << shift
            more, place, shift = bool(bits & 0x20), place + 1, shift + 5
            if not more and bits & 0x10:
                value -= 1 << shift  # the sign
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return tuple(counts)
