"""Where MRM's weights start: MAE's file, MRM's own, a BERT folder; nothing is skipped without a word."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hilum.errors import CheckpointError
from hilum.methods.mrm import MRM, Config
from hilum.models.pretrained import read_mrm, read_tensors
from hilum.models.text import ReportEncoder, TextConfig
from tests.words import vocabulary_of

FOLDER = "golden/checkpoints"
OUTPUT = "bert_encoder.model.cls.predictions.decoder.weight"
IMAGE_SIDE = {"image_size": 64, "vit": {"patch_size": 16, "width": 48, "depth": 2, "heads": 3}}


@pytest.fixture(scope="module")
def released(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden file as safetensors: a pickle is read in a child process, which takes seconds."""
    path = tmp_path_factory.mktemp("released") / "mrm.safetensors"
    save_file({key: value.clone() for key, value in read_tensors(shared / f"{FOLDER}/mrm.pth").items()}, path)
    return path


def config_of_file(path: Path) -> Config:
    file = read_mrm(path, heads=3, text_heads=3)
    decoder = file.image.decoder
    depth = len({key.split(".")[1] for key in decoder if key.startswith("decoder_blocks.")})
    shape = {"decoder_width": decoder["mask_token"].shape[-1], "decoder_depth": depth, "decoder_heads": 4}
    return Config(**IMAGE_SIDE, **shape, text=file.text, length=100, tied=file.tied)


def snapshot(model: MRM) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def test_the_whole_method_starts_from_a_released_file(shared: Path, released: Path) -> None:
    path = released
    config = config_of_file(path)
    model = MRM(config, vocabulary_of(60))
    before = snapshot(model)
    notes = model.start_from(path)
    for part in ("decoder", "bridge from film to report", "report decoder", "language head"):
        assert any(f"{part} starts from the file" in note for note in notes), part
    assert not any("random weights" in note for note in notes)
    assert any("give that tokenizer" in note for note in notes)
    file = read_mrm(path, heads=3, text_heads=3)
    wanted = {f"report.{key}": value for key, value in file.report.items()}
    wanted |= {f"bridge.{key}": value for key, value in file.bridge.items()}
    wanted |= {f"words.{key}": value for key, value in file.head_for(tied=config.tied).items()}
    wanted |= {f"backbone.{key}": value for key, value in file.image.backbone.items()}
    wanted |= {f"decoder.{key}": value for key, value in file.image.decoder.items()}
    now = model.state_dict()
    assert wanted.keys() == now.keys()
    assert all(torch.equal(now[key], wanted[key]) for key in now)
    assert any(not torch.equal(before[key], now[key]) for key in before)
    golden = np.load(shared / f"{FOLDER}/mrm.npz")
    tokens = model.backbone(torch.from_numpy(golden["in/imgs"])).detach().numpy()
    np.testing.assert_allclose(tokens, golden["out/tokens"], rtol=1e-4, atol=1e-5)


def test_parts_that_do_not_fit_are_named(released: Path) -> None:
    path = released
    config = config_of_file(path)
    other = replace(config, text=TextConfig(width=36, depth=1, heads=3, hidden=48, positions=100))
    other = replace(other, decoder_width=2 * config.decoder_width)
    model = MRM(other, vocabulary_of(60))
    notes = model.start_from(path)
    assert sum("random weights: the file has none of this shape" in note for note in notes) == 4
    pixels = MRM(replace(config, report_loss=False), vocabulary_of(60))
    assert sum("this model has none" in note for note in pixels.start_from(path)) == 3
    words = MRM(replace(config, image_loss=False, mask_ratio=0.0), vocabulary_of(60))
    assert any("draws no films" in note for note in words.start_from(path))
    fixed = MRM(replace(config, text=replace(config.text, position="sincos")), vocabulary_of(60))
    table = fixed.report.bert.embeddings.position_embeddings.weight.clone()
    assert any("positions are left out" in note for note in fixed.start_from(path))
    assert torch.equal(fixed.report.bert.embeddings.position_embeddings.weight, table)


def test_the_other_kind_of_output_matrix(released: Path, tmp_path: Path) -> None:
    config = config_of_file(released)
    tensors = load_file(released)
    changed = {**tensors, OUTPUT: tensors[OUTPUT] + 1}
    save_file(changed, tmp_path / "untied.safetensors")
    model = MRM(replace(config, tied=True), vocabulary_of(60))
    assert any("ties it (tied=true)" in note for note in model.start_from(tmp_path / "untied.safetensors"))
    free = MRM(replace(config, tied=False), vocabulary_of(60))
    free.start_from(tmp_path / "untied.safetensors")
    assert torch.equal(free.words.decoder.weight, changed[OUTPUT])


def test_an_mae_file_starts_the_image_side_only(shared: Path) -> None:
    config = Config(**{**IMAGE_SIDE, "vit": {**IMAGE_SIDE["vit"], "depth": 3}}, decoder_width=16, decoder_depth=1)
    config = replace(config, decoder_heads=2, text=TextConfig(width=24, depth=1, heads=3, hidden=48))
    model = MRM(config, vocabulary_of(60))
    before = snapshot(model)
    notes = model.start_from(shared / f"{FOLDER}/mae_pretrain_encoder_only.pth")
    assert any("encoder: 3 blocks of width 48 with 3 heads" in note for note in notes)
    now = model.state_dict()
    changed = {key.split(".")[0] for key in now if not torch.equal(now[key], before[key])}
    assert changed == {"backbone"}


def test_another_encoder_is_refused_and_nothing_changes(released: Path) -> None:
    config = config_of_file(released)
    model = MRM(replace(config, vit={**config.vit, "width": 24}), vocabulary_of(60))
    before = snapshot(model)
    with pytest.raises(CheckpointError, match="another architecture"):
        model.start_from(released)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def bert_folder(folder: Path, entries: int) -> Path:
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 48}
    (folder / "config.json").write_text(json.dumps({**sizes, "max_position_embeddings": 50}))
    bert = ReportEncoder(TextConfig(width=24, depth=2, heads=3, hidden=48, positions=50), entries, pooler=True)
    save_file({key: value.contiguous() for key, value in bert.state_dict().items()}, folder / "model.safetensors")
    return folder


def test_the_report_decoder_starts_from_a_bert_folder(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path, 60)
    text = TextConfig(width=24, depth=1, heads=3, hidden=48, positions=20)
    config = Config(**IMAGE_SIDE, decoder_width=16, decoder_depth=1, decoder_heads=2, text=text, length=20)
    model = MRM(config, vocabulary_of(60))
    notes = model.start_text_from(folder)
    assert any("first 20 of its 50 positions" in note for note in notes)
    assert any("language head and the bridge" in note for note in notes)
    with pytest.raises(CheckpointError, match="word pieces"):
        MRM(config, vocabulary_of(61)).start_text_from(folder)
    with pytest.raises(CheckpointError, match="no report decoder"):
        MRM(replace(config, report_loss=False), vocabulary_of(60)).start_text_from(folder)
