"""Cells: how encoders are typed, how many cells there are and where they lie, and which benchmarks are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hilum.benchmarking.cells import Benchmark, read_encoders
from hilum.benchmarking.encoder_facts import EncoderSpec
from hilum.benchmarking.task_file import BenchmarkTask
from hilum.errors import ConfigError

TASK = BenchmarkTask("findings", "films", "classify", mode="frozen")
ASKED = BenchmarkTask("asked", "films", "zero-shot")


def test_encoders_as_they_are_typed(tmp_path: Path) -> None:
    file = tmp_path / "MRM.pth"
    file.touch()
    found = read_encoders(("mae=runs/a", "runs/dinov2/encoder", str(file), "random:mae", "chance=random:runs/b"))
    assert [(spec.name, spec.path, spec.weights) for spec in found] == [
        ("mae", "runs/a", "pretrained"),
        ("dinov2", "runs/dinov2/encoder", "pretrained"),
        ("MRM", str(file), "pretrained"),
        ("random mae", "runs/a", "random"),
        ("chance", "runs/b", "random"),
    ]
    with pytest.raises(ConfigError, match="names no encoder"):
        read_encoders(("mae=",))


def test_cells_and_their_folders(tmp_path: Path) -> None:
    encoders = read_encoders(("a=x", "b=y"))
    benchmark = Benchmark(encoders, (TASK, ASKED), (0.1, 1.0), seeds=3)
    cells = benchmark.cells()
    assert len(cells) == 2 * 2 * 3 + 2  # what learns nothing is asked once
    assert len({cell.folder(tmp_path) for cell in cells}) == len(cells)
    assert cells[0].fraction == 1.0
    assert cells[0].folder(tmp_path) == tmp_path / "cells" / "findings-frozen" / "a" / "1-0"
    assert benchmark.shares(TASK) == [0.1, 1.0]
    assert benchmark.shares(ASKED) == [None]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"encoders": ()}, "no encoder"),
        ({"tasks": ()}, "no task"),
        ({"seeds": 0}, "at least 1, not 0"),
        ({"draws": 99}, "at least 100, not 99"),
        ({"permutations": 10}, "at least 100, not 10"),
        ({"fractions": (0.0,)}, r"in \(0, 1\], not 0"),
        ({"fractions": (1.5,)}, r"in \(0, 1\], not 1.5"),
        ({"fractions": ()}, "no fraction"),
        ({"reference": "c"}, "'c' is no encoder.*best"),
        ({"encoders": (EncoderSpec("a", "x"), EncoderSpec("a", "y"))}, "two encoders are called a"),
    ],
)
def test_benchmarks_that_are_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Benchmark(**{"encoders": (EncoderSpec("a", "x"),), "tasks": (TASK,), **changes})
