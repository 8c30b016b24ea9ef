"""Where MedIM starts: MGCA's file, a supervised ViT, a ResNet, a BERT folder; whole or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hilum.errors import CheckpointError
from hilum.models.resnet import ResNet
from hilum.models.vit import VisionTransformer
from tests.methods.test_medim import RESNET_SMALL, SMALL, WORDS, built


def test_mgcas_file_fills_backbone_and_image_projections(shared: Path) -> None:
    config = replace(
        SMALL,
        image_size=96,  # the file has 48: its position table is resized
        channels=3,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        vit={"width": 32, "depth": 3, "heads": 4},
        dim=16,
        hidden=40,
        decoder=(8, 6, 4, 4),
    )
    model = built(config)
    before = {key: value.clone() for key, value in model.towers.state_dict().items()}
    notes = model.start_from(shared / "golden/checkpoints/mgca_vit.ckpt")
    assert "image_head starts from the file" in notes
    assert "image_local_head starts from the file" in notes
    assert "left behind: its prototypes" in notes
    assert not any("num_batches_tracked" in note for note in notes)
    changed = {key.split(".")[0] for key, value in model.towers.state_dict().items() if not value.equal(before[key])}
    assert changed == {"image_head", "image_local_head"}


def test_a_supervised_vit_under_timms_names(tmp_path: Path) -> None:
    source = built(SMALL).backbone
    assert isinstance(source, VisionTransformer)
    weights = {key: value.contiguous() + 0.5 for key, value in source.state_dict().items()}
    save_file(
        {**weights, "head.weight": torch.zeros(10, 12), "head.bias": torch.zeros(10)}, tmp_path / "deit.safetensors"
    )
    model = built(SMALL)
    notes = model.start_from(tmp_path / "deit.safetensors")
    assert any("head" in note for note in notes)
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, weights[key])


def test_a_resnet_file_fills_the_resnet_and_not_a_vit(tmp_path: Path) -> None:
    source = built(RESNET_SMALL).backbone
    assert isinstance(source, ResNet)
    weights = {key: value.contiguous() + 0.5 for key, value in source.state_dict().items()}
    save_file(weights, tmp_path / "resnet.safetensors")
    model = built(RESNET_SMALL)
    model.start_from(tmp_path / "resnet.safetensors")
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, weights[key])
    with pytest.raises(CheckpointError):
        built(SMALL).start_from(tmp_path / "resnet.safetensors")


def test_what_does_not_fit_changes_nothing(shared: Path, tmp_path: Path) -> None:
    model = built(SMALL)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match="another architecture"):
        model.start_from(shared / "golden/checkpoints/mgca_vit.ckpt", heads=4)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="not a BERT folder"):
        model.start_text_from(tmp_path)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_bert_folder_gives_its_first_layers(tmp_path: Path) -> None:
    deeper = built(replace(SMALL, text=replace(SMALL.text, depth=3))).towers.text
    sizes = {
        "hidden_size": 12,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 48,
        "type_vocab_size": 2,
    }
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    weights = {key: value.contiguous() + 0.25 for key, value in deeper.state_dict().items()}
    save_file({**weights, "bert.pooler.dense.weight": torch.zeros(12, 12)}, tmp_path / "model.safetensors")
    model = built(SMALL)
    notes = model.start_text_from(tmp_path)
    assert any("1 layers of width 12" in note for note in notes)
    for key, value in model.towers.text.state_dict().items():
        assert torch.equal(value, weights[key])
    assert len(WORDS) == weights["bert.embeddings.word_embeddings.weight"].shape[0]
