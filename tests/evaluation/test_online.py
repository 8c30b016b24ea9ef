"""The online probe: it sees what an encoder knows, and training does not see it."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hilum.encoder import Encoder
from hilum.evaluation.online import KNN, LINEAR, online_probe
from hilum.manifest import Manifest


class Pretraining(nn.Module):
    """As much of a method as the probe needs."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.backbone, self.preprocessing = encoder.model, encoder.preprocessing


def test_numbers_are_sensible_and_repeatable_under_no_grad(encoder: Encoder, films: Path) -> None:
    probe = online_probe(Manifest.read(films), max_train=60, seed=1)
    method = Pretraining(encoder)
    method.train()
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    with torch.no_grad():
        first = probe(method, 0)
    torch.testing.assert_close(torch.rand(3), expected)
    assert set(first) == {LINEAR, KNN}
    assert all(0.4 < value <= 1 for value in first.values())
    assert first == probe(method, 100)
    assert method.backbone.training
    assert all(p.grad is None for p in method.parameters())


def test_an_encoder_that_sees_nothing_is_at_chance(encoder: Encoder, films: Path) -> None:
    with torch.no_grad():
        encoder.model.patch_embed.proj.weight.zero_()
    numbers = online_probe(Manifest.read(films))(Pretraining(encoder), 0)
    assert numbers[LINEAR] == numbers[KNN] == 0.5


def test_non_finite_features_give_nothing(encoder: Encoder, films: Path) -> None:
    with torch.no_grad():
        encoder.model.patch_embed.proj.weight.fill_(np.nan)
    assert online_probe(Manifest.read(films))(Pretraining(encoder), 0) == {}


@pytest.mark.parametrize("fault", ["no columns", "no val", "one class"])
def test_without_labels_it_says_so_once(
    encoder: Encoder, films: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    table = Manifest.read(films).table.copy()
    if fault == "no columns":
        table = table.drop(columns=["label.Mass", "label.Effusion"])
    elif fault == "no val":
        table = table[table["split"] != "val"]
    else:
        table[["label.Mass", "label.Effusion"]] = 0.0
    with caplog.at_level(logging.INFO, logger="hilum"):
        probe = online_probe(Manifest.from_table(table, films))
        assert probe(Pretraining(encoder), 0) == probe(Pretraining(encoder), 1) == {}
    assert [r.message for r in caplog.records] == [
        "no online probe: train and val share no finding with both classes labelled in each"
    ]
