"""Carrying out: nothing is done twice, a killed call goes on, two calls share the work, a fault stops only its cell."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from hilum.benchmarking.cells import Benchmark, read_encoders
from hilum.benchmarking.run import prepare, run_benchmark
from hilum.benchmarking.task_file import read_task_file
from hilum.benchmarking.work import ASKED, DONE, FAILED, claimed, options_of, state_of
from hilum.errors import ConfigError
from tests.benchmarking.conftest import TASKS, Bench, small_benchmark

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from hilum.benchmarking.run import prepare, run_benchmark
from tests.benchmarking.conftest import small_benchmark
prepared = prepare(small_benchmark(Path(sys.argv[2])), sys.argv[3])
run_benchmark(prepared, say=lambda line: print(line, flush=True), command="hilum benchmark ...")
"""


def child(place: Path, out: Path) -> subprocess.Popen[str]:
    root = str(Path(__file__).resolve().parents[2])
    words = [sys.executable, "-c", CHILD, root, str(place), str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)


def test_a_second_call_does_nothing_and_says_the_same(bench: Bench) -> None:
    said: list[str] = []
    page = (bench.out / "leaderboard.html").read_bytes()
    run_benchmark(prepare(bench.prepared.benchmark, bench.out), say=said.append, command="hilum benchmark ...")
    assert said == []
    assert (bench.out / "leaderboard.html").read_bytes() == page


def test_killed_and_gone_on_gives_the_same_page(bench: Bench, tmp_path: Path) -> None:
    """Killed without warning in its second cell; what was finished stays, what was begun is gone on with."""
    out, benchmark = tmp_path / "out", bench.prepared.benchmark
    shutil.copytree(bench.out, out)
    open_cells = [benchmark.cells()[number] for number in (5, 13, 14)]
    for cell in open_cells:
        shutil.rmtree(cell.folder(out))
    with child(bench.root, out) as process:
        assert process.stdout is not None
        titles = [process.stdout.readline().strip() for _ in range(2)]
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    assert titles == [cell.title for cell in open_cells[:2]]
    assert state_of(open_cells[0], out) == "done"
    assert state_of(open_cells[2], out) == "to do"
    before = {path: path.stat().st_mtime_ns for path in out.rglob(DONE)}
    said: list[str] = []
    run_benchmark(prepare(benchmark, out), say=said.append, command="hilum benchmark ...")
    assert open_cells[2].title in said
    assert open_cells[0].title not in said
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    for kind in ("html", "md", "json"):
        assert (out / f"leaderboard.{kind}").read_text() == (bench.out / f"leaderboard.{kind}").read_text()


def test_stopped_between_two_files_is_made_again(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(bench.out, out)
    cells = bench.prepared.benchmark.cells()
    folder = cells[0].folder(out)
    (folder / DONE).unlink()  # judged, not yet marked
    (folder / "judged" / "predictions.parquet").unlink()
    other = cells[1].folder(out)
    (other / DONE).unlink()  # not yet trained
    shutil.rmtree(other / "run")
    (other / "run").mkdir()
    (other / "run" / ".config.json.partial").write_text("{")
    said: list[str] = []
    run_benchmark(prepare(bench.prepared.benchmark, out), say=said.append, command="hilum benchmark ...")
    assert said == [cells[0].title, cells[1].title]
    assert (out / "leaderboard.json").read_text() == (bench.out / "leaderboard.json").read_text()


def test_a_cell_in_other_hands_is_waited_for(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(bench.out, out)
    folder = bench.prepared.benchmark.cells()[0].folder(out)
    done = (folder / DONE).read_text()
    (folder / DONE).unlink()
    held = open(folder / ".claim", "w")  # noqa: SIM115  (held by hand)
    fcntl.flock(held, fcntl.LOCK_EX)
    with claimed(folder) as mine:
        assert not mine

    def finish() -> None:
        time.sleep(0.7)
        (folder / DONE).write_text(done)
        held.close()

    other = threading.Thread(target=finish)
    other.start()
    said: list[str] = []
    run_benchmark(prepare(bench.prepared.benchmark, out), say=said.append)
    other.join()
    assert said == []  # the other one did it


def test_a_fault_is_said_and_stops_only_its_cell(bench: Bench, tmp_path: Path) -> None:
    """No text tower: the zero-shot cells fail, the others do not; told again where the next call meets it again."""
    text = yaml.safe_load(TASKS)
    text["tasks"] = [text["tasks"][0], {"name": "asked", "data": "films", "task": "zero-shot", "labels": ["Effusion"]}]
    for task in text["tasks"]:
        task["data"] = str(bench.root / "films")
    (tmp_path / "tasks.yaml").write_text(yaml.safe_dump(text))
    benchmark = small_benchmark(bench.root, fractions=(1.0,), seeds=1)
    benchmark = Benchmark(
        benchmark.encoders, read_task_file(tmp_path / "tasks.yaml").tasks, (1.0,), 1, draws=100, permutations=100
    )
    out = tmp_path / "out"
    said: list[str] = []
    results = run_benchmark(prepare(benchmark, out), say=said.append)
    assert results["cells"] == {"all": 4, "done": 2, "failed": 2}
    assert [row["cell"] for row in results["failed"]] == ["asked: one", "asked: two"]
    assert "no text tower" in results["failed"][0]["error"]
    assert [entry["key"] for entry in results["tasks"]] == ["findings, frozen"]
    assert "no text tower" in (out / "leaderboard.html").read_text()
    assert "no text tower" in (out / "leaderboard.md").read_text()
    assert sum(line.startswith("failed") for line in said) == 2
    cell = next(cell for cell in benchmark.cells() if not cell.task.trained)
    assert json.loads((cell.folder(out) / FAILED).read_text())["error"]


def test_another_question_in_the_same_folder_is_refused(bench: Bench) -> None:
    text = TASKS.replace("epochs: 4", "epochs: 5")
    path = bench.root / "other.yaml"
    path.write_text(text)
    benchmark = Benchmark(bench.prepared.benchmark.encoders, read_task_file(path).tasks, (0.5, 1.0), 2, 100, 100)
    with pytest.raises(ConfigError, match=r"findings, frozen: one.*another epochs.*another --out"):
        prepare(benchmark, bench.out)
    path.unlink()
    swapped = read_encoders((f"one={bench.root / 'two'}", f"two={bench.root / 'one'}"))
    exchanged = Benchmark(swapped, bench.prepared.benchmark.tasks, (0.5, 1.0), 2, 100, 100)
    with pytest.raises(ConfigError, match="another encoder_sha256"):
        prepare(exchanged, bench.out)


def test_what_a_cell_is_asked_holds_no_paths(bench: Bench) -> None:
    text = (bench.prepared.benchmark.cells()[0].folder(bench.out) / ASKED).read_text()
    assert str(bench.root) not in text
    assert json.loads(text)["labels"] == ["Mass", "Effusion"]


@pytest.mark.parametrize(
    ("task", "options", "match"),
    [
        ("classify", {"epoch": 3}, "unknown option 'epoch'"),
        ("survive", {"endpoints": ["Death"]}, "survive has no modes"),
        ("zero-shot", {"prompt": "x"}, "unknown option 'prompt'"),
    ],
)
def test_options_that_do_not_exist(bench: Bench, task: str, options: dict[str, Any], match: str) -> None:
    path = bench.root / "wrong.yaml"
    mode = {} if task == "zero-shot" else {"mode": "frozen"}
    entry = {"name": "a", "data": "films", "task": task, "labels": ["Mass"], "options": options, **mode}
    path.write_text(yaml.safe_dump({"tasks": [entry]}))
    benchmark = Benchmark(bench.prepared.benchmark.encoders, read_task_file(path).tasks, seeds=1)
    path.unlink()
    with pytest.raises(ConfigError, match=match):
        options_of(benchmark.cells()[0])
