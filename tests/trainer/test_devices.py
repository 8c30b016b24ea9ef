"""Two processes compute what one computes, and their checkpoints interchange."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hilum.checkpoint import checkpoints

MODEL = ["--model=vit_tiny_patch16", "--size=64", '--set.vit={"depth": 2}', "--set.decoder_width=32"]
REST = [
    "--set.decoder_depth=1",
    "--set.decoder_heads=2",
    "--batch-size=8",
    "--warmup=0",
    "--lr=1e-3",
    "--ema-decay=0.9",
]


def train(data: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    words = [
        "pretrain",
        "mae",
        f"--data={data}",
        f"--out={out}",
        *MODEL,
        *REST,
        "--accelerator=cpu",
        "--ema-decay=0.9",
        *more,
    ]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "hilum.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=300)


def steps(out: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [record for record in records if "loss" in record]


@pytest.fixture(scope="module")
def alone(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("devices") / "alone"
    done = train(tiny_data, out, "--max-steps=3", "--save-every=1", "--keep-checkpoints=4")
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_processes_agree_with_one_and_checkpoints_interchange(
    strategy: str, tiny_data: Path, alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / strategy
    two = ["--devices=2", f"--strategy={strategy}"]
    done = train(tiny_data, out, "--max-steps=3", "--save-every=1", "--keep-checkpoints=4", *two)
    assert done.returncode == 0, done.stderr

    for ours, theirs in zip(steps(alone), steps(out), strict=True):
        assert ours["films"] == theirs["films"]
        assert abs(ours["loss"] - theirs["loss"]) < 1e-6
        assert abs(ours["grad_norm"] - theirs["grad_norm"]) < 1e-6
    # after one step AdamW's first moment is (1 - beta1) * gradient: every gradient is compared, not only their norm
    name = "step-00000001/resume/optimizer.safetensors"
    one, other = (load_file(folder / "checkpoints" / name) for folder in (alone, out))
    assert one.keys() == other.keys()
    for key in one:
        torch.testing.assert_close(other[key], one[key], rtol=0, atol=1e-6, msg=key)

    # the checkpoint of two processes goes on alone (the last one is taken away first)
    last = checkpoints(out)[-1]
    for file in sorted(last.rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    last.rmdir()
    again = train(tiny_data, out, "--max-steps=3", "--save-every=1", "--keep-checkpoints=4", "--resume")
    assert again.returncode == 0, again.stderr
    assert abs(steps(alone)[-1]["loss"] - steps(out)[-1]["loss"]) < 1e-5


def test_the_checkpoint_of_one_process_goes_on_with_two(tiny_data: Path, alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "grown"
    first = train(tiny_data, out, "--max-steps=3", "--save-every=2", "--keep-checkpoints=2")
    assert first.returncode == 0, first.stderr
    last = checkpoints(out)[-1]
    for file in sorted(last.rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    last.rmdir()
    two = ["--devices=2", "--strategy=fsdp2", "--resume"]
    again = train(tiny_data, out, "--max-steps=3", "--save-every=2", "--keep-checkpoints=2", *two)
    assert again.returncode == 0, again.stderr
    assert abs(steps(alone)[-1]["loss"] - steps(out)[-1]["loss"]) < 1e-5
