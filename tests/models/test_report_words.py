"""Words from pieces: the released aggregation with its quirks, and the whole words that were meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hilum.models.report_words import WordRule, released_numbers, words_of
from hilum.models.text import sum_pieces


def test_golden_aggregation(shared: Path) -> None:
    golden = np.load(shared / "golden/grounding/word_piece_aggregation.npz")
    ids = torch.from_numpy(golden["in/ids"])
    continues = torch.isin(ids, torch.tensor([4, 6, 7]))  # ##less ##ral ##s
    mask, special = (ids != 0).long(), torch.isin(ids, torch.tensor([0, 1, 2]))
    words = torch.where(special, -1, (~special & ~continues).cumsum(1) - 1)
    numbers = released_numbers(words, mask)
    length = ids.shape[1]
    vectors = sum_pieces(torch.from_numpy(golden["in/embeddings"])[:, 0], numbers, length)
    torch.testing.assert_close(vectors, torch.from_numpy(golden["out/aggregated"])[:, 0], rtol=1e-4, atol=1e-5)
    seen = torch.nn.functional.pad(torch.from_numpy(golden["in/cls_attention"]), (0, 1))
    got = sum_pieces(seen, numbers, length)
    torch.testing.assert_close(got, torch.from_numpy(golden["out/attention"]), rtol=1e-4, atol=1e-5)


def test_a_full_report_loses_its_last_word_as_released_and_not_as_meant() -> None:
    words = torch.tensor([[-1, 0, 1, 1, -1], [-1, 0, 1, -1, -1]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    assert released_numbers(words, mask).tolist() == [[0, 1, -1, -1, -1], [0, 1, 2, 3, -1]]
    torch.manual_seed(0)
    tokens, attention = torch.randn(2, 5, 3), torch.rand(2, 2, 5, 5)
    released = words_of(tokens, attention, words, mask, "released")
    assert released.real.tolist() == [[True, False, False, False], [True, True, True, False]]
    assert not released.vectors[0, 1:].any()
    whole = words_of(tokens, attention, words, mask)
    assert whole.real.tolist() == [[True, True], [True, True]]
    torch.testing.assert_close(whole.vectors[0, 1], tokens[0, 2] + tokens[0, 3])
    torch.testing.assert_close(whole.weights[0, 1], attention[0, :, 0, 2:4].mean(0).sum())
    torch.testing.assert_close(released.weights[1, 0], attention[1, :, 0, 2].mean())


def test_reports_without_words_are_no_fault() -> None:
    words = torch.full((2, 4), -1)
    mask = torch.tensor([[1, 1, 0, 0]] * 2)
    rules: tuple[WordRule, ...] = ("whole", "released")
    for rule in rules:
        got = words_of(torch.randn(2, 4, 3), torch.rand(2, 1, 4, 4), words, mask, rule)
        assert got.vectors.shape[1] == got.real.shape[1] == got.weights.shape[1]
    assert not words_of(torch.randn(2, 4, 3), torch.rand(2, 1, 4, 4), words, mask).real.any()
