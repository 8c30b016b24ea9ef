"""A store gives back what the encoder gave, film by film, in any order; damage and strangers are named, not read."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hilum.encoder import Encoder
from hilum.errors import CheckpointError, ConfigError, ManifestError
from hilum.evaluation.embedding import plan_embedding, run_embedding
from hilum.evaluation.feature_shards import record_file, shard_file
from hilum.evaluation.feature_store import FeatureStore
from hilum.evaluation.features import Runner
from hilum.films import decode
from hilum.manifest import Manifest

QUIET = Runner(device="cpu", batch_size=7, quiet=True)


@pytest.fixture
def store(encoder: Encoder, tiny_data: Path, tmp_path: Path) -> FeatureStore:
    plan = plan_embedding(encoder, str(tiny_data), tmp_path / "store", kinds=("cls", "mean", "patch"), shard=16)
    run_embedding(plan, QUIET)
    return FeatureStore.open(tmp_path / "store")


def test_a_store_holds_what_the_encoder_gives(store: FeatureStore, encoder: Encoder, tiny_data: Path) -> None:
    manifest = Manifest.read(tiny_data)
    assert store.image_ids == manifest.table["image_id"].to_list()
    assert len(store) == 40
    whole = {kind: store.read(kind) for kind in store.index.kinds}
    shapes = {kind: array.shape for kind, array in whole.items()}
    assert shapes == {"cls": (40, 2, 48), "mean": (40, 2, 48), "patch": (40, 2, 16, 48)}
    for row in (0, 15, 16, 39):
        image = encoder.transform(decode(manifest.paths()[row]))[None]
        near = {"rtol": 2.0**-11, "atol": 2e-6}
        np.testing.assert_allclose(whole["cls"][row, -1], encoder.embed(image, "cls")[0].numpy(), **near)
        np.testing.assert_allclose(whole["mean"][row, -1], encoder.embed(image, "mean")[0].numpy(), **near)
        np.testing.assert_allclose(whole["patch"][row, -1], encoder.tokens(image)[0].numpy(), **near)
        with torch.no_grad():
            older = encoder.model.forward_intermediates(image, 2, norm=True)[0][0, 1:]  # type: ignore[operator]
        np.testing.assert_allclose(whole["patch"][row, 0], older.numpy(), **near)


def test_rows_come_in_the_order_asked_for(store: FeatureStore) -> None:
    wanted = [33, 2, 2, 17, 0, 39, 16]
    for kind in store.index.kinds:
        whole = store.read(kind)
        np.testing.assert_array_equal(store.read(kind, wanted), whole[wanted])
        np.testing.assert_array_equal(store.read(kind, wanted, blocks=1), whole[wanted][:, -1:])
    assert store.read("cls", []).shape == (0, 2, 48)
    assert store.take("cls", wanted).dtype == np.float16
    assert store.read("cls").dtype == np.float32
    ids = [store.image_ids[row] for row in wanted]
    assert store.rows(ids).tolist() == wanted


def test_what_a_store_does_not_have_is_refused(store: FeatureStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="patch"):
        store.read("patches")
    with pytest.raises(ConfigError, match="last 3 blocks and holds 2"):
        store.read("cls", blocks=3)
    for rows in ([40], [-1]):
        with pytest.raises(ConfigError, match="of 40 films"):
            store.read("cls", rows)
    with pytest.raises(ManifestError, match=r"1 of 2 films.*'nobody'"):
        store.rows([store.image_ids[0], "nobody"])
    with pytest.raises(CheckpointError, match="not a feature store"):
        FeatureStore.open(tmp_path)


def test_a_damaged_film_is_named_and_the_others_are_read(store: FeatureStore) -> None:
    before = store.read("patch")
    path = shard_file(store.folder, "patch", 1)
    content = bytearray(path.read_bytes())
    content[len(content) - 5] ^= 1  # in the last film of the shard, row 31
    path.write_bytes(content)
    again = FeatureStore.open(store.folder)
    np.testing.assert_array_equal(again.read("patch", range(31)), before[:31])
    np.testing.assert_array_equal(again.read("cls", [31]), store.read("cls", [31]))
    for _ in range(2):
        with pytest.raises(CheckpointError, match=r"patch/00001\.npy: is damaged.*Delete"):
            again.read("patch", [31], blocks=1)


@pytest.mark.parametrize("gone", ["file", "end of file", "record", "films"])
def test_an_unfinished_store_is_not_opened_and_repeating_the_command_mends_it(
    gone: str, store: FeatureStore, encoder: Encoder, tiny_data: Path
) -> None:
    file = shard_file(store.folder, "mean", 2)
    whole = file.read_bytes()
    if gone == "file":
        file.unlink()
    elif gone == "end of file":
        file.write_bytes(whole[:-2])
    elif gone == "record":
        record_file(store.folder, 2).unlink()
    else:
        (store.folder / "films.parquet").write_bytes(b"")
    with pytest.raises(CheckpointError, match="Repeat the `hilum embed` command") as caught:
        FeatureStore.open(store.folder)
    if gone != "films":
        assert "1 of 3 shards" in str(caught.value)
        assert "00002.json" in str(caught.value)
    plan = plan_embedding(encoder, str(tiny_data), store.folder, kinds=("cls", "mean", "patch"), shard=16)
    assert plan.missing == (() if gone == "films" else (2,))
    run_embedding(plan, QUIET)
    np.testing.assert_array_equal(FeatureStore.open(store.folder).read("mean"), store.read("mean"))
    assert file.read_bytes() == whole


def test_a_stale_store_says_what_differs(store: FeatureStore, encoder: Encoder, tiny_data: Path) -> None:
    store.check_encoder(encoder)
    other = Encoder(encoder.model, replace(encoder.preprocessing, resize="pad"))
    with pytest.raises(CheckpointError, match="preprocessing resize squeeze and pad"):
        store.check_encoder(other)
    with torch.no_grad():
        encoder.model.norm.bias[0] += 1e-6  # type: ignore[union-attr, operator]
    with pytest.raises(CheckpointError, match="another encoder than the one given: encoder weights") as caught:
        store.check_encoder(encoder)
    assert "preprocessing" not in str(caught.value)


def test_films_that_changed_since_are_named(store: FeatureStore, tiny_data: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_data, tmp_path / "copy")  # keeps the times of the files
    manifest = Manifest.read(copy)
    part = manifest.select(split="val")
    rows = store.check_films(part)
    assert [store.image_ids[row] for row in rows] == part.table["image_id"].to_list()
    path = manifest.paths()[5]
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000))
    with pytest.raises(ManifestError, match=rf"1 of 40 films have changed.*'{path.stem}'.*modified_ns"):
        store.check_films(manifest)
