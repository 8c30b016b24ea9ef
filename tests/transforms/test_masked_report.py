"""Which words are hidden: the released rule on its golden file, its rates, and what is never hidden."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from hilum.transforms.masked_report import hide_words

CONTINUES = np.array([False] * 6 + [True] * 2)  # entries 6 and 7 continue a word


def hide(
    ids: list[int], *, seed: int = 0, ratio: float = 0.5, whole_words: bool = True, kept: tuple[int, ...] = ()
) -> list[bool]:
    draw = np.random.default_rng(seed).random
    hidden = hide_words(np.array(ids), CONTINUES, draw, ratio=ratio, whole_words=whole_words, pad_id=0, kept=kept)
    return [bool(value) for value in hidden]


def test_golden_masking(shared: Path) -> None:
    golden = np.load(shared / "golden/mrm/report_masking.npz")
    made = json.loads((shared / "golden/mrm/report_masking.json").read_text())["config"]
    continues = np.array([entry.startswith("##") for entry in made["vocab"]])

    def masked(row: np.ndarray, draw: random.Random) -> np.ndarray:
        options = {"ratio": 0.5, "whole_words": True, "pad_id": made["pad_id"]}
        return np.where(hide_words(row, continues, draw.random, **options), made["mask_id"], row)

    draw = random.Random(made["python_random_seed"])
    got = np.stack([masked(row, draw) for row in golden["in/ids"]])
    assert np.array_equal(got, golden["out/masked_seeded"])
    first = golden["in/ids"][0]
    rate = np.mean([masked(first, draw) == made["mask_id"] for _ in range(2000)], axis=0)
    assert np.abs(rate - golden["out/mask_rate_per_position_row0"]).max() < 0.05


def test_words_are_hidden_whole() -> None:
    ids = [2, 4, 6, 7, 5, 6, 4, 4]
    for seed in range(50):
        hidden = hide(ids, seed=seed)
        assert hidden[2] == hidden[3] == hidden[1]
        assert hidden[5] == hidden[4]
    split = [hide(ids, seed=seed, whole_words=False) for seed in range(50)]
    assert any(row[1] != row[2] for row in split)


@pytest.mark.parametrize("whole_words", [True, False])
def test_the_first_the_last_and_padding_are_never_hidden(whole_words: bool) -> None:
    assert hide([2, 4, 4, 5, 0, 0], ratio=1.0, whole_words=whole_words) == [False, True, True, True, False, False]
    assert hide([2, 4, 4, 5], ratio=1.0, whole_words=whole_words) == [False, True, True, False]
    assert hide([2, 4, 3, 5, 0], ratio=1.0, whole_words=whole_words, kept=(3,)) == [False, True, False, True, False]


def test_one_draw_a_word_start_in_order() -> None:
    draws = iter([0.9, 0.1, 0.9])
    ids = np.array([2, 4, 6, 5, 7, 4, 0, 0])
    hidden = hide_words(ids, CONTINUES, lambda: next(draws), ratio=0.5, whole_words=True, pad_id=0)
    assert hidden.tolist() == [False, False, False, True, True, False, False, False]
    with pytest.raises(StopIteration):
        next(draws)
