"""`hilum convert` at the shell: what it says, what it writes, and that it writes nothing where it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import hilum
from hilum.cli import main


def test_a_released_file_becomes_one_of_ours(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "an encoder"
    file = str(shared / "golden/checkpoints/evax_base.pt")
    assert main(["convert", file, "--out", str(out), "--heads", "3"]) == 0
    said = capsys.readouterr().out
    for words in ("layout       eva-x", "44 of 49 tensors used", "mask_token: ", "rotary (eva)", "vector       mean"):
        assert words in said
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(hilum.load(out).embed(images), hilum.load(file, heads=3).embed(images))
    assert main(["info", str(out)]) == 0
    assert main(["convert", file, "--out", str(out), "--heads", "3"]) == 2
    assert "the output folder is not empty" in capsys.readouterr().err


def test_looking_writes_nothing(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(shared / "golden/checkpoints/rad_dino"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["layout"], facts["vector"], facts["text"]) == ("huggingface", "cls", None)
    assert "518" not in facts["pixels"]  # its folder says 70
    assert main(["info", str(shared / "golden/checkpoints/rad_dino")]) == 0
    assert "released encoder" in capsys.readouterr().out


def test_layouts_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "--layouts"]) == 0
    said = capsys.readouterr().out
    assert "published number only" in said
    assert "ConVIRT" in said
    assert main(["convert", "--layouts", "--json"]) == 0
    assert "mae" in json.loads(capsys.readouterr().out)["layouts"]
    assert main(["convert"]) == 2
    assert "needs a file or folder" in capsys.readouterr().err


def test_nothing_is_left_of_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    assert main(["convert", str(tmp_path / "page.pth"), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("hilum convert: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
