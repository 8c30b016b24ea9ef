"""The books balance: every tensor taken or dropped with a reason, a forgotten block refused."""

from __future__ import annotations

import pytest
import torch

from hilum.errors import CheckpointError
from hilum.released.ledger import Ledger

NAMES = ("stem.weight", "blocks.0.a", "blocks.1.a", "head.weight", "rope.periods", "extra")


def ledger() -> Ledger:
    return Ledger({name: torch.tensor([float(number)]) for number, name in enumerate(NAMES)}, "file.pth")


def test_taken_and_dropped_make_the_whole() -> None:
    books = ledger()
    assert books.take("stem.weight").item() == 0
    assert books.has("head.weight")
    assert not books.has("stem")
    assert list(books.take_under("blocks.")) == ["0.a", "1.a"]
    books.drop(r"head\.", "a classifier")
    assert books.left == ["rope.periods", "extra"]
    dropped = books.close()
    assert dict(dropped) == {
        "head.weight": "a classifier",
        "rope.periods": "no part of the encoder",
        "extra": "no part of the encoder",
    }
    assert books.left == []


def test_a_block_left_over_is_a_fault() -> None:
    books = ledger()
    books.take("blocks.0.a")
    with pytest.raises(CheckpointError, match=r"file\.pth: has tensors .* no place for: blocks\.1\.a\. .*--layout"):
        books.close()


@pytest.mark.parametrize(
    "name",
    ["encoder.layer.3.w", "visual.transformer.resblocks.0.w", "stages.1.0.w", "layer4.0.conv1.w", "x.denseblock1.2.w"],
)
def test_blocks_by_any_name(name: str) -> None:
    with pytest.raises(CheckpointError, match="no place"):
        Ledger({name: torch.zeros(1)}, "f").close()


def test_what_is_missing_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"has no tensor norm\.weight"):
        ledger().take("norm.weight")


def test_what_is_dropped_was_not_taken() -> None:
    books = ledger()
    books.take("head.weight")
    books.drop("head", "a classifier")
    assert "head.weight" not in dict(books.close(blocks="nothing"))
