"""Released GLoRI files: the official code's logits and attention; the head is found; broken files are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from hilum.errors import CheckpointError
from hilum.heads.released_glori import load_glori
from hilum.heads.taps import Taps
from hilum.heads.targets import target_loss
from hilum.models.pretrained.glori import FINDINGS, read_glori

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def model_of(golden: Any) -> dict[str, Tensor]:
    marked = "ckpt/model/"
    return {key.removeprefix(marked): torch.from_numpy(golden[key]) for key in golden.files if key.startswith(marked)}


def released(path: Path, model: dict[str, Tensor]) -> Path:
    """As the official code writes it."""
    content = {"model": model, "optimizer": {"state": {}}, "scheduler": {"last_epoch": 9}, "iteration": 1230}
    torch.save(content, path)
    return path


def written(path: Path, model: dict[str, Tensor]) -> Path:
    """The same tensors in a file that is quick to read."""
    save_file({key: value.clone() for key, value in model.items()}, path)
    return path


@pytest.mark.parametrize(("case", "class_token"), [("glori", "none"), ("glori_catcls", "channels")])
def test_the_official_numbers(shared: Path, tmp_path: Path, case: str, class_token: str) -> None:
    golden = np.load(shared / f"golden/chexfound/{case}.npz")
    head, file = load_glori(released(tmp_path / "glori.pth", model_of(golden)))
    cls, patches = (
        torch.cat([torch.from_numpy(golden[f"in/layers/{kind}_{layer}"]) for layer in range(4)], dim=-1)
        for kind in ("cls", "patch")
    )
    taps, targets = Taps(cls, patches), torch.from_numpy(golden["in/targets"])
    logits = head(taps)
    torch.testing.assert_close(logits, torch.from_numpy(golden["out/logits"]), **CLOSE)
    torch.testing.assert_close(logits.sigmoid(), torch.from_numpy(golden["out/prob"]), **CLOSE)
    torch.testing.assert_close(head.attention(taps), torch.from_numpy(golden["out/attention"]), **CLOSE)
    torch.testing.assert_close(
        target_loss(logits, targets) * targets.numel(), torch.from_numpy(golden["out/bce_loss_sum"]), **CLOSE
    )
    assert (file.class_token, file.lr, file.blocks, file.dropped) == (class_token, 1e-3, 4, ())
    assert file.used == len(model_of(golden)) == 19
    assert file.report()[0].endswith("of 4 blocks, 128 channels, trained at 0.001; 19 tensors used")


@pytest.fixture
def model(shared: Path) -> dict[str, Tensor]:
    return model_of(np.load(shared / "golden/chexfound/glori.npz"))


def test_the_head_is_found_under_any_prefix(model: dict[str, Tensor], tmp_path: Path) -> None:
    bare = {"module." + key.split("decoder.")[1]: value for key, value in model.items()}
    file = read_glori(written(tmp_path / "bare.safetensors", {**bare, "other.weight": torch.ones(2)}))
    assert (file.outputs, file.lr, file.blocks) == (5, None, 4)
    assert file.dropped == (("other.weight", "another head or another part"),)


def test_of_several_heads_one_is_chosen_by_its_rate(model: dict[str, Tensor], tmp_path: Path) -> None:
    other = {key.replace("0_0010000000", "0_0001000000"): value + 1 for key, value in model.items()}
    path = written(tmp_path / "two.safetensors", {**model, **other})
    with pytest.raises(CheckpointError, match=r"holds 2 heads.*by its learning rate: 0\.0001, 0\.001"):
        read_glori(path)
    with pytest.raises(CheckpointError, match=r"no head trained at 0\.5"):
        read_glori(path, lr=0.5)
    chosen = read_glori(path, lr=1e-4)
    assert chosen.lr == 1e-4
    assert len(chosen.dropped) == len(model)
    first = next(key for key in model if key.endswith("duplicate_pooling_bias"))
    torch.testing.assert_close(chosen.weights["classify.bias"], model[first] + 1)


def lack(name: str) -> Callable[[dict[str, Tensor]], None]:
    def damage(model: dict[str, Tensor]) -> None:
        model.pop(next(key for key in model if key.endswith(name)))

    return damage


def cut(name: str) -> Callable[[dict[str, Tensor]], None]:
    def damage(model: dict[str, Tensor]) -> None:
        key = next(key for key in model if key.endswith(name))
        model[key] = model[key][:-1].clone()

    return damage


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lack("duplicate_pooling"), "holds no GLoRI head"),
        (lack("query_embed.weight"), "lacks a tensor"),
        (lack("norm3.bias"), r"output_norm\.bias is missing"),
        (cut("query_embed.weight"), "does not fit together"),
        (cut("linear2.bias"), r"contract\.bias is \(23,\) and must be \(24,\)"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    model: dict[str, Tensor], tmp_path: Path, damage: Callable[[dict[str, Tensor]], None], said: str
) -> None:
    damage(model)
    with pytest.raises(CheckpointError, match=said):
        load_glori(written(tmp_path / "broken.safetensors", model))


def test_the_findings_of_the_released_file_are_40_in_alphabetical_order() -> None:
    assert len(FINDINGS) == len(set(FINDINGS)) == 40
    assert list(FINDINGS) == sorted(FINDINGS)
