"""Files and folders of strangers, opened: the right file of several, the plain values beside it, and clear refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hilum.errors import CheckpointError
from hilum.released.source import open_source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "a model"
    root.mkdir()
    save_file({"a": torch.ones(2)}, root / "model.safetensors")
    (root / "config.json").write_text(json.dumps({"model_type": "vit"}))
    (root / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5]}))
    return root


def test_a_folder_brings_what_lies_beside(folder: Path) -> None:
    torch.save({"b": torch.zeros(1)}, folder / "pytorch_model.bin")
    (folder / "vocab.txt").write_text("[PAD]\n")
    source = open_source(folder)
    assert list(source.tensors) == ["a"]
    assert source.config["model_type"] == "vit"
    assert source.pixels["image_mean"] == [0.5]
    assert source.tokenizer == folder
    assert [file.name for file in source.weights] == ["model.safetensors"]


def test_a_file_brings_its_plain_values(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": torch.ones(1)}, "epoch": 7}, tmp_path / "x.ckpt")
    source = open_source(tmp_path / "x.ckpt")
    assert source.wrapper == "state_dict"
    assert source.extra["epoch"] == 7
    assert list(source.tensors) == ["w"]


def test_weights_in_parts(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    save_file({"a": torch.ones(1)}, folder / "model-1.safetensors")
    save_file({"b": torch.ones(1)}, folder / "model-2.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}))
    assert set(open_source(folder).tensors) == {"a", "b"}
    (folder / "model-2.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"names model-2\.safetensors, which is not there"):
        open_source(folder)
    index.write_text(json.dumps({"weight_map": {"a": "../elsewhere.safetensors"}}))
    with pytest.raises(CheckpointError, match="outside its folder"):
        open_source(folder)


def test_refusals(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file or folder"):
        open_source(tmp_path / "nowhere")
    (tmp_path / "graph").mkdir()
    (tmp_path / "graph/model.onnx").write_bytes(b"onnx")
    with pytest.raises(CheckpointError, match="holds an ONNX graph"):
        open_source(tmp_path / "graph")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="holds no encoder"):
        open_source(tmp_path / "empty")
    save_file({"b": torch.ones(1)}, folder / "other.safetensors")
    (folder / "model.safetensors").rename(folder / "first.safetensors")
    with pytest.raises(CheckpointError, match=r"several files of weights: first\.safetensors, other\.safetensors"):
        open_source(folder)
    (folder / "other.safetensors").unlink()
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is a LoRA adapter"):
        open_source(folder)
    (folder / "adapter_config.json").unlink()
    for text in ("<html>", "[1]", "[" * 100_000, '{"a": "' + " " * (17 << 20) + '"}'):
        (folder / "config.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"config\.json: is no JSON"):
            open_source(folder)


def test_what_is_neither_file_nor_folder_is_called_by_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="this is a device, not a file"):
        open_source("/dev/zero")
    (tmp_path / "old.pth").mkdir()
    save_file({"a": torch.ones(1)}, tmp_path / "only.pth")
    assert [file.name for file in open_source(tmp_path).weights] == ["only.pth"]
