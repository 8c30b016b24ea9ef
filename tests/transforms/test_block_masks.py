"""Block masks and their counts: the golden files with Python's generator, statistics with NumPy's, limits, strata."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.transforms.block_masks import block_mask, mask_counts, stratified_counts


class PythonDraws:
    """Python's `random` under the names of NumPy's generator."""

    def __init__(self, seed: int) -> None:
        self.source = random.Random(seed)

    def random(self) -> float:
        return self.source.random()

    def integers(self, low: int, high: int, *, endpoint: bool) -> int:
        assert endpoint
        return self.source.randint(low, high)

    def shuffle(self, items: Any) -> None:
        self.source.shuffle(items)


@pytest.fixture(params=[14, 32])
def case(request: pytest.FixtureRequest, shared: Path) -> tuple[int, dict[str, Any], dict[str, Any]]:
    folder = shared / "golden/chexfound"
    facts = json.loads((folder / f"masking_{request.param}.json").read_text())
    return request.param, facts, dict(np.load(folder / f"masking_{request.param}.npz"))


def test_golden_masks_are_exact(case: tuple[int, dict[str, Any], dict[str, Any]]) -> None:
    side, facts, golden = case
    assert facts["config"]["max_num_patches"] == side * side / 2
    draws: Any = PythonDraws(side)
    for ratio, want in zip((0.1, 0.2, 0.3, 0.4, 0.5, 0.0), golden["out/masks_seeded"], strict=True):
        np.testing.assert_array_equal(block_mask((side, side), int(side * side * ratio), draws), want)


def test_golden_counts_are_exact(case: tuple[int, dict[str, Any], dict[str, Any]]) -> None:
    side, _, golden = case
    draws: Any = PythonDraws(2000 + side)
    counts = [block_mask((side, side), int(target), draws).sum() for target in golden["in/targets"]]
    np.testing.assert_array_equal(counts, golden["out/counts"])


def test_numpy_draws_have_the_golden_statistics(case: tuple[int, dict[str, Any], dict[str, Any]]) -> None:
    side, facts, golden = case
    rng, extra, targets = np.random.default_rng(0), facts["extra"], golden["in/targets"]
    counts = np.array([block_mask((side, side), int(target), rng).sum() for target in targets])
    assert (counts <= targets).all()
    assert abs((counts / side**2).mean() - extra["mean_ratio"]) < 0.01
    assert abs((targets - counts).mean() - extra["mean_shortfall"]) < 1.0
    assert abs((targets == counts).mean() - extra["share_exact"]) < 0.08


def test_golden_batch(shared: Path) -> None:
    facts = json.loads((shared / "golden/chexfound/collate.json").read_text())["config"]
    want = np.load(shared / "golden/chexfound/collate.npz")["out/collated_masks"]
    draws: Any = PythonDraws(facts["python_random_seed"])
    side, crops = facts["grid"], 2 * facts["samples"]
    masked = int(crops * facts["mask_probability"])
    counts: Iterator[int] = stratified_counts(draws, masked, side * side, facts["mask_ratio"])
    masks = [block_mask((side, side), count, draws) for count in counts]  # a count, its mask, the next count
    masks += [np.zeros((side, side), dtype=bool)] * (crops - masked)
    draws.shuffle(masks)
    np.testing.assert_array_equal(np.stack(masks).reshape(crops, -1), want)
    given = mask_counts(
        draws, crops, side * side, probability=facts["mask_probability"], ratio=tuple(facts["mask_ratio"])
    )
    assert (given > 0).sum() == (want.sum(1) > 0).sum()


@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (3, 7), (16, 4)])
def test_no_grid_and_no_count_breaks_it(grid: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    for count in range(grid[0] * grid[1] + 2):
        mask = block_mask(grid, count, rng)
        assert mask.shape == grid
        assert mask.sum() <= count


def test_masks_are_blocks() -> None:
    """Scattered patches have as many masked neighbours as the ratio says; blocks have many more."""
    rng = np.random.default_rng(2)
    together = []
    for _ in range(50):
        mask = block_mask((14, 14), 60, rng)
        together.append(mask[:, 1:][mask[:, :-1]].mean())
    assert np.mean(together) > 0.7 > 60 / 196 + 0.2


def test_one_rectangle_obeys_its_limits() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        mask = block_mask((20, 20), 12, rng, smallest=12, largest=12, aspect=(1 / 3, 1 / 3))
        rows, columns = mask.any(1), mask.any(0)  # 2 x 6, in one piece
        assert (rows.sum(), columns.sum(), mask.sum()) == (2, 6, 12)


@pytest.mark.parametrize(("crops", "probability"), [(8, 0.5), (7, 0.5), (1, 0.5), (6, 1.0), (6, 0.0)])
def test_counts_are_stratified_and_shuffled(crops: int, probability: float) -> None:
    rng = np.random.default_rng(4)
    masked, patches, low, high = int(crops * probability), 1000, 0.1, 0.5
    orders = set()
    for _ in range(20):
        counts = mask_counts(rng, crops, patches, probability=probability, ratio=(low, high))
        assert counts.dtype == np.int64
        assert counts.shape == (crops,)
        assert (counts > 0).sum() == masked
        for part, count in enumerate(np.sort(counts[counts > 0])):
            edges = low + (high - low) / masked * np.array([part, part + 1])
            assert int(edges[0] * patches) <= count <= edges[1] * patches
        orders.add(tuple(np.argsort(counts)))
    assert len(orders) > 1 or crops == 1 or masked == 0


def test_the_same_draws_give_the_same_mask() -> None:
    first, second = (block_mask((14, 14), 70, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, block_mask((14, 14), 70, np.random.default_rng(6)))
