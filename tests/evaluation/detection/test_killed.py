"""A detector's training that is killed as `kill -9` would, and resumed, is the one that was never killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hilum.evaluation.detection.plan import make_plan
from hilum.evaluation.detection.run import run_detection
from tests.evaluation.detection.conftest import CPU, SMALL, make_options

CRASH = Path(__file__).parents[2] / "trainer" / "crash.py"
ASKED = {"epochs": 3, "batch_size": 8, "lr": 1e-3, "drop_path": 0.2}


@pytest.mark.parametrize("point", ["step", "save"])
def test_killed_and_resumed_is_the_run_that_was_never_killed(
    box_encoder: Path, boxed_data: Path, tmp_path: Path, point: str
) -> None:
    plan = make_plan(make_options(box_encoder, boxed_data, **ASKED))
    steady, out = tmp_path / "steady", tmp_path / "killed"
    run_detection(plan, steady, runner=CPU)
    words = [f"--{key.replace('_', '-')}={value}" for key, value in ASKED.items()]
    words += [f"--head-set.{key}={value}" for key, value in SMALL.items()]
    asked = ["adapt", "detect", f"--encoder={box_encoder}", f"--data={boxed_data}", f"--out={out}", "--device=cpu"]
    command = [sys.executable, str(CRASH), point, "9", "--", *asked, *words]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    died = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert not (out / "model").exists()
    run_detection(plan, out, resume=True, runner=CPU)
    one, other = (load_file(run / "model" / "model.safetensors") for run in (steady, out))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
