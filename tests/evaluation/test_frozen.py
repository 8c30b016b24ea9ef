"""The frozen protocol with every kind of head and source: the same head wherever features lie; the second round."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hilum.config import to_json
from hilum.encoder import Encoder
from hilum.evaluation.classifier import Record, TrainedClassifier, load_classifier
from hilum.evaluation.embedding import plan_embedding, run_embedding
from hilum.evaluation.feature_store import FeatureStore
from hilum.evaluation.features import Runner
from hilum.evaluation.films import LabelledFilms, labelled_films
from hilum.evaluation.finetune import classifier_scores
from hilum.evaluation.frozen import Frozen, Source, train_frozen
from hilum.films import FilmStore
from hilum.heads import HEADS
from hilum.heads.glori import GLoRIConfig
from hilum.heads.grid import GridSettings, train_head
from hilum.heads.inputs import InMemory
from hilum.heads.taps import Taps
from hilum.labels import LabelPolicy
from hilum.lookup import lookup
from hilum.manifest import Manifest

QUIET = Runner(device="cpu", batch_size=16, quiet=True)
SETTINGS = GridSettings(lrs=(1e-3, 1e-2), epochs=4, batch_size=32)
SMALL = GLoRIConfig(blocks=2, dim=16, heads=2, feedforward=16)


@pytest.fixture
def split(films: Path) -> tuple[LabelledFilms, LabelledFilms]:
    everything = Manifest.read(films)
    train, val = (labelled_films(everything, part, ("Mass", "Effusion"), LabelPolicy()) for part in ("train", "val"))  # type: ignore[arg-type]
    return train, val


def record_of(head: str, **changes: object) -> Record:
    config = SMALL if head == "glori" else lookup(HEADS, head, kind="head").Config()
    if head == "chexfound-probe":
        config = replace(config, blocks=2)
    return Record(("Mass", "Effusion"), head=head, head_config=to_json(config), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("head", HEADS)
def test_wherever_the_features_lie_the_same_head_comes_out(
    head: str, encoder: Encoder, films: Path, split: tuple[LabelledFilms, LabelledFilms], tmp_path: Path
) -> None:
    record = record_of(head)
    run_embedding(
        plan_embedding(encoder, str(films), tmp_path / "store", kinds=("cls", "mean", "patch"), blocks=2), QUIET
    )
    sources = {
        "memory": Source(QUIET),
        "encoder": Source(QUIET, memory=0.0),
        "store": Source(QUIET, store=FeatureStore.open(tmp_path / "store")),
        "disk": Source(QUIET, store=FeatureStore.open(tmp_path / "store"), memory=0.0),
    }
    found = {name: train_frozen(encoder, *split, record, SETTINGS, source) for name, source in sources.items()}
    first = found["memory"]
    for name, frozen in found.items():
        halved = name in ("store", "disk")  # a store holds half precision
        near = {"rtol": 1e-2, "atol": 1e-2} if halved else {"rtol": 1e-3, "atol": 1e-4}
        if not halved or (frozen.result.lr == first.result.lr and frozen.result.epoch == first.result.epoch):
            torch.testing.assert_close(frozen.val_logits, first.val_logits, **near)
    disk, store = found["disk"].result, found["store"].result
    assert disk.table == store.table


@pytest.mark.parametrize("head", HEADS)
def test_the_classifier_scores_films_as_its_head_scored_features(
    head: str, encoder: Encoder, split: tuple[LabelledFilms, LabelledFilms], tmp_path: Path
) -> None:
    record, val = record_of(head), split[1]
    frozen = train_frozen(encoder, *split, record, SETTINGS, Source(QUIET))
    TrainedClassifier(frozen.classifier, encoder.preprocessing, record).save(tmp_path / "model")
    loaded = load_classifier(tmp_path)
    scores = classifier_scores(loaded.model, FilmStore(val.manifest), loaded.preprocessing, "multilabel", QUIET)
    torch.testing.assert_close(torch.from_numpy(scores), frozen.val_logits.sigmoid(), rtol=1e-4, atol=1e-5)


def trained(
    encoder: Encoder, split: tuple[LabelledFilms, LabelledFilms], second_round: str
) -> tuple[Frozen, list[dict[str, float]]]:
    rows: list[dict[str, float]] = []
    record = record_of("glori", second_round=second_round)
    return train_frozen(encoder, *split, record, SETTINGS, Source(QUIET), on_second=rows.append), rows


def test_the_second_round_learns_from_both_splits_and_chooses_nothing(
    encoder: Encoder, split: tuple[LabelledFilms, LabelledFilms]
) -> None:
    (one, no_rows), (fresh, rows), (warm, _) = (trained(encoder, split, name) for name in ("none", "fresh", "warm"))
    assert not no_rows
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    for again in (fresh, warm):  # what was chosen, and the scores that thresholds come from, are the first round's
        assert again.result.table == one.result.table
        assert torch.equal(again.val_logits, one.val_logits)
    weights = [frozen.classifier.head.state_dict()["embed.weight"] for frozen in (one, fresh, warm)]
    assert not any(torch.equal(weights[a], weights[b]) for a, b in ((0, 1), (0, 2), (1, 2)))

    taps = torch.cat([_taps(encoder, films)[0] for films in split]), torch.cat([_taps(encoder, f)[1] for f in split])
    both = InMemory(Taps(*taps)), torch.cat([torch.from_numpy(films.targets) for films in split])
    settings = replace(SETTINGS, lrs=(one.result.lr,))
    for frozen, start in ((fresh, None), (warm, one.result.head.state_dict())):
        by_hand = train_head("glori", both, settings, config=SMALL, start=start)
        for name, value in by_hand.state_dict().items():
            torch.testing.assert_close(frozen.classifier.head.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def _taps(encoder: Encoder, films: LabelledFilms) -> tuple[torch.Tensor, torch.Tensor]:
    store = FilmStore(films.manifest)
    taps = encoder.taps(torch.stack([encoder.transform(store.film(row)) for row in range(len(films))]), 2)
    assert taps.cls is not None
    assert taps.patches is not None
    return taps.cls, taps.patches
