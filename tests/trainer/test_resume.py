"""A run that is killed at any moment and resumed is the run that was never killed, bit for bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hilum.checkpoint import checkpoints

CRASH = Path(__file__).with_name("crash.py")
EXACT = ("step", "loss", "grad_norm", "lr", "films")
STEPS, MICRO, SAVES = 12, 2, 4  # optimizer steps, micro-batches a step, checkpoints beside the first


def words(data: Path, out: Path, *more: str) -> list[str]:
    shape = ["--model=vit_tiny_patch16", "--size=64", '--set.vit={"depth": 2, "drop_path": 0.2}']
    decoder = ["--set.decoder_width=32", "--set.decoder_depth=1", "--set.decoder_heads=2"]
    loop = ["--batch-size=8", "--micro-batch=4", "--max-steps=12", "--save-every=3", "--ema-decay=0.9", "--warmup=0.2"]
    return ["pretrain", "mae", f"--data={data}", f"--out={out}", *shape, *decoder, *loop, *more]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, env=env, check=False)


def history(out: Path) -> list[dict[str, object]]:
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: record[key] for key in EXACT} for record in records if "loss" in record]


def check_same_run(one: Path, other: Path) -> None:
    assert history(one) == history(other)
    for name in ("model.safetensors", "resume/optimizer.safetensors", "resume/average.safetensors"):
        left, right = (load_file(checkpoints(folder)[-1] / name) for folder in (one, other))
        assert left.keys() == right.keys()
        assert all(torch.equal(left[key], right[key]) for key in left), name
    assert (one / "encoder/model.safetensors").read_bytes() == (other / "encoder/model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def never_killed(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "whole"
    done = run(["-m", "hilum.cli", *words(tiny_data, out)])
    assert done.returncode == 0, done.stderr
    assert len(history(out)) == STEPS
    return out


def kill_and_resume(data: Path, out: Path, point: str, count: int) -> None:
    died = run([str(CRASH), point, str(count), "--", *words(data, out)])
    assert died.returncode == -signal.SIGKILL, died.stderr

    again = run(["-m", "hilum.cli", *words(data, out), "--resume"])
    assert again.returncode == 0, again.stderr


MOMENTS = random.Random(20261122)
QUICK = [
    ("film", MOMENTS.randint(8, STEPS * 8)),
    ("accumulation", 2 * MOMENTS.randint(2, STEPS)),
    ("save", MOMENTS.randint(5, 4 * (SAVES + 1))),
]
SLOW = [
    ("film", MOMENTS.randint(1, STEPS * 8)),
    ("film", MOMENTS.randint(1, STEPS * 8)),
    ("step", MOMENTS.randint(1, STEPS)),
    ("step", MOMENTS.randint(1, STEPS)),
    ("accumulation", 2 * MOMENTS.randint(1, STEPS)),
    ("rename", MOMENTS.randint(2, SAVES + 1)),
    ("retain", MOMENTS.randint(2, SAVES + 1)),
    ("save", MOMENTS.randint(5, 4 * (SAVES + 1))),
    ("evaluation", MOMENTS.randint(1, SAVES)),
    ("evaluation", MOMENTS.randint(1, SAVES)),
]


@pytest.mark.parametrize(("point", "count"), QUICK)
def test_killed_run_resumes_bit_identical(
    point: str, count: int, tiny_data: Path, never_killed: Path, tmp_path: Path
) -> None:
    kill_and_resume(tiny_data, tmp_path / "killed", point, count)
    check_same_run(tmp_path / "killed", never_killed)


@pytest.mark.slow
@pytest.mark.parametrize(("point", "count"), SLOW)
def test_killed_run_resumes_bit_identical_at_more_moments(
    point: str, count: int, tiny_data: Path, never_killed: Path, tmp_path: Path
) -> None:
    kill_and_resume(tiny_data, tmp_path / "killed", point, count)
    check_same_run(tmp_path / "killed", never_killed)


def test_sigterm_saves_and_says_preempted(tiny_data: Path, never_killed: Path, tmp_path: Path) -> None:
    out = tmp_path / "asked to stop"
    child = subprocess.Popen(
        [sys.executable, "-m", "hilum.cli", *words(tiny_data, out)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while not (out / "metrics.jsonl").exists() or not (out / "metrics.jsonl").read_text():
        assert child.poll() is None, child.communicate()[1]
        time.sleep(0.002)
    child.send_signal(signal.SIGTERM)
    child.send_signal(signal.SIGTERM)  # a second one corrupts nothing
    _, said = child.communicate(timeout=60)
    if child.returncode == 0:
        pytest.skip("the run was done before the signal came")
    assert child.returncode == 75
    assert "saved" in said
    assert "--resume" in said
    again = run(["-m", "hilum.cli", *words(tiny_data, out), "--resume"])
    assert again.returncode == 0, again.stderr
    check_same_run(out, never_killed)


@pytest.mark.parametrize("workers", [1, 2, pytest.param(8, marks=pytest.mark.slow)])
def test_loader_processes_change_nothing(workers: int, tiny_data: Path, never_killed: Path, tmp_path: Path) -> None:
    done = run(["-m", "hilum.cli", *words(tiny_data, tmp_path / "run", f"--workers={workers}")])
    assert done.returncode == 0, done.stderr
    check_same_run(tmp_path / "run", never_killed)


def test_a_flipped_byte_is_refused_by_name(tiny_data: Path, never_killed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run(["-m", "hilum.cli", *words(tiny_data, out)]).returncode == 0
    damaged = checkpoints(out)[-1] / "model.safetensors"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    again = run(["-m", "hilum.cli", *words(tiny_data, out), "--resume"])
    assert again.returncode == 2
    assert str(damaged) in again.stderr
    assert "Traceback" not in again.stderr


def test_another_run_is_not_resumed(tiny_data: Path, never_killed: Path) -> None:
    again = run(["-m", "hilum.cli", *words(tiny_data, never_killed), "--resume", "--seed=3"])
    assert again.returncode == 2
    assert "seed" in again.stderr
