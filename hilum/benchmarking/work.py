"""Carry out the cells of a benchmark: each is trained and judged once, whatever happens and whoever shares the work.

A finished cell has `done.json`, written last; a cell that a user's fault stopped has `failed.json` with the reason and
is tried again by the next call. A cell in work is locked by its process, and the lock falls with the process, so a call
that was killed is simply repeated, and several calls may work on one folder.

One cell a table is judged with all baselines that its task knows. They depend on films, labels and share, not on the
encoder, so that the first encoder's first run is enough; a folder in which none has them is judged again there.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal

from hilum.benchmarking.baseline_rows import READERS
from hilum.benchmarking.cells import Benchmark, Cell, folder_name
from hilum.benchmarking.stores import Need, stored_features
from hilum.checkpoint import CONFIG
from hilum.config import to_json
from hilum.errors import ConfigError, PreemptedError, UserError
from hilum.evaluation.features import Runner
from hilum.evaluation.tasks import task_named
from hilum.evaluation.zero_shot import ZeroShot, judge_zero_shot
from hilum.lookup import unknown_name
from hilum.run_folder import write_atomic

ASKED, DONE, FAILED = "asked.json", "done.json", "failed.json"
RUN, JUDGED = "run", "judged"  # folders of a cell
BESIDE: Final = ("masks", "boxes")  # options that judging needs as well
WAIT: Final = 0.5  # seconds between looks at cells that another process holds
Say = Callable[[str], None]
State = Literal["done", "failed", "begun", "to do"]


@dataclass(frozen=True)
class Workplace:
    """What every cell needs to know."""

    out: Path
    runner: Runner
    draws: int
    needs: Mapping[tuple[str, str], Need]  # (encoder, task) -> features that are shared
    digests: Mapping[str, str]  # encoder's name, or data folder -> digest of its content


def to_stderr(line: str) -> None:
    """Where the shell says how far the work is."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def options_of(cell: Cell) -> Any:
    """The options that a cell is trained, or asked, with.

    Raises:
        ConfigError: a preset or an option that the task does not have.
    """
    task, values = cell.task, dict(cell.task.options)
    if not task.trained:
        known = [field.name for field in fields(ZeroShot)]
        for name in values:
            if name not in known:
                raise unknown_name(name, known, kind="option", where=task.key)
        return ZeroShot(**values)
    kind = task_named(task.task)
    known = [field.name for field in fields(kind.part("options"))]
    if task.mode is not None and "mode" not in known:
        raise ConfigError(f"{task.task} has no modes", where=task.key, fix="Leave out `mode`")
    own = {"encoder": cell.encoder.path, "data": task.data, "weights": cell.encoder.weights, "seed": cell.seed}
    if cell.fraction is not None and "fraction" in known:
        own["fraction"] = cell.fraction
    if task.mode is not None:
        own["mode"] = task.mode
    return kind.make_options(task.preset, {**values, **own})


def asked(cell: Cell, place: Workplace) -> dict[str, Any]:
    """What decides a cell's numbers, without paths of this machine."""
    plain = {
        key: value for key, value in to_json(options_of(cell)).items() if key not in ("encoder", "data", "features")
    }
    encoder, data = place.digests[cell.encoder.name], place.digests[cell.task.data]
    plain = {key: Path(value).name if _is_path(value) else value for key, value in plain.items()}
    plain |= {"encoder_sha256": encoder, "manifest_sha256": data}
    return json.loads(json.dumps(plain))  # type: ignore[no-any-return]


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and Path(value).is_absolute()


def check_same(cells: Sequence[Cell], place: Workplace) -> None:
    """Refuse a folder whose cells were made with other options, weights or films.

    Raises:
        ConfigError: naming the first cell and what differs.
    """
    for cell in cells:
        path = cell.folder(place.out) / ASKED
        if not path.is_file():
            continue
        before, now = json.loads(path.read_text()), asked(cell, place)
        changed = sorted(
            key for key in now if key in before and before[key] != now[key]
        )  # a later version may know more
        if changed:
            raise ConfigError(
                f"its cell '{cell.title}' was made with another {', '.join(changed)}",
                where=place.out,
                fix="Give another --out, or ask for the same",
            )


def state_of(cell: Cell, out: Path) -> State:
    """How far a cell is."""
    folder = cell.folder(out)
    if (folder / DONE).is_file():
        return "done"
    return "failed" if (folder / FAILED).is_file() else "begun" if (folder / ASKED).is_file() else "to do"


def bears_baselines(cell: Cell, benchmark: Benchmark, out: Path) -> bool:
    """Whether this cell is to be judged, or judged again, with the baselines of its table.

    It is the first seed of the first encoder that has not failed, as long as no encoder of the table has them.
    """
    if cell.seed != 0 or cell.task.task not in READERS or cell.task.also:  # a matrix of sets shows none
        return False
    folders = [replace(cell, encoder=encoder).folder(out) for encoder in benchmark.encoders]
    if any(_has_baselines(folder) for folder in folders):
        return False
    first = next((folder for folder in folders if not (folder / FAILED).is_file()), None)
    return cell.folder(out) == first


def _has_baselines(folder: Path) -> bool:
    """Whether a finished cell was asked for baselines; the films may have been unfit to teach any."""
    try:
        return bool(json.loads((folder / DONE).read_text()).get("baselines"))
    except FileNotFoundError:
        return False


def carry_out(benchmark: Benchmark, place: Workplace, say: Say) -> None:
    """Do every cell that is not done, together with other processes that work on the same folder.

    Returns when all are done or have failed, also those of the others.
    """
    waiting, failed = benchmark.cells(), set[str]()

    def wanting(cell: Cell) -> bool:
        done = (cell.folder(place.out) / DONE).is_file()
        return not done or bears_baselines(cell, benchmark, place.out)

    while waiting:
        held = []
        for cell in waiting:
            if cell.title in failed or not wanting(cell):
                continue
            with claimed(cell.folder(place.out)) as mine:
                if not mine:
                    held.append(cell)
                elif wanting(cell):  # nobody did it meanwhile
                    say(cell.title)
                    beside = bears_baselines(cell, benchmark, place.out)
                    if (error := do_cell(cell, place, baselines=beside)) is not None:
                        failed.add(cell.title)
                        say(f"failed: {error}")
        if len(held) == len(waiting):
            time.sleep(WAIT)
        waiting = held


def do_cell(cell: Cell, place: Workplace, *, baselines: bool = False) -> str | None:
    """Train and judge one cell that nobody else holds; what is trained already is only judged.

    Args:
        cell: of a benchmark.
        place: where its files go.
        baselines: judge it with all baselines that the task knows.

    Returns:
        None when it is done, else the fault that stopped it.
    """
    folder = cell.folder(place.out)
    began = time.monotonic()
    (folder / DONE).unlink(missing_ok=True)
    write_atomic(folder / ASKED, json.dumps(asked(cell, place), indent=2) + "\n")
    try:
        if cell.task.trained:
            _train_and_judge(cell, place, folder, baselines=baselines)
        else:
            shutil.rmtree(folder / JUDGED, ignore_errors=True)
            encoder = cell.encoder.path
            judge_zero_shot(encoder, cell.task.data, str(folder / JUDGED), options_of(cell), runner=place.runner)
    except PreemptedError:
        raise
    except UserError as error:
        write_atomic(folder / FAILED, json.dumps({"error": str(error)}, indent=2) + "\n")
        return str(error)
    (folder / FAILED).unlink(missing_ok=True)
    seconds = round(time.monotonic() - began, 1)  # of the session that ended it
    done = {"seconds": seconds, "baselines": baselines}
    write_atomic(folder / DONE, json.dumps(done, indent=2) + "\n")
    return None


def _train_and_judge(cell: Cell, place: Workplace, folder: Path, *, baselines: bool) -> None:
    task, options, run = task_named(cell.task.task), options_of(cell), folder / RUN
    features = stored_features(cell, place.needs, place.out, place.runner)
    if features is not None:
        options = replace(options, features=str(features))
    if not (run / "model" / CONFIG).is_file():
        if not (run / CONFIG).is_file():
            shutil.rmtree(run, ignore_errors=True)  # stopped before it had begun
        plan = task.make_plan(options)
        task.carry_out(plan, run, resume=run.is_dir(), runner=place.runner)
    tested = {JUDGED: cell.task.data} | {judged_on(name): data for name, data in cell.task.also.items()}
    for name, data in tested.items():
        shutil.rmtree(folder / name, ignore_errors=True)  # stopped between two files
        stored = stored_features(cell, place.needs, place.out, place.runner, data)
        more: dict[str, Any] = {"features": str(stored)} if stored is not None and cell.task.task == "classify" else {}
        more |= {key: value for key in BESIDE if (value := getattr(options, key, None)) is not None}
        more |= {"draws": place.draws, "baselines": None if baselines else (), "runner": place.runner}
        task.judge_run(str(run), data, out=str(folder / name), **more)


def judged_on(name: str) -> str:
    """The folder of a further test set."""
    return f"{JUDGED}-{folder_name(name)}"


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Whether this process may work on a cell: nobody else does, and nobody else will before it lets go."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".claim", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
