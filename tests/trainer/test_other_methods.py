"""The methods beside MAE, under the same loop: killed and resumed bit for bit, on two processes as on one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import hilum
from hilum.checkpoint import checkpoints
from hilum.errors import CheckpointError

CRASH = Path(__file__).with_name("crash.py")
EXACT = ("step", "loss", "grad_norm", "lr", "films")
STEPS, MICRO, SAVES = 6, 2, 2  # optimizer steps, micro-batches a step, checkpoints beside the first

TEXT = {"width": 32, "depth": 1, "heads": 2, "hidden": 64, "positions": 40}
DECODER = {"decoder_width": 32, "decoder_depth": 1, "decoder_heads": 2}
SMALL: dict[str, dict[str, Any]] = {
    "mrm": {**DECODER, "text": TEXT, "length": 40},
    "maco": {**DECODER, "text": TEXT, "length": 40},
    "medim": {"text": TEXT, "length": 40, "decoder": [16, 8, 8, 4], "dim": 16, "hidden": 32, "prototypes": 8},
    "dinov2": {
        "dino_head": {"prototypes": 32, "hidden": 32, "bottleneck": 16},
        "ibot_head": {"prototypes": 32, "hidden": 32, "bottleneck": 16},
        "centering": "softmax",  # its centers are part of the state
    },
}
METHODS = sorted(SMALL)
READERS = [method for method in METHODS if method != "dinov2"]


def words(method: str, data: Path, out: Path, *more: str) -> list[str]:
    options = {"vit": {"depth": 2}, "channels": 1, "mean": [0.5], "std": [0.25], **SMALL[method]}
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in options.items()}
    sets = [f"--set.{name}={text}" for name, text in texts.items()]
    shape = ["--preset=phantom", "--model=vit_tiny_patch16", "--size=64", *sets]
    loop = [
        "--batch-size=8",
        f"--max-steps={STEPS}",
        "--save-every=3",
        "--warmup=0.2",
        "--accelerator=cpu",
        "--lr=1e-3",
    ]
    return ["pretrain", method, f"--data={data}", f"--out={out}", *shape, *loop, *more]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, env=env, check=False, timeout=300)


def trained(method: str, data: Path, out: Path, *more: str) -> Path:
    done = run(["-m", "hilum.cli", *words(method, data, out, *more)])
    assert done.returncode == 0, done.stderr
    return out


def steps(out: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [record for record in records if "loss" in record]


@pytest.fixture(scope="module")
def whole(reported_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One undisturbed run a method, made when first asked for."""
    folder = tmp_path_factory.mktemp("whole runs")

    class Runs(dict[str, Path]):
        def __missing__(self, method: str) -> Path:
            self[method] = trained(method, reported_data, folder / method, "--micro-batch=4", "--ema-decay=0.9")
            return self[method]

    return Runs()


def check_same_run(one: Path, other: Path) -> None:
    histories = [[{key: record[key] for key in EXACT} for record in steps(out)] for out in (one, other)]
    assert histories[0] == histories[1]
    for name in ("model.safetensors", "resume/optimizer.safetensors", "resume/average.safetensors"):
        left, right = (load_file(checkpoints(folder)[-1] / name) for folder in (one, other))
        assert left.keys() == right.keys()
        assert all(torch.equal(left[key], right[key]) for key in left), name
    for name in ("model.safetensors", "config.json"):
        files = [folder / "encoder" / name for folder in (one, other)]
        if name.endswith("json"):
            left, right = (json.loads(file.read_text()) for file in files)
            assert {k: v for k, v in left.items() if k != "origin"} == {k: v for k, v in right.items() if k != "origin"}
        else:
            assert files[0].read_bytes() == files[1].read_bytes()


def moments(method: str, seed: int) -> list[tuple[str, int]]:
    draw = random.Random(f"{method} {seed}").randint
    return [
        ("film", draw(8, STEPS * 8)),
        (f"{method} accumulation", MICRO * draw(1, STEPS - 1) + 1),
        ("save", draw(5, 4 * (SAVES + 1))),
    ]


def kill_and_resume(method: str, data: Path, out: Path, point: str, count: int) -> None:
    more = ("--micro-batch=4", "--ema-decay=0.9")
    died = run([str(CRASH), point, str(count), "--", *words(method, data, out, *more)])
    assert died.returncode == -signal.SIGKILL, died.stderr
    again = run(["-m", "hilum.cli", *words(method, data, out, *more, "--resume")])
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(("method", "moment"), [(m, i) for m in METHODS for i in range(3)])
def test_killed_run_resumes_bit_identical(
    method: str, moment: int, reported_data: Path, whole: dict[str, Path], tmp_path: Path
) -> None:
    point, count = moments(method, 0)[moment]
    kill_and_resume(method, reported_data, tmp_path / "killed", point, count)
    check_same_run(tmp_path / "killed", whole[method])


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("moment", range(3))
def test_killed_run_resumes_bit_identical_at_more_moments(
    method: str, seed: int, moment: int, reported_data: Path, whole: dict[str, Path], tmp_path: Path
) -> None:
    point, count = moments(method, seed)[moment]
    kill_and_resume(method, reported_data, tmp_path / "killed", point, count)
    check_same_run(tmp_path / "killed", whole[method])


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("point", ["step", "rename", "retain", "evaluation"])
def test_killed_run_resumes_bit_identical_at_other_points(
    method: str, point: str, reported_data: Path, whole: dict[str, Path], tmp_path: Path
) -> None:
    kill_and_resume(method, reported_data, tmp_path / "killed", point, 2)
    check_same_run(tmp_path / "killed", whole[method])


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_compute_what_one_computes(method: str, reported_data: Path, tmp_path: Path) -> None:
    saves = ("--max-steps=1", "--save-every=1", "--probe=false")
    alone = trained(method, reported_data, tmp_path / "alone", *saves)
    together = trained(method, reported_data, tmp_path / "together", *saves, "--devices=2")
    check_same_step(method, alone, together)


def check_same_step(method: str, alone: Path, together: Path) -> None:
    """Loss and all gradients of the first step."""
    ours, theirs = steps(alone)[0], steps(together)[0]
    assert ours["films"] == theirs["films"]
    # MedIM's batch norms divide by the small differences between reports that a fresh text encoder makes, so that
    # rounding in float32 shows; in double precision it meets 1e-6 (tests/methods/test_medim.py)
    tolerance = 1e-4 if method == "medim" else 1e-6
    assert abs(ours["loss"] - theirs["loss"]) < tolerance * max(1.0, abs(ours["loss"]))
    # after one step AdamW's first moment is (1 - beta1) * gradient
    name = "checkpoints/step-00000001/resume/optimizer.safetensors"
    one, other = (load_file(folder / name) for folder in (alone, together))
    assert one.keys() == other.keys()
    if method == "medim":
        assert abs(ours["grad_norm"] - theirs["grad_norm"]) < 1e-3 * ours["grad_norm"]
        return
    for key in one:
        torch.testing.assert_close(other[key], one[key], rtol=1e-5, atol=1e-6, msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_sharded_processes_compute_what_one_computes(method: str, reported_data: Path, tmp_path: Path) -> None:
    saves = ("--max-steps=1", "--save-every=1", "--probe=false")
    alone = trained(method, reported_data, tmp_path / "alone", *saves)
    together = trained(method, reported_data, tmp_path / "sharded", *saves, "--devices=2", "--strategy=fsdp2")
    check_same_step(method, alone, together)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dinov2", "mrm"])
def test_shards_in_bf16_learn_about_what_whole_weights_learn(method: str, reported_data: Path, tmp_path: Path) -> None:
    saves = ("--max-steps=2", "--probe=false", "--precision=bf16")
    alone = trained(method, reported_data, tmp_path / "alone", *saves)
    sharded = trained(method, reported_data, tmp_path / "sharded", *saves, "--devices=2", "--strategy=fsdp2")
    for one, other in zip(steps(alone), steps(sharded), strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=0.1)  # KoLeo of almost equal tokens is rough in bf16


@pytest.mark.parametrize("method", READERS)
def test_the_run_leaves_an_encoder_that_reads_where_the_method_aligns(method: str, whole: dict[str, Path]) -> None:
    encoder = hilum.load(whole[method])
    images = torch.zeros(1, 1, 64, 64)
    assert encoder.embed(images).shape == (1, 192)
    if method == "mrm":
        with pytest.raises(CheckpointError, match="no text tower"):
            encoder.embed_text(["No mass."])
    else:
        assert encoder.embed_text(["No mass.", "There is a mass."]).shape == encoder.project(images).expand(2, -1).shape
    record = steps(whole[method])[-1]
    assert {"share_image", "share_text", "share_loss", "data_wait"} <= record.keys()


def test_a_text_tower_starts_another_method(whole: dict[str, Path], reported_data: Path, tmp_path: Path) -> None:
    start = [
        f"--init={whole['maco']}",
        f"--init-text={whole['maco']}",
        "--lr=1e-12",
        "--weight-decay=0",
        "--probe=false",
    ]
    out = trained("mrm", reported_data, tmp_path / "run", *start)
    began, tower = load_file(checkpoints(out)[-1] / "model.safetensors"), hilum.load(whole["maco"]).require_towers()[0]
    for key, value in tower.text.state_dict().items():
        if "pooler" not in key:
            torch.testing.assert_close(began[f"report.{key}"], value, rtol=0, atol=1e-6)
    log = (out / "train.log").read_text()
    assert log.count("sha256") >= 2
    assert (out / "tokenizer.json").read_text() == (whole["maco"] / "tokenizer.json").read_text()


def test_bad_input_is_one_clear_sentence(tiny_data: Path, reported_data: Path, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n")
    cases = {
        "reads reports": words("mrm", tiny_data, tmp_path / "a"),
        "unknown variant": words("maco", reported_data, tmp_path / "b", "--variant=papper"),
        "reads no reports": ["pretrain", "mae", f"--data={reported_data}", f"--out={tmp_path / 'c'}", "--init-text=x"],
        "vocab.txt": words("medim", reported_data, tmp_path / "d", f"--tokenizer={tmp_path / 'vocab.txt'}"),
        "nowhere": words("mrm", reported_data, tmp_path / "e", "--where=nowhere=1"),
        "section": words("mrm", reported_data, tmp_path / "f", "--sections=findngs"),
    }
    for said, command in cases.items():
        done = run(["-m", "hilum.cli", *command])
        assert done.returncode == 2, (said, done.stderr)
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
    assert not any((tmp_path / name).exists() for name in "abcdef")


def test_a_tokenizer_that_does_not_fit_the_run_is_refused_on_resume(
    whole: dict[str, Path], reported_data: Path
) -> None:
    other = run(
        ["-m", "hilum.cli", *words("mrm", reported_data, whole["mrm"], "--micro-batch=4", "--ema-decay=0.9", "--resume",
                                   "--sections=impression")]
    )  # fmt: skip
    assert other.returncode == 2
    assert "reports" in other.stderr
