"""Position tables: the fixed one against its formula, resizing rules against each other and in easy cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hilum.models.positions import RESIZE_RULES, resize_table, sincos_table
from tests.oracles.positions import sincos


@pytest.mark.parametrize(("width", "rows", "columns"), [(4, 1, 1), (8, 2, 3), (48, 4, 4), (192, 3, 2)])
def test_sincos_equals_the_formula(width: int, rows: int, columns: int) -> None:
    table = sincos_table(width, (rows, columns), class_token=True)
    assert table.dtype is torch.float64
    assert table[0, 0].abs().max() == 0
    np.testing.assert_allclose(table[0, 1:].numpy(), sincos(width, rows, columns), rtol=0, atol=1e-12)
    assert torch.equal(table[:, 1:], sincos_table(width, (rows, columns), class_token=False))


def test_golden_sincos(shared: Path) -> None:
    golden = np.load(shared / "golden/mae/sincos.npz")
    for name in golden.files:
        width, grid, token = (int(part.lstrip("dimgrcls")) for part in name[len("out/") :].split("_"))
        table = sincos_table(width, (grid, grid), class_token=bool(token))[0].numpy()
        np.testing.assert_allclose(table, golden[name], rtol=1e-7, atol=1e-7)


def test_golden_resize(shared: Path) -> None:
    golden = np.load(shared / "golden/mae/pos_interpolation.npz")
    for name, source, target in (("grid4_to_6_dim16", 4, 6), ("grid7_to_4_dim8", 7, 4)):
        table = torch.from_numpy(golden[f"in/{name}"])
        got = resize_table(table, (source, source), (target, target), prefix=1, rule="bicubic")
        np.testing.assert_allclose(got.numpy(), golden[f"out/{name}"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("set_name", ["vit_mlp", "vit_swiglu_reg4_chunk2"])
def test_golden_resize_with_offset(shared: Path, set_name: str) -> None:
    golden = np.load(shared / f"golden/chexfound/{set_name}.npz")
    table = torch.from_numpy(golden["ckpt/teacher/backbone.pos_embed"])
    side = int((table.shape[1] - 1) ** 0.5)
    sizes = [name.split("/")[1] for name in golden.files if name.startswith("out/") and name.endswith("/pos")]
    assert sizes
    for size in sizes:
        rows, columns = (int(part) // 16 for part in size.split("x"))
        got = resize_table(table, (side, side), (rows, columns), prefix=1, rule="bicubic_offset")
        np.testing.assert_allclose(got.numpy(), golden[f"out/{size}/pos"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rule", RESIZE_RULES)
def test_resizing(rule: str) -> None:
    table = torch.randn(1, 2 + 12, 5)
    assert resize_table(table, (3, 4), (3, 4), prefix=2, rule=rule) is table
    grown = resize_table(table, (3, 4), (7, 2), prefix=2, rule=rule)
    assert grown.shape == (1, 2 + 14, 5)
    assert torch.equal(grown[:, :2], table[:, :2])  # prefix rows are never touched
    flat = torch.full((1, 9, 5), 0.3)
    torch.testing.assert_close(resize_table(flat, (3, 3), (5, 5), prefix=0, rule=rule), torch.full((1, 25, 5), 0.3))


def test_the_rules_differ_where_they_should() -> None:
    table = torch.randn(1, 64, 4)
    got = {rule: resize_table(table, (8, 8), (4, 4), prefix=0, rule=rule) for rule in RESIZE_RULES}
    assert (got["bicubic"] - got["bicubic_antialias"]).abs().max() > 0.05
    assert (got["bicubic"] - got["bicubic_offset"]).abs().max() > 0.01
