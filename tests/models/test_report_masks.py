"""Attention of words over a film and the cells hidden for it: official masks, counts, ties, ablations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hilum.models.report_masks import report_attention, select_cells
from tests.oracles import medim as oracle

CASES = ("vit", "resnet")


def maps(golden: Any) -> dict[str, Tensor]:
    """Attention of words and of the sentence by our own arithmetic, (B, P)."""
    words, patches = (F.normalize(torch.from_numpy(golden[f"in/{name}_feat"]), dim=2) for name in ("word", "patch"))
    terms = torch.from_numpy(golden["in/mask_MeSH"])[:, 1:] > 0
    sentence = torch.from_numpy(golden["in/all_sents_mask"] == golden["in/select_sent_id"])[:, 1:]
    return {"kwm": report_attention(words, patches, terms), "sdm": report_attention(words, patches, sentence)}


@pytest.mark.parametrize("case", CASES)
def test_golden_attention_and_thresholds(shared: Path, case: str) -> None:
    golden = np.load(shared / f"golden/medim/forward_{case}.npz")
    for name, attention in maps(golden).items():
        want = torch.from_numpy(golden[f"out/{name}_attention"]).flatten(1)
        torch.testing.assert_close(attention, want, rtol=2e-4, atol=2e-5)
        for percent in (50, 25):
            key = f"out/{name}_keep_threshold{percent}"
            if key in golden:
                kept = torch.from_numpy(golden[key]).flatten(1)
                hidden = select_cells(want, torch.zeros_like(want), "high", percent / 100)
                assert torch.equal(~hidden, kept)


@pytest.mark.parametrize("case", CASES)
def test_golden_masks_of_the_released_rule(shared: Path, case: str) -> None:
    """The released code shuffles with numpy's global generator; the same shuffles as noise give the same masks."""
    golden = np.load(shared / f"golden/medim/forward_{case}.npz")
    generator = np.random.RandomState({"vit": 800, "resnet": 820}[case])
    for name, attention in maps(golden).items():
        noise = torch.zeros_like(attention)
        high = select_cells(attention, noise, "high", 0.5)
        for row, cells in enumerate(high):
            for among in (cells, ~cells):
                places = among.nonzero().flatten()
                order = generator.permutation(len(places))
                noise[row, places[order]] = torch.linspace(0, 0.9, len(places))
        hidden = select_cells(attention, noise, "diverse", 0.5)
        want = torch.from_numpy(golden[f"out/{name}_keep_released_seeded"]).flatten(1)
        assert torch.equal(~hidden, want)
        other = select_cells(attention, torch.rand_like(noise), "diverse", 0.5)
        assert torch.equal(other.sum(1), hidden.sum(1))


def test_attention_equals_the_loops() -> None:
    torch.manual_seed(0)
    words, patches = (F.normalize(torch.randn(3, n, 4, dtype=torch.float64), dim=2) for n in (5, 9))
    chosen = torch.tensor([[True, False, True, False, False], [False] * 5, [True] * 5])
    got = report_attention(words, patches, chosen)
    for film in range(3):
        torch.testing.assert_close(got[film], oracle.attention(words[film], patches[film], chosen[film].tolist(), 0.1))
    torch.testing.assert_close(got.sum(1), chosen.sum(1).double())


def test_counts_of_the_full_grid() -> None:
    """14 x 14 cells: 98 by the paper; 88 of the high and 9 of the low by the code; 19 where no word was found."""
    torch.manual_seed(0)
    attention, noise = torch.rand(4, 196), torch.rand(4, 196)
    attention[3] = 0
    counts = {
        "high": [98, 98, 98, 0],
        "diverse": [97, 97, 97, 19],
        "random": [98, 98, 98, 98],
        "none": [0] * 4,
    }
    for rule, expected in counts.items():
        assert select_cells(attention, noise, rule, 0.5).sum(1).tolist() == expected  # type: ignore[arg-type]
    low, high = (select_cells(attention[:3], noise[:3], rule, 0.5) for rule in ("low", "high"))  # type: ignore[arg-type]
    assert torch.equal(low, ~high)
    diverse = select_cells(attention[:3], noise[:3], "diverse", 0.5)
    assert (diverse & high).sum(1).tolist() == [88] * 3
    assert (diverse & ~high).sum(1).tolist() == [9] * 3
    assert torch.equal(select_cells(attention, noise, "random", 0.25).sum(1), torch.full((4,), 49))
