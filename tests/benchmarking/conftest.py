"""Two tiny encoders, two tasks, two shares, two seeds: one finished benchmark that many tests look at."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hilum.benchmarking.cells import Benchmark, read_encoders
from hilum.benchmarking.cross import PreparedCross, prepare_cross, run_cross
from hilum.benchmarking.run import Prepared, prepare, run_benchmark
from hilum.benchmarking.task_file import BenchmarkTask, read_task_file
from hilum.encoder import Encoder
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.schema import Preprocessing

SMALL = ViTConfig(image_size=32, patch_size=8, channels=1, width=24, depth=2, heads=2)
GREY = Preprocessing(size=32, channels=1, mean=(0.5,), std=(0.25,))
TASKS = """
tasks:
  - name: findings
    data: films
    task: classify
    labels: [Mass, Effusion]
    options: {epochs: 4, lrs: [0.01, 0.1]}
  - name: mass alone
    data: films
    task: classify
    labels: Mass
    mode: finetune
    options: {epochs: 1, batch_size: 32, start: fresh}
"""


def make_encoder(seed: int, origin: dict[str, Any] | None = None) -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Encoder(VisionTransformer(SMALL), GREY, origin or {})


def write_films(
    root: Path, *, patients: int = 40, seed: int = 0, names: tuple[str, str] = ("Mass", "Effusion")
) -> Path:
    """Two films a patient; 3/5 of the patients to learn from, 1/5 to choose by, 1/5 to judge."""
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    rows = []
    for number in range(2 * patients):
        patient = number // 2
        mass, effusion = int(rng.random() < 0.5), int(rng.random() < 0.3)
        pixels = rng.normal(90, 20, (32, 32))
        pixels[6:14, 6:14] += 90 * mass
        pixels[-6:] += 80 * effusion
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "images" / f"{number}.png")
        split = ("train", "train", "train", "val", "test")[patient % 5]
        row = {"image": f"images/{number}.png", "patient_id": f"p{patient:03d}", "split": split}
        rows.append(row | {"width": 32, "height": 32, f"label.{names[0]}": mass, f"label.{names[1]}": effusion})
    pd.DataFrame(rows).to_csv(root / "manifest.csv", index=False)
    return root


@dataclass(frozen=True)
class Bench:
    """A finished benchmark."""

    root: Path
    prepared: Prepared
    results: dict[str, Any]
    seconds: float  # of this process

    @property
    def out(self) -> Path:
        return self.prepared.place.out


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films, two encoders and a task file."""
    root = tmp_path_factory.mktemp("bench mark")
    write_films(root / "films")
    for seed, name in enumerate(("one", "two")):
        make_encoder(seed).save(root / name)
    (root / "tasks.yaml").write_text(TASKS)
    return root


def small_benchmark(place: Path, **changes: Any) -> Benchmark:
    specs = read_encoders((f"one={place / 'one'}", f"two={place / 'two'}"))
    tasks = read_task_file(place / "tasks.yaml").tasks
    options: dict[str, Any] = {"fractions": (0.5, 1.0), "seeds": 2, "draws": 100, "permutations": 100}
    return Benchmark(specs, tasks, **{**options, **changes})


@pytest.fixture(scope="session")
def bench(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    prepared = prepare(small_benchmark(place), tmp_path_factory.mktemp("board") / "out")
    began = time.process_time()
    results = run_benchmark(prepared, command="hilum benchmark ...")
    return Bench(place, prepared, results, time.process_time() - began)


PROBE = BenchmarkTask("probe", "", "classify", mode="frozen", options={"epochs": 3, "lrs": (0.1,)})


@dataclass(frozen=True)
class Crossed:
    root: Path
    cross: PreparedCross
    results: dict[str, Any]

    @property
    def out(self) -> Path:
        return self.cross.prepared.place.out


def small_cross(root: Path, out: Path, **changes: Any) -> PreparedCross:
    options: dict[str, Any] = {
        "label_names": {"there": {"Fluid": "Effusion"}}, "task": PROBE, "seeds": 2, "draws": 100, "permutations": 100,
    }  # fmt: skip
    folders = [str(root / "here"), str(root / "there")]
    return prepare_cross(read_encoders((f"one={root / 'one'}",)), folders, out, **{**options, **changes})


@pytest.fixture(scope="session")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Crossed:
    root = tmp_path_factory.mktemp("cross sets")
    write_films(root / "here", patients=30, seed=1)
    write_films(root / "there", patients=30, seed=2, names=("Mass", "Fluid"))
    make_encoder(0).save(root / "one")
    cross = small_cross(root, root / "out")
    return Crossed(root, cross, run_cross(cross, command="hilum benchmark --cross ..."))
