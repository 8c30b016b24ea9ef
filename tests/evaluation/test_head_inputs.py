"""A head reads the same numbers from the store and from the encoder, and trains from either by the same code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hilum.encoder import Encoder
from hilum.errors import ConfigError
from hilum.evaluation.embedding import plan_embedding, run_embedding
from hilum.evaluation.feature_store import FeatureStore
from hilum.evaluation.features import Runner
from hilum.evaluation.head_inputs import EncoderInputs, StoredInputs
from hilum.films import FilmStore
from hilum.heads.grid import GridSettings, train_grid
from hilum.heads.taps import Taps
from hilum.labels import LabelPolicy, targets_of
from hilum.manifest import Manifest
from hilum.models.resnet import ResNet, ResNetConfig
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.schema import Preprocessing

QUIET = Runner(device="cpu", batch_size=8, quiet=True)
GREY = Preprocessing(size=64, channels=1, mean=(0.5,), std=(0.25,))
NEAR = {"rtol": 2.0**-11, "atol": 1e-5}
ROWS = torch.tensor([31, 4, 4, 0, 39, 17, 16, 8, 9])


def an_encoder(family: str) -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        if family == "resnet":
            sizes = ResNetConfig(image_size=64, enlarged=96, channels=1, stem=8, planes=4, blocks=(1, 1, 1, 1))
            return Encoder(ResNet(sizes), GREY)
        vit = ViTConfig(image_size=64, patch_size=16, channels=1, width=24, depth=3, heads=2)
        kinds = {"vit": {}, "registers": {"registers": 2}, "no class token": {"class_token": False}}
        return Encoder(VisionTransformer(ViTConfig(**{**vit.__dict__, **kinds[family]})), GREY)


def stored(encoder: Encoder, data: Path, out: Path, **more: object) -> FeatureStore:
    plan = plan_embedding(encoder, str(data), out, kinds=("cls", "mean", "patch"), shard=16, **more)  # type: ignore[arg-type]
    run_embedding(plan, QUIET)
    return FeatureStore.open(out)


@pytest.mark.parametrize("family", ["vit", "registers", "no class token", "resnet"])
def test_the_store_and_the_encoder_give_the_same(family: str, tiny_data: Path, tmp_path: Path) -> None:
    encoder = an_encoder(family)
    store = stored(encoder, tiny_data, tmp_path / "store", blocks=2)
    blocks, side = (1, 3) if family == "resnet" else (2, 4)
    assert (store.index.blocks, store.index.grid) == (blocks, (side, side))
    films = FilmStore(Manifest.read(tiny_data), quiet=True)
    disk = StoredInputs(store, np.arange(40))
    live = EncoderInputs(encoder, films, blocks=blocks, runner=QUIET)
    assert len(disk) == len(live) == 40
    assert disk.width == live.width == blocks * encoder.width
    one, other = disk.batch(ROWS), live.batch(ROWS)
    assert isinstance(one, Taps)
    assert isinstance(other, Taps)
    for mine, theirs, shape in (
        (one.cls, other.cls, (9, live.width)),
        (one.patches, other.patches, (9, side**2, live.width)),
    ):
        assert mine is not None
        assert theirs is not None
        assert mine.shape == theirs.shape == shape
        assert mine.dtype == theirs.dtype == torch.float32
        assert not theirs.requires_grad
        torch.testing.assert_close(mine, theirs, **NEAR)
    pools = ("mean",) if family == "no class token" else ("cls", "mean", "cls+mean")
    for pool in pools:
        vectors = StoredInputs(store, np.arange(40), pool=pool)  # type: ignore[arg-type]
        straight = EncoderInputs(encoder, films, pool=pool, runner=QUIET)  # type: ignore[arg-type]
        assert vectors.width == straight.width == encoder.width * (1 + ("+" in pool))
        torch.testing.assert_close(vectors.batch(ROWS), straight.batch(ROWS), **NEAR)


def test_parts_blocks_and_rows_are_those_asked_for(tiny_data: Path, tmp_path: Path) -> None:
    encoder = an_encoder("vit")
    store = stored(encoder, tiny_data, tmp_path / "store", blocks=3)
    rows = store.rows(store.image_ids[20:30][::-1])
    disk = StoredInputs(store, rows, blocks=2, parts=("cls",))
    found = disk.batch(torch.tensor([9, 0]))
    assert isinstance(found, Taps)
    assert found.patches is None
    np.testing.assert_array_equal(found.cls, store.read("cls", [20, 29], blocks=2).reshape(2, -1))
    live = EncoderInputs(encoder, FilmStore(Manifest.read(tiny_data), quiet=True), blocks=2, parts=("patch",))
    alone = live.batch(torch.tensor([5]))
    assert isinstance(alone, Taps)
    assert alone.cls is None
    with pytest.raises(ConfigError, match="last 4 blocks"):
        StoredInputs(store, rows, blocks=4)
    with pytest.raises(ConfigError, match="gives 3"):
        EncoderInputs(encoder, live.films, blocks=4)


def test_a_film_gives_the_same_numbers_whenever_it_is_asked_for(tiny_data: Path) -> None:
    encoder, films = an_encoder("vit"), FilmStore(Manifest.read(tiny_data), quiet=True)
    inputs = EncoderInputs(encoder, films, blocks=1, runner=QUIET)
    threads = EncoderInputs(encoder, films, blocks=1, runner=Runner("cpu", 8, workers=3, quiet=True))
    first = inputs.batch(ROWS)
    for again in (inputs.batch(ROWS), threads.batch(ROWS)):
        assert torch.equal(first.patches, again.patches)  # type: ignore[union-attr, arg-type]
    shuffled = inputs.batch(ROWS.flip(0))
    torch.testing.assert_close(shuffled.patches.flip(0), first.patches, rtol=1e-6, atol=1e-6)  # type: ignore[union-attr]


def test_a_head_trained_from_disk_is_the_head_trained_from_the_encoder(tiny_data: Path, tmp_path: Path) -> None:
    encoder, manifest = an_encoder("vit"), Manifest.read(tiny_data)
    store = stored(encoder, tiny_data, tmp_path / "store")
    settings = GridSettings(lrs=(1e-3, 1e-2), epochs=3, batch_size=8)
    results = []
    for source in ("disk", "encoder"):
        sets = []
        for split in ("train", "val"):
            part = manifest.select(split=split)
            inputs = (
                StoredInputs(store, store.check_films(part), pool="mean")
                if source == "disk"
                else EncoderInputs(encoder, FilmStore(part, quiet=True), pool="mean", runner=QUIET)
            )
            targets = targets_of(part, ("Mass", "Effusion"), LabelPolicy.parse("ignore"), "multilabel")
            sets.append((inputs, torch.from_numpy(targets)))
        results.append(train_grid("linear", sets[0], sets[1], settings))
    disk, live = results
    assert (disk.lr, disk.epoch) == (live.lr, live.epoch)
    assert disk.value == pytest.approx(live.value, abs=0.02)
    for ours, theirs in zip(disk.table, live.table, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-3)
