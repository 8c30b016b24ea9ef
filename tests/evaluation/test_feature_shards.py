"""A shard is whole or does not count; float16 costs what is said; what sets two stores apart is said in words."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.errors import CheckpointError
from hilum.evaluation.feature_shards import (
    LARGEST,
    StoreIndex,
    film_table,
    films_digest,
    record_file,
    shard_file,
    shard_is_whole,
    write_shard,
)
from hilum.manifest import Manifest
from hilum.schema import Preprocessing

INDEX = StoreIndex(
    encoder_sha256="a" * 64,
    preprocessing=Preprocessing().to_json(),
    precision="fp32",
    kinds=("cls", "patch"),
    blocks=2,
    grid=(2, 3),
    width=5,
    films=7,
    films_sha256="b" * 64,
    shard=4,
)
NAMES = [f"film{row}" for row in range(7)]


def values(number: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng([seed, number])
    count = len(INDEX.span(number))
    return {kind: rng.normal(size=(count, *INDEX.shape(kind))).astype(np.float32) for kind in INDEX.kinds}


def parts(number: int) -> list[Any]:
    """The shard's features in two batches."""
    whole = values(number)
    return [{kind: array[rows] for kind, array in whole.items()} for rows in (slice(0, 1), slice(1, None))]


def test_files_are_plain_numpy_in_row_order_and_the_same_bytes_every_time(tmp_path: Path) -> None:
    assert (INDEX.shards, list(INDEX.span(1)), INDEX.bytes("patch", 3)) == (2, [4, 5, 6], 2 * 2 * 6 * 5 * 3)
    for folder in (tmp_path / "one", tmp_path / "other"):
        for number in (1, 0):
            write_shard(folder, INDEX, number, parts(number), NAMES[INDEX.span(number).start : INDEX.span(number).stop])
            assert shard_is_whole(folder, INDEX, number)
    for number in (0, 1):
        for kind in INDEX.kinds:
            path = shard_file(tmp_path / "one", kind, number)
            np.testing.assert_array_equal(np.load(path), values(number)[kind].astype(np.float16))
            assert path.read_bytes() == shard_file(tmp_path / "other", kind, number).read_bytes()
    assert not list(tmp_path.rglob(".*"))


def test_a_shard_counts_only_with_its_record_its_files_and_its_key(tmp_path: Path) -> None:
    write_shard(tmp_path, INDEX, 0, parts(0), NAMES[:4])
    assert not shard_is_whole(tmp_path, INDEX, 1)
    assert not shard_is_whole(tmp_path, replace(INDEX, precision="bf16"), 0)
    assert shard_is_whole(tmp_path, replace(INDEX, origin={"encoder": "moved"}), 0)
    file = shard_file(tmp_path, "patch", 0)
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    assert not shard_is_whole(tmp_path, INDEX, 0)
    file.write_bytes(content)
    assert shard_is_whole(tmp_path, INDEX, 0)
    record = record_file(tmp_path, 0)
    record.write_text(record.read_text()[:-9])
    assert not shard_is_whole(tmp_path, INDEX, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -65_505.0, 1e9])
def test_what_float16_cannot_hold_is_refused_by_the_films_name(value: float, tmp_path: Path) -> None:
    bad = parts(0)
    bad[1]["patch"][1, 0, 2, 3] = value
    with pytest.raises(CheckpointError, match=r"'film2' a feature of .*65,504"):
        write_shard(tmp_path, INDEX, 0, bad, NAMES[:4])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_float16_costs_what_the_file_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    exponents = rng.uniform(-9, np.log10(LARGEST), size=(7, 4, 500))
    whole = (rng.choice([-1, 1], size=exponents.shape) * 10**exponents).astype(np.float32)
    whole[0, 0, :2] = (LARGEST, -LARGEST)
    index = replace(INDEX, kinds=("cls",), blocks=4, width=500, shard=7)
    write_shard(tmp_path, index, 0, [{"cls": whole}], NAMES)
    error = np.abs(np.load(shard_file(tmp_path, "cls", 0)).astype(np.float64) - whole)
    size = np.abs(whole.astype(np.float64))
    normal = size >= 2.0**-14
    assert (error[normal] / size[normal]).max() <= 2.0**-11
    assert (error[normal] / size[normal]).max() > 2.0**-12  # the bound is not an empty one
    assert error[~normal].max() <= 2.0**-25


def test_a_full_disk_leaves_nothing_of_the_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_shard(tmp_path, INDEX, 0, parts(0), NAMES[:4])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_index_is_read_back_and_a_stranger_is_refused(tmp_path: Path) -> None:
    import json

    (tmp_path / "index.json").write_text(json.dumps(INDEX.to_json()))
    assert StoreIndex.read(tmp_path).key == INDEX.key
    assert StoreIndex.read(tmp_path) == replace(INDEX, preprocessing=INDEX.to_json()["preprocessing"])
    (tmp_path / "index.json").write_text('{"kind": "encoder"}')
    with pytest.raises(CheckpointError, match="not a feature store"):
        StoreIndex.read(tmp_path)


def test_differences_are_phrases() -> None:
    other = replace(
        INDEX, encoder_sha256="c" * 64, blocks=1, preprocessing=Preprocessing(size=512).to_json(), origin={"x": 1}
    )
    assert INDEX.differences(other) == [
        f"encoder weights {'a' * 12} and {'c' * 12}",
        "blocks 2 and 1",
        "preprocessing size 224 and 512",
    ]
    older = {name: value for name, value in INDEX.preprocessing.items() if name != "voi"}  # of an earlier version
    assert INDEX.differences(replace(INDEX, preprocessing=older)) == []


def test_the_film_table_sees_a_file_change(tiny_data: Path) -> None:
    manifest = Manifest.read(tiny_data)
    table = film_table(manifest)
    assert films_digest(table) == films_digest(film_table(manifest))
    changed = table.copy()
    changed.loc[3, "modified_ns"] += 1
    assert films_digest(changed) != films_digest(table)
    assert films_digest(table.iloc[::-1]) != films_digest(table)
