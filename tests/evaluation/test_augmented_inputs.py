"""Augmented films behind a frozen encoder: another view every epoch, the same view whenever it is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hilum.encoder import Encoder
from hilum.evaluation.augmented_inputs import augmented
from hilum.evaluation.classifier import Record
from hilum.evaluation.features import Runner
from hilum.evaluation.films import labelled_films
from hilum.evaluation.frozen import Source, train_frozen
from hilum.evaluation.frozen_inputs import Reading
from hilum.films import FilmStore
from hilum.heads.grid import GridSettings
from hilum.heads.taps import Taps
from hilum.labels import LabelPolicy
from hilum.manifest import Manifest
from hilum.schema import IMAGE
from hilum.transforms.augmentations import augmentation
from hilum.transforms.image import normalise

QUIET = Runner(device="cpu", batch_size=16, quiet=True)


def test_views_are_keyed_by_epoch_and_film(encoder: Encoder, films: Path) -> None:
    manifest = Manifest.read(films).select("val")
    views = augmentation("chexfound", encoder.preprocessing)
    inputs = augmented(encoder, manifest, Reading("cls"), views, 7, QUIET)
    rows = torch.tensor([3, 0])
    first, again, later = (inputs.at_epoch(epoch).batch(rows) for epoch in (0, 0, 1))
    assert isinstance(first, torch.Tensor)
    assert isinstance(again, torch.Tensor)
    assert isinstance(later, torch.Tensor)
    assert torch.equal(first, again)
    assert not torch.allclose(first, later)
    view = views(FilmStore(manifest).film(3), np.random.default_rng([7, 1, 3]))[IMAGE]
    by_hand = encoder.embed(normalise(view[None], encoder.preprocessing), "cls")[0]
    torch.testing.assert_close(later[0], by_hand)
    plain = torch.stack([encoder.transform(FilmStore(manifest).film(row)) for row in (3, 0)])
    torch.testing.assert_close(inputs.batch(rows), encoder.embed(plain, "cls"))
    assert (len(inputs), inputs.width) == (24, encoder.width)
    taps = augmented(encoder, manifest, Reading(None, 2), views, 7, QUIET).at_epoch(0).batch(rows)
    assert isinstance(taps, Taps)


@pytest.mark.parametrize("second_round", ["none", "fresh"])
def test_heads_learn_from_views_and_are_chosen_by_plain_films(second_round: str, encoder: Encoder, films: Path) -> None:
    everything = Manifest.read(films)
    parts = [labelled_films(everything, split, ("Mass", "Effusion"), LabelPolicy()) for split in ("train", "val")]
    settings = GridSettings(lrs=(1e-2,), epochs=2, batch_size=32)
    record = Record(("Mass", "Effusion"), second_round=second_round)
    views = augmentation("mrm", encoder.preprocessing)
    plain, moved = (
        train_frozen(encoder, parts[0], parts[1], record, settings, Source(QUIET, views=chosen, seed=1))
        for chosen in (None, views)
    )
    assert not torch.allclose(plain.val_logits, moved.val_logits)
    assert len(moved.val_logits) == len(parts[1])
    if second_round == "none":
        images = torch.stack([encoder.transform(FilmStore(parts[1].manifest).film(row)) for row in range(3)])
        with torch.no_grad():
            torch.testing.assert_close(moved.classifier(images).double(), moved.val_logits[:3], rtol=1e-4, atol=1e-5)
