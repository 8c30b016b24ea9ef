"""The state dict of a file out of whatever wraps it, and the plain values that stand beside."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from hilum.errors import CheckpointError
from hilum.models.pretrained.tensors import read_content, read_tensors, stripped

ONE, TWO = {"a.weight": torch.ones(2)}, {"a.weight": torch.full((2,), 2.0)}


@pytest.mark.parametrize(
    ("content", "wrapper", "value"),
    [
        (ONE, "", 1),
        ({"model": ONE}, "model", 1),
        ({"state_dict": ONE}, "state_dict", 1),
        ({"model_state_dict": ONE}, "model_state_dict", 1),
        ({"module": ONE}, "module", 1),
        ({"network": ONE}, "network", 1),
        ({"net": ONE}, "net", 1),
        ({"params": ONE}, "params", 1),
        ({"model": ONE, "model_ema": TWO}, "model_ema", 2),
        ({"model": ONE, "model_ema": None}, "model", 1),
        ({"state_dict": ONE, "state_dict_ema": TWO}, "state_dict_ema", 2),
        ({"model": {"state_dict": ONE}}, "model.state_dict", 1),
        ({"model": {}, "state_dict": ONE}, "state_dict", 1),
        ({"model_state": ONE}, "model_state", 1),
        ({"checkpoint": {"model": {"state_dict": ONE}}}, "checkpoint.model.state_dict", 1),
    ],
)
def test_wrappers(tmp_path: Path, content: dict[str, Any], wrapper: str, value: int) -> None:
    torch.save({**content, "optimizer": {"state": torch.zeros(5)}}, tmp_path / "file.pth")
    got = read_content(tmp_path / "file.pth")
    assert got.wrapper == wrapper
    assert got.tensors.keys() == {"a.weight"}
    assert torch.equal(got.tensors["a.weight"], torch.full((2,), float(value)))
    assert torch.equal(read_tensors(tmp_path / "file.pth")["a.weight"], got.tensors["a.weight"])


def test_networks_that_are_passed_over_are_named(tmp_path: Path) -> None:
    content = {"model": ONE, "model_ema": TWO, "discriminator": ONE, "optimizer_d": ONE, "callbacks": {"a": ONE}}
    torch.save(content, tmp_path / "file.pth")
    assert read_content(tmp_path / "file.pth").aside == ("model", "discriminator")


def test_student_and_teacher_keep_their_names(tmp_path: Path) -> None:
    content = {"student": ONE, "teacher": TWO, "dino_loss": {"center": torch.zeros(3)}, "epoch": 7}
    torch.save(content, tmp_path / "file.pth")
    got = read_content(tmp_path / "file.pth")
    assert (got.wrapper, got.extra["epoch"]) == ("", 7)
    assert {key: tensor[0].item() for key, tensor in got.tensors.items() if not key.startswith("dino_loss")} == {
        "student.a.weight": 1,
        "teacher.a.weight": 2,
    }


def test_what_stands_beside(tmp_path: Path) -> None:
    content = {
        "state_dict": ONE,
        "epoch": 3,
        "args": argparse.Namespace(lr=0.1),
        "hyper_parameters": {"image_size": 224, "names": ["a", "b"]},
        "callbacks": {"best": torch.ones(1)},
    }
    torch.save(content, tmp_path / "file.ckpt")
    extra = read_content(tmp_path / "file.ckpt").extra
    assert extra == {"epoch": 3, "args": {"lr": 0.1}, "hyper_parameters": {"image_size": 224, "names": ["a", "b"]}}


def test_a_pickled_network(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    for content, wrapper in ((net, ""), ({"model": net}, "model")):
        torch.save(content, tmp_path / "file.pt")
        got = read_content(tmp_path / "file.pt")
        assert got.tensors.keys() == net.state_dict().keys()
        assert (got.wrapper, got.extra["class"]) == (wrapper, "torch.nn.modules.container.Sequential")
        assert got.extra["training"] is True


def test_the_bytes_tell_the_format_not_the_name(tmp_path: Path) -> None:
    save_file(ONE, tmp_path / "pytorch_model.bin")
    torch.save(ONE, tmp_path / "model.safetensors")
    for name in ("pytorch_model.bin", "model.safetensors"):
        assert torch.equal(read_tensors(tmp_path / name)["a.weight"], torch.ones(2))


@pytest.mark.parametrize("content", [{}, {"model": {}}, {"a": 1}, [torch.ones(2)], "text", {"optimizer": ONE}])
def test_a_file_without_tensors_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(CheckpointError, match="holds no"):
        read_tensors(tmp_path / "file.pth")


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "mae.pth").write_bytes(b"<!DOCTYPE html><title>Sign in</title>")
    with pytest.raises(CheckpointError, match="this is an HTML page"):
        read_content(tmp_path / "mae.pth")


def test_prefixes_of_wrappers_come_off() -> None:
    assert stripped("module.encoder.blocks.0.norm") == "blocks.0.norm"


@pytest.mark.parametrize("name", ["a" * 1001, "\x1b[2Ja", "a\nb"])
def test_names_that_no_network_has(name: str, tmp_path: Path) -> None:
    save_file({name: torch.ones(1)}, tmp_path / "file.safetensors")
    with pytest.raises(CheckpointError, match="name as no network has it") as error:
        read_content(tmp_path / "file.safetensors")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 400
