"""`hilum embed`: killed anywhere it ends in the same bytes, several processes write what one writes, and what cannot
work is said before anything is written."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import hilum
from hilum.cli import main
from hilum.encoder import Encoder
from hilum.errors import CheckpointError, ConfigError, ImageError, PreemptedError
from hilum.evaluation import embedding
from hilum.evaluation.embedding import plan_embedding, readable, run_embedding
from hilum.evaluation.features import Runner

CRASH = Path(__file__).parents[1] / "trainer/crash.py"
QUIET = Runner(device="cpu", batch_size=8, quiet=True)
ALL = ("cls", "mean", "patch")


def words(encoder: Path, data: Path, out: Path, *more: str) -> list[str]:
    shape = ["--kinds=cls,mean,patch", "--blocks=2", "--shard=12", "--batch-size=8", "--device=cpu"]
    return ["embed", str(encoder), f"--data={data}", f"--out={out}", *shape, *more]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def never_killed(encoder_folder: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("features") / "whole"
    assert main(words(encoder_folder, tiny_data, out)) == 0
    names = {"index.json", "films.parquet"} | {f"shards/0000{n}.json" for n in range(4)}
    assert set(content(out)) == names | {f"{kind}/0000{n}.npy" for kind in ALL for n in range(4)}
    return out


# Renames of a run: index, films, then in each of the 4 shards cls, mean, patch and the record.
MOMENTS = random.Random(20261122)
QUICK = [
    ("film", MOMENTS.randint(2, 40)),
    ("rename", 3 + 4 * MOMENTS.randint(0, 3) + MOMENTS.randint(1, 2)),  # between the files of a shard
    ("rename", 6 + 4 * MOMENTS.randint(0, 3)),  # all its files there, its record not
]
SLOW = [("rename", 1), ("rename", 2)] + [("film", MOMENTS.randint(1, 40)) for _ in range(4)]


def kill_and_go_on(encoder: Path, data: Path, out: Path, point: str, count: int) -> None:
    command = [sys.executable, str(CRASH), point, str(count), "--", *words(encoder, data, out)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    died = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert main(words(encoder, data, out)) == 0


@pytest.mark.parametrize(("point", "count"), QUICK)
def test_a_killed_run_ends_in_the_same_bytes(
    point: str, count: int, encoder_folder: Path, tiny_data: Path, never_killed: Path, tmp_path: Path
) -> None:
    kill_and_go_on(encoder_folder, tiny_data, tmp_path / "killed", point, count)
    assert content(tmp_path / "killed") == content(never_killed)


@pytest.mark.slow
@pytest.mark.parametrize(("point", "count"), SLOW)
def test_a_killed_run_ends_in_the_same_bytes_at_more_moments(
    point: str, count: int, encoder_folder: Path, tiny_data: Path, never_killed: Path, tmp_path: Path
) -> None:
    kill_and_go_on(encoder_folder, tiny_data, tmp_path / "killed", point, count)
    assert content(tmp_path / "killed") == content(never_killed)


def test_two_processes_write_what_one_writes(
    encoder_folder: Path, tiny_data: Path, never_killed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert main(words(encoder_folder, tiny_data, tmp_path / "two", "--devices=2")) == 0
    assert content(tmp_path / "two") == content(never_killed)


def test_each_rank_makes_every_worlds_shard(
    encoder: Encoder, tiny_data: Path, tmp_path: Path, never_killed: Path
) -> None:
    def plan() -> embedding.EmbeddingPlan:
        return plan_embedding(encoder, str(tiny_data), tmp_path / "store", kinds=ALL, blocks=2, shard=12)

    run_embedding(plan(), QUIET, rank=1, world=3)
    assert plan().missing == (0, 2, 3)
    run_embedding(plan(), QUIET, rank=0, world=3)
    assert plan().missing == (2,)
    run_embedding(plan(), QUIET, rank=2, world=3)
    shards = {name: found for name, found in content(tmp_path / "store").items() if name != "index.json"}
    assert shards == {name: found for name, found in content(never_killed).items() if name != "index.json"}


def test_a_finished_store_is_not_computed_again(
    encoder_folder: Path, tiny_data: Path, never_killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hilum.films.FilmStore.film", None)
    before = content(never_killed)
    assert main(words(encoder_folder, tiny_data, never_killed)) == 0
    assert content(never_killed) == before


def test_the_plan_says_how_large_it_will_be_and_writes_nothing(
    encoder_folder: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "store"
    hilum.embed(str(encoder_folder), data=str(tiny_data), out=str(out), kinds=ALL, blocks=2, dry_run=True)
    plan = json.loads(capsys.readouterr().out)
    assert plan["films"] == 40
    assert plan["bytes"] == {"cls": 40 * 2 * 48 * 2, "mean": 40 * 2 * 48 * 2, "patch": 40 * 2 * 16 * 48 * 2}
    assert plan["bytes_missing"] == sum(plan["bytes"].values())
    assert (plan["shards"], plan["shards_missing"]) == (1, 1)
    assert not out.parent.exists()


def test_films_are_chosen_as_everywhere(encoder: Encoder, tiny_data: Path, tmp_path: Path) -> None:
    plan = plan_embedding(
        encoder, str(tiny_data), tmp_path / "s", split="train", views=["PA"], where=["label.Mass=1"], blocks=9
    )
    table = plan.manifest.table
    assert set(table["split"]) == {"train"}
    assert set(table["view_position"]) == {"PA"}
    assert (table["label.Mass"] == 1).all()
    assert plan.index.films == len(table) > 0
    assert plan.index.blocks == 2
    assert any("gives 2 blocks, not 9" in line for line in plan.lines())


def test_a_disk_without_room_is_refused_before_anything_is_written(
    encoder: Encoder, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_embedding(encoder, str(tiny_data), tmp_path / "store")
    free = plan.bytes_missing - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(0, 0, free))  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"take 15\.4 kB and the disk has 15\.4 kB"):
        run_embedding(plan, QUIET)
    assert not (tmp_path / "store").exists()


def test_another_command_does_not_go_on_with_a_store(
    encoder: Encoder, tiny_data: Path, tmp_path: Path, never_killed: Path
) -> None:
    with pytest.raises(ConfigError, match=r"kinds cls,mean,patch and cls; blocks 2 and 1; shard 12 and 2048"):
        plan_embedding(encoder, str(tiny_data), never_killed, kinds=("cls",), blocks=1)
    with torch.no_grad():
        encoder.model.norm.bias[0] += 1  # type: ignore[union-attr, operator]
    with pytest.raises(ConfigError, match="those asked for: encoder weights"):
        plan_embedding(encoder, str(tiny_data), never_killed, kinds=ALL, blocks=2, shard=12)
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        plan_embedding(encoder, str(tiny_data), tmp_path)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"kinds": ("cls", "patches")}, "patches"),
        ({"kinds": ()}, "no features are asked for"),
        ({"blocks": 0}, "at least 1"),
        ({"shard": 0}, "at least 1"),
    ],
)
def test_values_that_cannot_be_are_refused(
    asked: dict[str, object], said: str, encoder: Encoder, tiny_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        plan_embedding(encoder, str(tiny_data), tmp_path / "store", **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_film_that_cannot_be_read_stops_the_run_and_leaves_whole_shards(
    workers: int, encoder: Encoder, tiny_data: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(tiny_data, tmp_path / "data")
    (data / "images/film0020.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    plan = plan_embedding(encoder, str(data), tmp_path / "store", kinds=ALL, shard=12)
    with pytest.raises(ImageError, match=r"^\S*film0020\.png: [^\n]*$") as caught:
        run_embedding(plan, Runner("cpu", 8, workers, quiet=True))
    assert "Traceback" not in str(caught.value)
    left = {name for name in content(tmp_path / "store") if "/" in name}
    assert left == {"cls/00000.npy", "mean/00000.npy", "patch/00000.npy", "shards/00000.json"}


def test_features_that_are_not_numbers_name_the_film(encoder: Encoder, tiny_data: Path, tmp_path: Path) -> None:
    with torch.no_grad():
        encoder.model.norm.weight.mul_(1e6)  # type: ignore[union-attr, operator]
    with pytest.raises(CheckpointError, match=r"film 'film0000' a feature of .* float16 ends at 65,504"):
        run_embedding(plan_embedding(encoder, str(tiny_data), tmp_path / "store"), QUIET)


def test_sigterm_keeps_whole_shards(
    encoder: Encoder, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_embedding(encoder, str(tiny_data), tmp_path / "store", shard=16)
    decode, seen = hilum.films.decode, [0]

    def asked_to_stop(path: str) -> object:
        seen[0] += 1
        if seen[0] == 25:  # in the second shard
            os.kill(os.getpid(), signal.SIGTERM)
        return decode(path)

    monkeypatch.setattr("hilum.films.decode", asked_to_stop)
    with pytest.raises(PreemptedError, match="whole are kept"):
        run_embedding(plan, QUIET)
    assert plan_embedding(encoder, str(tiny_data), tmp_path / "store", shard=16).missing == (1, 2)
    assert not list((tmp_path / "store").rglob(".*"))


def test_sizes_are_said_in_units_people_know() -> None:
    told = [readable(count) for count in (0, 999, 1000, 1.234e6, 2.5e9, 1.2e13)]
    assert told == ["0 bytes", "999 bytes", "1 kB", "1.23 MB", "2.5 GB", "12 TB"]
