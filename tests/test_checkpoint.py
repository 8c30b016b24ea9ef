"""Checkpoints are whole or absent, and damage is called by the file's name."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch

from hilum.checkpoint import Resume, checkpoints, load_checkpoint, load_resume, read_config, retain, save_checkpoint
from hilum.errors import CheckpointError

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


def write(path: Path) -> Path:
    resume = Resume(optimizer={"a.weight/exp_avg": torch.rand(2, 3)}, average={}, random={}, state={"step": 4})
    return save_checkpoint(path, WEIGHTS, {"kind": "method"}, "# card\n", resume)


def test_round_trip_is_bit_exact(tmp_path: Path) -> None:
    write(tmp_path / "step-00000004")
    weights, config = load_checkpoint(tmp_path / "step-00000004")
    assert config == {"kind": "method"}
    assert all(torch.equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)
    assert load_resume(tmp_path / "step-00000004").state == {"step": 4}


def test_a_flipped_byte_anywhere_is_refused_by_name(tmp_path: Path) -> None:
    folder = write(tmp_path / "step-00000004")
    draw = random.Random(0)
    for file in [path for path in folder.rglob("*") if path.is_file() and path.name != "files.json"]:
        good = file.read_bytes()
        place = draw.randrange(len(good))
        file.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
        with pytest.raises(CheckpointError, match="damaged") as error:
            load_checkpoint(folder)
        assert str(file) in str(error.value)
        file.write_bytes(good)
    load_checkpoint(folder)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "step-00000004")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors.*missing"):
        load_checkpoint(folder)


def test_something_else_is_not_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(CheckpointError, match="not a whole Hilum checkpoint"):
        load_checkpoint(tmp_path / "x")
    (tmp_path / "x" / "files.json").write_text(json.dumps({}))
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "x")


def test_retention_keeps_the_newest_and_clears_what_kills_left(tmp_path: Path) -> None:
    for step in (1, 2, 10):
        write(tmp_path / "checkpoints" / f"step-{step:08d}")
    (tmp_path / "checkpoints" / ".step-00000011.partial").mkdir()
    retain(tmp_path, 2)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000002", "step-00000010"]
    assert not list((tmp_path / "checkpoints").glob(".*"))


@pytest.mark.parametrize("text", ["[1]", "[" * 100_000, "<html>"])
def test_a_configuration_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match="no readable config"):
        read_config(tmp_path)
