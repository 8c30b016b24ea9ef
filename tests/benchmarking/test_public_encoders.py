"""The table of public encoders: whole, found by file names, and followed to what it started from."""

from __future__ import annotations

import pytest

from hilum.benchmarking.public_encoders import ONE_AUTHOR, PUBLIC, all_collections, find_public
from hilum.benchmarking.xray_collections import COLLECTIONS


def test_every_row_stands_on_names_that_exist() -> None:
    for name, row in PUBLIC.items():
        assert set(row.pretrained_on) <= set(COLLECTIONS), name
        assert set(row.held_out) <= set(row.pretrained_on), name
        assert row.starts_from in ("", *PUBLIC), name
        assert row.source, name
    assert set(PUBLIC) >= ONE_AUTHOR


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("MRM.pth", "mrm"),
        ("rad_dino", "rad-dino"),
        ("raddino.safetensors", "rad-dino"),
        ("mae_pretrain_vit_base.pth", "mae-imagenet"),
        ("densenet121-res224-all", "torchxrayvision-all"),
        ("mae-0", None),  # a run of ours
        ("my mrm", None),
    ],
)
def test_names_fit_as_a_whole_or_not_at_all(text: str, name: str | None) -> None:
    assert find_public(text) == name


def test_what_an_encoder_started_from_was_seen_too() -> None:
    assert all_collections("mrm") == ("mimic-cxr", "imagenet-1k")
    assert all_collections("eva-x") == ("mimic-cxr", "chexpert", "nih-chestxray14", "imagenet-1k")  # MGCA, DeiT
    assert all_collections("nobody's") == ()


def test_images_seen_are_images_times_epochs_unless_stated() -> None:
    assert PUBLIC["mrm"].seen == 377_110 * 200
    assert PUBLIC["chexfound"].seen == 28_000_000
    assert PUBLIC["biovil"].seen is None
