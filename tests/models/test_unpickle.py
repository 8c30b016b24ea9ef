"""Pickles are read in one place, safely: honest files come back, hostile ones become one sentence."""

from __future__ import annotations

import argparse
import ast
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hilum
from hilum.errors import CheckpointError
from hilum.models import unpickle
from hilum.models.unpickle import read_pickle


def test_an_honest_file_comes_back(tmp_path: Path) -> None:
    weight = torch.randn(3, 4)
    content = {
        "model": OrderedDict(a=weight, b=weight.t(), half=weight.to(torch.bfloat16), same=weight),
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}},
        "args": argparse.Namespace(lr=1e-3, name="mae", betas=(0.9, 0.95)),
        "epoch": 3,
        "best": np.float64(0.5),
    }
    torch.save(content, tmp_path / "file.pth")
    got = read_pickle(tmp_path / "file.pth")
    assert torch.equal(got["model"]["a"], weight)
    assert torch.equal(got["model"]["b"], weight.t())
    assert got["model"]["half"].dtype is torch.bfloat16
    assert got["args"] == {"lr": 1e-3, "name": "mae", "betas": [0.9, 0.95]}
    assert (got["epoch"], got["best"]) == (3, 0.5)
    assert "optimizer" not in got


def test_the_old_format_is_read(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(read_pickle(tmp_path / "old.pth")["a"], torch.ones(2))


class _Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.marker}'",)


def _one_sentence(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_pickle(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize("plain", [True, False])
def test_a_program_is_not_run(tmp_path: Path, plain: bool) -> None:
    marker, path = tmp_path / "ran", tmp_path / "evil.pth"
    if plain:
        path.write_bytes(pickle.dumps({"model": _Hostile(marker)}, protocol=2))
    else:
        torch.save({"model": _Hostile(marker)}, path)
    assert "posix.system" in _one_sentence(path)
    assert not marker.exists()


def test_a_class_that_is_not_allowed_is_refused(tmp_path: Path) -> None:
    torch.save({"model": torch.nn.Linear(2, 2)}, tmp_path / "module.pth")
    assert "torch.nn.modules.linear.Linear" in _one_sentence(tmp_path / "module.pth")


def test_a_file_that_asks_for_too_much_memory_is_stopped(tmp_path: Path) -> None:
    bomb = torch.zeros(1).expand(1 << 34)  # one stored number, 64 GB once laid out
    torch.save({"model": {"a": bomb}}, tmp_path / "bomb.pth")
    assert (tmp_path / "bomb.pth").stat().st_size < 10_000
    message = _one_sentence(tmp_path / "bomb.pth")
    assert "memory" in message or "limits" in message


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn"])
def test_damage_is_reported(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.pth"
    path.write_bytes(content)
    assert "not a PyTorch file" in _one_sentence(path)


def test_a_torn_file_is_reported(tmp_path: Path) -> None:
    torch.save({"a": torch.randn(1000)}, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "torn.pth").write_bytes(whole[: len(whole) // 2])
    _one_sentence(tmp_path / "torn.pth")


def test_deep_nesting_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "deep.pth"
    # protocol 2 by hand: pickle itself would recurse too deeply to write it
    path.write_bytes(b"\x80\x02" + b"]" * 3001 + b"a" * 3000 + b".")
    _one_sentence(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such file" in _one_sentence(tmp_path / "absent.pth")


def test_no_other_file_of_the_package_unpickles() -> None:
    root = Path(hilum.__file__).parent
    faults = []
    for path in root.rglob("*.py"):
        if path == Path(unpickle.__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] in {"pickle", "cPickle", "dill", "joblib", "cloudpickle"} for name in names):
                faults.append(f"{path}:{node.lineno} imports a pickle")
            if isinstance(node, ast.Call):
                call = ast.unparse(node.func)
                keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
                pickled = call in {
                    "torch.load",
                    "pd.read_pickle",
                    "pandas.read_pickle",
                    "yaml.load",
                    "yaml.unsafe_load",
                }
                if pickled or keywords.get("allow_pickle") == "True":
                    faults.append(f"{path}:{node.lineno} calls {call}")
    assert not faults
