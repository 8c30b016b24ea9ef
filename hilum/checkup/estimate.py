"""How long a planned pretraining run takes, and whether it fits: its first steps, made for real in a child process.

The child runs the very loop on the very films, with small batches at first: two sizes give what a film costs in time
and memory, and what costs the same however many there are. What a dry run refuses is refused here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from hilum.checkup.check import GIB, Check, Status
from hilum.checkup.machine import available_memory, free_disk

STEPS: Final = 4  # a run; the first warms up and is not counted
LIMIT: Final = 900  # seconds a run
DAYS: Final = 7  # a longer run is worth a second thought
_MEASURED: Final = ("import resource, sys; from hilum.cli import main; code = main(sys.argv[1:]); "
                    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)")  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """A few steps, measured."""

    batch: int
    seconds: float  # a step
    waited: float  # share of it spent waiting for films
    memory: int  # bytes, at most
    disk: int  # bytes of a checkpoint


class _FailedError(Exception):
    """A child's last words."""


def estimate(planned: Mapping[str, Any], words: Callable[[Mapping[str, Any]], list[str]]) -> Iterator[Check]:
    """Judge a planned run.

    Args:
        planned: arguments of `hilum pretrain`.
        words: the command line that stands for such arguments.
    """
    try:
        said = _child(words({**planned, "dry_run": True, "resume": False}))
        plan = json.loads(said[said.index("{") :])
    except (_FailedError, ValueError) as error:
        yield Check("pretrain plan", "FAULT", str(error))
        return
    steps, batch, films = plan["steps"], plan["settings"]["batch_size"], plan["films"]
    detail = f"{plan['method']}: {films:,} films of {plan['patients']:,} patients, {steps:,} steps of {batch:,}"
    yield Check("pretrain plan", "ok", detail)
    small, large = _sizes(planned, batch)
    try:
        first, second = (_trial(planned, words, size) for size in (small, large))
    except _FailedError as error:
        yield Check("pretrain steps", "FAULT", str(error))
        return
    share = batch / max(1, planned.get("devices", 1) * planned.get("nodes", 1))  # films of a step on one device
    each = max(0.0, second.seconds - first.seconds) / (large - small)
    fixed = max(0.0, first.seconds - each * small)
    passes = -(-share // (planned.get("micro_batch") or share))
    fast, slow = sorted((fixed * passes + each * share, second.seconds / large * share))
    yield _time(steps, fast, slow, second, batch)
    yield _memory(first, second, min(share, planned.get("micro_batch") or share))
    yield _disk(second, planned)


def _sizes(planned: Mapping[str, Any], batch: int) -> tuple[int, int]:
    """Two batches small enough to try: losses over the batch want two films at least."""
    most = min(batch, planned.get("micro_batch") or batch)
    large = max(3, min(16, most))
    return max(2, large // 2), large


def _trial(planned: Mapping[str, Any], words: Callable[[Mapping[str, Any]], list[str]], batch: int) -> Trial:
    """A few steps of a batch size on one device, in a folder that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="hilum-doctor-") as folder:
        out = Path(folder) / "run"
        alone = {"out": str(out), "batch_size": batch, "micro_batch": None, "devices": 1, "nodes": 1, "strategy": "ddp"}
        short = {"max_steps": STEPS, "save_every": None, "probe": False, "resume": False, "dry_run": False}
        said = _child(words({**planned, **alone, **short}), measured=True)
        records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        taken = [record for record in records if "images_per_second" in record][1:]
        if not taken:
            raise _FailedError("no step was made")
        kept = sum(file.stat().st_size for file in (out / "checkpoints").rglob("*") if file.is_file())
        unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
        return Trial(
            batch,
            median(batch / record["images_per_second"] for record in taken),
            median(record["data_wait"] for record in taken),
            int(said.split()[-1]) * unit,
            kept,
        )


def _child(words: list[str], *, measured: bool = False) -> str:
    """What a run of Hilum printed; its one line of complaint where it fails."""
    command = [sys.executable, "-c", _MEASURED] if measured else [sys.executable, "-m", "hilum.cli"]
    try:
        done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=LIMIT, env=os.environ)
    except subprocess.TimeoutExpired as error:
        raise _FailedError(f"{STEPS} steps took more than {LIMIT} s") from error
    if done.returncode < 0:
        raise _FailedError(f"its first steps were killed (signal {-done.returncode}): most likely out of memory")
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        raise _FailedError((lines or ["it failed without a word"])[-1].removeprefix("hilum pretrain: "))
    return done.stdout


def _time(steps: int, fast: float, slow: float, seen: Trial, batch: int) -> Check:
    """Hours, from what a film and what a step cost."""
    low, high = steps * fast / 3600, steps * slow / 3600
    status: Status = "warning" if high > DAYS * 24 or seen.waited > 0.2 else "ok"
    detail = (
        f"{_span(low, high)} for {steps:,} steps, {batch / slow:,.1f} to {batch / max(fast, 1e-9):,.1f} films/s here"
    )
    if seen.waited > 0.2:
        detail += f"; {seen.waited:.0%} of it waiting for films: give --workers, or prepare smaller films"
    return Check("pretrain hours", status, detail)


def _span(low: float, high: float) -> str:
    """Two durations in one unit that suits them."""
    unit, name = (24.0, "days") if low > 48 else (1.0, "hours") if high >= 1 else (1 / 60, "minutes")
    first, second = f"{low / unit:.2g}", f"{high / unit:.2g}"
    return f"about {second} {name}" if first == second else f"{first} to {second} {name}"


def _memory(first: Trial, second: Trial, batch: float) -> Check:
    """Memory of a whole batch, by the line through two small ones."""
    each = max(0.0, (second.memory - first.memory) / (second.batch - first.batch))
    needed, free = second.memory + each * max(0.0, batch - second.batch), available_memory()
    detail = f"{needed / GIB:.1f} GiB for {batch:,.0f} films a pass"
    if free is None:
        return Check("pretrain memory", "warning", f"{detail}; what is free cannot be measured here")
    detail += f", {free / GIB:.1f} GiB available"
    if needed > free:
        fits = max(1, int((free - second.memory) / each) + second.batch) if each else 1
        return Check("pretrain memory", "FAULT", f"{detail}: give --micro-batch {max(1, fits // 2)}")
    return Check("pretrain memory", "warning" if needed > 0.8 * free else "ok", detail)


def _disk(seen: Trial, planned: Mapping[str, Any]) -> Check:
    """Room for the checkpoints that are kept, and the one that is being written."""
    place = Path(planned["out"]).absolute()
    while not place.exists():
        place = place.parent
    count = planned.get("keep_checkpoints", 2) + 2
    needed, free = count * seen.disk, free_disk(place)
    detail = f"{needed / GIB:.1f} GiB for checkpoints and encoder, {free / GIB:.1f} GiB free at {place}"
    return Check("pretrain disk", "FAULT" if needed > free else "ok", detail)
