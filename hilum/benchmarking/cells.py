"""What a benchmark is made of: one cell is one encoder on one task with one share of the labels and one seed.

A cell's folder is found from its names alone, so a call that was stopped, another call that shares the work, and a
later call with more encoders or seeds all meet at the same place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hilum.benchmarking.encoder_facts import EncoderSpec
from hilum.benchmarking.task_file import BenchmarkTask
from hilum.errors import ConfigError

MIN_DRAWS: Final = 100  # an interval from fewer says nothing


@dataclass(frozen=True)
class Benchmark:
    """Everything that decides what the page says."""

    encoders: tuple[EncoderSpec, ...]
    tasks: tuple[BenchmarkTask, ...]
    fractions: tuple[float, ...] = (1.0,)  # shares of the training patients' labels
    seeds: int = 3  # runs a setting, seeds 0, 1, ...
    draws: int = 1000  # of the bootstrap
    permutations: int = 1000
    reference: str = "best"  # what the others are compared with: best, first, or an encoder's name
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # encoder -> what the user says of it

    def __post_init__(self) -> None:
        _check(bool(self.encoders), "no encoder is named", "encoders", "Give --encoders a,b,c")
        _check(bool(self.tasks), "no task is named", "tasks", "Give a file with `tasks:`")
        _check(self.seeds >= 1, f"must be at least 1, not {self.seeds}", "seeds", "3 show how much runs spread")
        for name, value in (("draws", self.draws), ("permutations", self.permutations)):
            fix = "1000 is usual; fewer than 100 give no interval worth printing"
            _check(value >= MIN_DRAWS, f"must be at least {MIN_DRAWS}, not {value}", name, fix)
        for share in self.fractions:
            _check(0 < share <= 1, f"must be in (0, 1], not {share:g}", "fractions", "Use e.g. 0.01,0.1,1")
        _check(bool(self.fractions), "no fraction is named", "fractions", "Use e.g. 0.01,0.1,1")
        names = [encoder.name for encoder in self.encoders]
        twice = sorted({name for name in names if names.count(name) > 1})
        _check(not twice, f"two encoders are called {', '.join(twice)}", "encoders", "Write NAME=PATH to name them")
        known = ("best", "first", *names)
        _check(self.reference in known, f"{self.reference!r} is no encoder", "reference", f"Known: {', '.join(known)}")

    def cells(self) -> list[Cell]:
        """All cells: task by task, the largest fraction first, encoders innermost, so that tables fill evenly."""
        return [
            Cell(task, encoder, share, seed)
            for task in self.tasks
            for share in (sorted(set(self.fractions), reverse=True) if task.trained else [None])
            for seed in range(self.seeds if task.trained else 1)
            for encoder in self.encoders
        ]

    def shares(self, task: BenchmarkTask) -> list[float | None]:
        """The label fractions of a task, from the smallest; a task that learns nothing has none."""
        return [*sorted(set(self.fractions))] if task.trained else [None]


@dataclass(frozen=True)
class Cell:
    """One thing to train and judge."""

    task: BenchmarkTask
    encoder: EncoderSpec
    fraction: float | None
    seed: int

    def folder(self, out: Path) -> Path:
        """Where it lies."""
        share = "" if self.fraction is None else f"{self.fraction:g}-"
        return out / "cells" / folder_name(self.task.key) / folder_name(self.encoder.name) / f"{share}{self.seed}"

    @property
    def title(self) -> str:
        """In words."""
        share = "" if self.fraction is None else f", {self.fraction:.4g} of the labels, seed {self.seed}"
        return f"{self.task.key}: {self.encoder.name}{share}"


def read_encoders(given: tuple[str, ...]) -> tuple[EncoderSpec, ...]:
    """Encoders as they are typed: PATH, NAME=PATH, or random:PATH for the same network with random weights.

    `random:NAME` takes the network of an encoder that is named, and a path alone is called by its folder.

    Raises:
        ConfigError: an empty name or path.
    """
    named: dict[str, str] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if equals and not name.startswith("random:"):
            named[name] = path
    found = []
    for text in given:
        name, equals, path = text.partition("=")
        random = (path if equals else name).startswith("random:")
        place = (path if equals else name).removeprefix("random:")
        place = named.get(place, place) if random else place
        called = name if equals else f"random {_called(text)}" if random else _called(text)
        if not called.strip() or not place.strip():
            raise ConfigError(
                f"{text!r} names no encoder", where="encoders", fix="Write PATH, NAME=PATH or random:PATH"
            )
        found.append(EncoderSpec(called, place, "random" if random else "pretrained"))
    return tuple(found)


def folder_name(text: str) -> str:
    """A text as part of a path."""
    return re.sub(r"[^A-Za-z0-9.+=-]+", "-", text).strip("-.") or "unnamed"


def _called(text: str) -> str:
    """How an encoder is called by its place: its folder, or the run around an `encoder` folder."""
    path = Path(text.removeprefix("random:"))
    return path.parent.name if path.name in ("encoder", "model") else path.stem if path.is_file() else path.name


def _check(fine: bool, what: str, where: str, fix: str) -> None:
    if not fine:
        raise ConfigError(what, where=where, fix=fix)
