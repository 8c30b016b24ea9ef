"""Rotary positions: against the definition, what turning keeps, which tokens are turned, other grids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hilum.models.rotary import ROTARY_KINDS, rotation
from tests.oracles.rotary import turned

BASES = {"eva": 10000.0, "dinov3": 100.0}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("eva", {}),
    ("eva", {"reference": 5}),
    ("eva", {"base": 50.0}),
    ("dinov3", {}),
    ("dinov3", {"base": 1000.0}),
]


@pytest.mark.parametrize(("kind", "options"), CASES)
@pytest.mark.parametrize("grid", [(2, 2), (3, 5), (1, 4)])
def test_equals_the_definition(kind: Any, options: dict[str, Any], grid: tuple[int, int]) -> None:
    width, prefix = 16, 2
    turn = rotation(kind, width, grid, prefix=prefix, **options)
    torch.manual_seed(0)
    x = torch.randn(2, 3, prefix + grid[0] * grid[1], width)
    got = turn.turn(x)
    assert torch.equal(got[:, :, :prefix], x[:, :, :prefix])  # bit for bit: prefix tokens have no place
    base, reference = options.get("base", BASES[kind]), options.get("reference")
    for row in range(grid[0]):
        for column in range(grid[1]):
            token = prefix + row * grid[1] + column
            for sample, head in ((0, 0), (1, 2)):
                vector = x[sample, head, token].double().numpy()
                want = turned(vector, row, column, grid, kind=kind, base=base, reference=reference)
                np.testing.assert_allclose(got[sample, head, token].numpy(), want, atol=2e-6)


@pytest.mark.parametrize("kind", ROTARY_KINDS)
def test_lengths_stay_and_products_depend_on_the_distance_alone(kind: Any) -> None:
    turn = rotation(kind, 8, (4, 4), prefix=0)
    torch.manual_seed(0)
    query, key = torch.randn(8), torch.randn(8)
    queries, keys = (turn.turn(x.expand(1, 1, 16, 8)) for x in (query, key))
    torch.testing.assert_close(queries.norm(dim=-1), query.norm().expand(1, 1, 16))
    scores = (queries @ keys.transpose(-2, -1))[0, 0].reshape(4, 4, 4, 4)  # row, column of query; of key
    torch.testing.assert_close(scores[0, 0, 1, 2], scores[2, 1, 3, 3], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(scores[3, 2, 1, 0], scores[2, 3, 0, 1], atol=1e-5, rtol=1e-5)
    assert (scores[0, 0, 1, 2] - scores[0, 0, 2, 1]).abs() > 1e-3  # rows are not columns


@pytest.mark.parametrize("kind", ROTARY_KINDS)
def test_chosen_patches_turn_as_in_the_whole_grid(kind: Any) -> None:
    keep = torch.tensor([[5, 0, 3], [1, 4, 2]])
    whole = rotation(kind, 8, (2, 3), prefix=1)
    some = rotation(kind, 8, (2, 3), prefix=1, keep=keep)
    x = torch.randn(2, 2, 7, 8)
    rows = torch.cat([torch.zeros(2, 1, dtype=torch.int64), keep + 1], dim=1)
    picked = torch.stack([x[sample][:, rows[sample]] for sample in range(2)])
    wanted = torch.stack([whole.turn(x)[sample][:, rows[sample]] for sample in range(2)])
    torch.testing.assert_close(some.turn(picked), wanted)
    torch.testing.assert_close(some.of_samples(torch.tensor([1])).turn(picked[1:]), wanted[1:])
    assert whole.of_samples(torch.tensor([1])) is whole
    torch.testing.assert_close(whole.turn(x[:, :, 2:5], slice(2, 5)), whole.turn(x)[:, :, 2:5])


def test_the_reference_grid_brings_coordinates_together() -> None:
    small, large = (rotation("eva", 8, (side, side), prefix=0, reference=4) for side in (4, 8))
    alone = rotation("eva", 8, (8, 8), prefix=0)
    of_large = large.cosine.reshape(8, 8, 8)[::2, ::2]
    torch.testing.assert_close(of_large, small.cosine.reshape(4, 4, 8))
    assert not torch.allclose(alone.cosine.reshape(8, 8, 8)[::2, ::2], small.cosine.reshape(4, 4, 8), atol=0.1)


def test_half_precision_stays_half_precision_and_is_turned_in_full() -> None:
    turn = rotation("dinov3", 16, (3, 3), prefix=1)
    x = torch.randn(1, 1, 10, 16).bfloat16()
    out = turn.turn(x)
    assert out.dtype is torch.bfloat16
    assert torch.equal(out, turn.turn(x.float()).bfloat16())


@pytest.mark.timm
@pytest.mark.parametrize("grid", [(4, 4), (6, 3)])
def test_equal_to_timm(grid: tuple[int, int]) -> None:
    timm = pytest.importorskip("timm", reason="needs hilum[timm]")
    layers = timm.layers
    x = torch.randn(2, 3, grid[0] * grid[1], 16)
    eva = layers.RotaryEmbeddingCat(16, in_pixels=False, feat_shape=grid, ref_feat_shape=(4, 4))
    torch.testing.assert_close(
        rotation("eva", 16, grid, prefix=0, reference=4).turn(x), layers.apply_rot_embed_cat(x, eva.get_embed())
    )
    dino = layers.RotaryEmbeddingDinoV3(16, feat_shape=grid, temperature=100.0, rotate_half=True)
    torch.testing.assert_close(
        rotation("dinov3", 16, grid, prefix=0).turn(x), layers.apply_rot_embed_cat(x, dino.get_embed(), half=True)
    )
