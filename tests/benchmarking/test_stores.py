"""Features are computed once for all fractions, seeds and tasks of one set of films, where a frozen head reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hilum.benchmarking.cells import Cell
from hilum.benchmarking.encoder_facts import EncoderSpec
from hilum.benchmarking.stores import Need, need_of, store_folder
from hilum.benchmarking.task_file import BenchmarkTask
from hilum.evaluation.feature_store import FeatureStore
from tests.benchmarking.conftest import SMALL, Bench

TASK = BenchmarkTask("a", "films", "classify")


@dataclass(frozen=True)
class Options:
    head: str = "linear"
    head_variant: str | None = None
    head_set: dict[str, Any] = field(default_factory=dict)
    blocks: int | None = None
    pool: str = "mean"
    mode: str = "frozen"
    features: str | None = None
    augment: str = "none"


@pytest.mark.parametrize(
    ("options", "need"),
    [
        (Options(), Need(("mean",), 1)),
        (Options(pool="cls+mean"), Need(("cls", "mean"), 1)),
        (Options(head="glori"), Need(("cls", "patch"), 2)),
        (Options(mode="finetune"), Need()),
        (Options(features="elsewhere"), Need()),
        (Options(augment="mae"), Need()),  # other films in every epoch
    ],
)
def test_what_a_task_reads(options: Options, need: Need) -> None:
    assert need_of(TASK, options, SMALL) == need
    assert need_of(BenchmarkTask("b", "films", "zero-shot"), options, SMALL) == Need()
    assert Need(("mean",), 1).with_(Need(("cls", "patch"), 4)) == Need(("cls", "mean", "patch"), 4)


def test_random_weights_have_a_store_for_each_seed(tmp_path: Path) -> None:
    def folder(weights: Any, seed: int) -> Path:
        return store_folder(
            Cell(TASK, EncoderSpec("e", "p", weights), 1.0, seed), Need(("mean",), 1), tmp_path, "films"
        )

    assert folder("pretrained", 0) == folder("pretrained", 1)
    assert folder("random", 0) != folder("random", 1)


def test_one_store_an_encoder_serves_all_frozen_cells(bench: Bench) -> None:
    stores = sorted(path.parent for path in (bench.out / "features").rglob("films.parquet"))
    assert [store.parent.name for store in stores] == ["one", "two"]
    store = FeatureStore.open(stores[0])
    assert len(store) == 80
    assert store.index.kinds == ("mean",)
