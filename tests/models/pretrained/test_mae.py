"""Released MAE layouts: golden features, prefixes, what is dropped, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.pretrained import load_backbone, read_mae
from hilum.models.vit import VisionTransformer, ViTConfig

SMALL = ViTConfig(image_size=32, patch_size=8, width=64, depth=2, heads=1)


@pytest.fixture
def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {key: value.clone() for key, value in VisionTransformer(SMALL).state_dict().items()}


def _save(weights: dict[str, Tensor], folder: Path) -> Path:
    save_file({key: value.contiguous() for key, value in weights.items()}, folder / "file.safetensors")
    return folder / "file.safetensors"


@pytest.mark.parametrize("name", ["mae_pretrain_encoder_only", "mae_pretrain_full"])
def test_golden_pretraining_files(shared: Path, name: str) -> None:
    golden = np.load(shared / "golden/checkpoints/mae.npz")
    model, file = load_backbone(shared / f"golden/checkpoints/{name}.pth", heads=3)
    tokens = model.eval()(torch.from_numpy(golden["in/imgs"])).detach().numpy()
    np.testing.assert_allclose(tokens, golden["out/tokens_pretrained"], rtol=1e-4, atol=1e-5)
    for size in ("64", "96"):
        images = torch.from_numpy(golden[f"in/sizes/{size}"])
        mean = model.forward_intermediates(images)[0][:, 1:].mean(1).detach().numpy()
        wanted = golden[f"out/mean_patch_before_fc_norm/{size}"]
        np.testing.assert_allclose(mean, wanted, rtol=1e-4, atol=1e-5)
    assert bool(file.decoder) == (name == "mae_pretrain_full")
    assert not file.dropped


def test_golden_fine_tuned_file(shared: Path) -> None:
    golden = np.load(shared / "golden/checkpoints/mae.npz")
    model, file = load_backbone(shared / "golden/checkpoints/mae_finetune.pth", heads=3)
    assert not model.config.final_norm
    assert model.config.pool_norm
    features = model.pooled_mean(model.eval()(torch.from_numpy(golden["in/imgs"])))
    head = file.head
    np.testing.assert_allclose(features.detach().numpy(), golden["out/finetuned_features"], rtol=1e-4, atol=1e-5)
    logits = (features @ head["head.weight"].T + head["head.bias"]).detach().numpy()
    np.testing.assert_allclose(logits, golden["out/finetuned_logits"], rtol=1e-4, atol=1e-5)


def test_the_architecture_is_read_from_the_tensors(weights: dict[str, Tensor], tmp_path: Path) -> None:
    model, file = load_backbone(_save(weights, tmp_path))
    assert model.config == SMALL
    for key, value in model.state_dict().items():
        assert torch.equal(value, weights[key])
    assert "2 blocks of width 64 with 1 heads, patch 8, 32 px, 3 channels" in file.report()[0]


@pytest.mark.parametrize("prefix", ["module.", "encoder.", "backbone.", "module.encoder."])
def test_prefixes_are_stripped_and_strangers_reported(weights: dict[str, Tensor], tmp_path: Path, prefix: str) -> None:
    wrapped = {prefix + key: value for key, value in weights.items()}
    wrapped["text.embedding"] = torch.zeros(3)
    model, file = load_backbone(_save(wrapped, tmp_path))
    assert torch.equal(model.blocks[1].attn.qkv.weight, weights["blocks.1.attn.qkv.weight"])
    assert [key for key, _ in file.dropped] == ["text.embedding"]
    assert any(line.startswith("dropped text.embedding") for line in file.report())


@pytest.mark.parametrize(
    "key", ["blocks.1.mlp.fc2.weight", "blocks.0.norm1.bias", "patch_embed.proj.bias", "norm.bias"]
)
def test_a_part_left_unfilled_is_refused(weights: dict[str, Tensor], tmp_path: Path, key: str) -> None:
    del weights[key]
    with pytest.raises(CheckpointError, match=f"{key} is missing"):
        load_backbone(_save(weights, tmp_path))


def test_other_faults_are_refused(weights: dict[str, Tensor], tmp_path: Path) -> None:
    def refused(change: dict[str, Tensor | None], message: str) -> None:
        changed = {key: value for key, value in {**weights, **change}.items() if value is not None}
        with pytest.raises(CheckpointError, match=message):
            load_backbone(_save(changed, tmp_path))

    whole_block = {key: None for key in weights if key.startswith("blocks.0.")}
    refused(whole_block, r"blocks are \[1\]")
    refused({"patch_embed.proj.weight": None}, "no patch_embed.proj.weight")
    refused({"pos_embed": torch.zeros(1, 16, 64)}, "no square grid")
    refused({"blocks.1.attn.qkv.weight": torch.zeros(64, 64)}, r"is \(64, 64\) and must be \(192, 64\)")
    refused({"norm.bias": torch.full((64,), torch.nan)}, "norm.bias holds values that are not finite")
    refused({"module.norm.bias": torch.zeros(64)}, "two tensors are named norm.bias")
    refused({"blocks.0.extra.weight": torch.zeros(1)}, "blocks.0.extra.weight has no place")
    with pytest.raises(CheckpointError, match="does not divide into 7 heads"):
        read_mae(_save(weights, tmp_path), heads=7)


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0 not json")
    with pytest.raises(CheckpointError, match="is a file of no known kind"):
        read_mae(tmp_path / "x.safetensors")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(CheckpointError, match="holds no tensors"):
        read_mae(tmp_path / "empty.pth")


def test_positions_for_another_grid(weights: dict[str, Tensor], tmp_path: Path) -> None:
    file = read_mae(_save(weights, tmp_path))
    assert file.backbone_for(SMALL) is file.backbone
    larger = ViTConfig(image_size=48, patch_size=8, width=64, depth=2, heads=1)
    assert file.backbone_for(larger)["pos_embed"].shape == (1, 37, 64)
