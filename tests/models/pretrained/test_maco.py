"""Released MaCo files: the stand-in gives its features; every tensor is used or named; broken files are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.fill import fill
from hilum.models.pretrained.maco import is_maco, read_maco
from hilum.models.pretrained.tensors import read_tensors
from hilum.models.towers import Towers
from hilum.models.vit import VisionTransformer


def test_the_stand_in_reproduces_tokens_projections_and_text(shared: Path) -> None:
    path, golden = shared / "golden/checkpoints/maco.pth", np.load(shared / "golden/checkpoints/maco.npz")
    file = read_maco(path, heads=3, text_heads=3)
    backbone = VisionTransformer(file.image.config)
    fill(backbone, file.image.backbone, where=path)
    towers = Towers(file.config, file.image.config.width, file.image.config.patches, file.vocabulary)
    fill(towers, file.towers, where=path)

    def wanted(name: str) -> Tensor:
        return torch.from_numpy(golden[f"out/{name}"])

    close = {"rtol": 1e-4, "atol": 1e-5}
    tokens = backbone(torch.from_numpy(golden["in/imgs"]))
    torch.testing.assert_close(tokens, wanted("tokens"), **close)
    torch.testing.assert_close(towers.image_global(tokens), wanted("global_embedding"), **close)
    torch.testing.assert_close(towers.image_local(tokens[:, 1:]), wanted("patch_embedding"), **close)
    read = towers.text(*(torch.from_numpy(golden[f"in/{key}"]) for key in ("ids", "attention_mask")))
    torch.testing.assert_close(towers.text_global(read), wanted("text_embedding"), **close)


def test_every_tensor_is_used_or_named_as_dropped(shared: Path) -> None:
    path = shared / "golden/checkpoints/maco.pth"
    tensors, file = read_tensors(path), read_maco(path, heads=3, text_heads=3)
    assert is_maco(tensors)
    used = len(file.image.backbone) + len(file.image.decoder) + len(file.towers) + 1  # and the scale
    assert used + len(file.dropped) == len(tensors)
    assert not file.image.dropped
    dropped = " ".join(key for key, _ in file.dropped)
    for key in ("WCE.weight", "position_ids", "pos_weight_text.weight", "pos_cat.bias", "logit_scale", "predictions"):
        assert key in dropped
    assert any("dropped WCE.weight: the class weights" in line for line in file.report())
    assert file.scale is not None
    torch.testing.assert_close(file.scale, tensors["Tpar"].reshape(1))
    text = file.text
    assert (text.width, text.depth, text.heads, text.hidden, text.positions, file.vocabulary) == (24, 1, 3, 48, 100, 60)


def test_an_mae_file_is_no_maco_file(shared: Path) -> None:
    path = shared / "golden/checkpoints/mae_pretrain_full.pth"
    assert not is_maco(read_tensors(path))
    with pytest.raises(CheckpointError, match="is not a MaCo file: it has no img_mlp"):
        read_maco(path)


@pytest.mark.parametrize(
    ("missing", "message"),
    [("pos_weight_img.", "no pos_weight_img"), ("bert_encoder.", "no report encoder"), ("blocks.", "its blocks are")],
)
def test_a_file_without_a_part_is_refused(shared: Path, tmp_path: Path, missing: str, message: str) -> None:
    tensors = read_tensors(shared / "golden/checkpoints/maco.pth")
    broken = tmp_path / "broken.safetensors"
    save_file({key: value for key, value in tensors.items() if not key.startswith(missing)}, broken)
    with pytest.raises(CheckpointError, match=message):
        read_maco(broken, heads=3, text_heads=3)


def test_the_released_width_is_refused_with_its_reason(shared: Path, tmp_path: Path) -> None:
    tensors = read_tensors(shared / "golden/checkpoints/maco.pth")
    wide = {**tensors, "img_mlp.weight": torch.zeros(48, 48), "img_mlp.bias": torch.zeros(48)}
    save_file(wide, tmp_path / "wide.safetensors")
    with pytest.raises(CheckpointError, match="projects films to 48 and reads reports 24 wide"):
        read_maco(tmp_path / "wide.safetensors", heads=3, text_heads=3)
