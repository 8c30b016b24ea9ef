"""Encoders of others beside one another: each on its own pixels, the same heads, one page."""

from __future__ import annotations

from pathlib import Path

import hilum
from hilum.benchmarking.cells import Benchmark, read_encoders
from hilum.benchmarking.run import prepare, run_benchmark
from hilum.benchmarking.task_file import read_task_file
from tests.benchmarking.conftest import write_films

FILES = {  # name -> (official file, heads): five layouts, five sizes or ranges of values
    "eva-x": ("evax_base.pt", 3),
    "chexfound": ("chexfound_teacher_checkpoint.pth", 4),
    "chexzero": ("chexzero.pt", None),
    "rad-dino": ("rad_dino", None),
    "gloria": ("gloria_resnet50.ckpt", None),
}
TASKS = """
tasks:
  - {name: findings, data: films, task: classify, labels: [Mass, Effusion], options: {epochs: 2, lrs: [0.01]}}
"""


def test_each_on_its_own_pixels(shared: Path, tmp_path: Path) -> None:
    write_films(tmp_path / "films", patients=30)
    (tmp_path / "tasks.yaml").write_text(TASKS)
    records = {}
    for name, (file, heads) in FILES.items():
        encoder = hilum.load(shared / "golden/checkpoints" / file, heads=heads)
        encoder.save(tmp_path / "encoders" / name)
        records[name] = encoder.preprocessing
    assert len(set(records.values())) == len(records)
    tasks = read_task_file(tmp_path / "tasks.yaml").tasks
    given = tuple(f"{name}={tmp_path / 'encoders' / name}" for name in FILES)
    prepared = prepare(Benchmark(read_encoders(given), tasks, seeds=1, draws=100, permutations=100), tmp_path / "out")
    results = run_benchmark(prepared)
    assert results["cells"] == {"all": 5, "done": 5, "failed": 0}
    seen = {one["name"]: one for one in results["encoders"]}
    assert len({one["pixels"] for one in seen.values()}) == 5
    assert seen["chexzero"]["pixels"].startswith("3 x 64 px, letterboxed to 91, lanczos in 8 bits")
    assert "CheXpert" in (tmp_path / "out/leaderboard.md").read_text()
    assert "What each of them sees" in (tmp_path / "out/leaderboard.html").read_text()
    assert {seen[name]["known"] for name in FILES} == {"public"}
