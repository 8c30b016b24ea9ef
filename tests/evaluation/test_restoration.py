"""Restoring records: who takes whose film's place, which words count, and that the masks never change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hilum.errors import ConfigError, ManifestError
from hilum.evaluation.features import Runner
from hilum.evaluation.restoration import (
    OWN,
    Records,
    accuracies,
    films_of_others,
    mask_records,
    restore_words,
    spell,
    word_table,
)
from hilum.manifest import Manifest
from hilum.methods.mrm import MRM, PRESETS
from hilum.models.text import TextConfig
from hilum.reports import reports_of
from hilum.schema import MASKED, TOKEN_MASK, TOKENS
from hilum.transforms.text import Terms, WordPiece

RUNNER = Runner(device="cpu", batch_size=3, quiet=True)
TEXT = TextConfig(width=16, depth=1, heads=2, hidden=32, positions=40)
VIT = {"patch_size": 8, "depth": 1}
SMALL = replace(PRESETS["phantom"], image_size=32, vit=VIT, decoder_width=16, decoder_depth=1, text=TEXT, length=40)


@pytest.fixture(scope="module")
def films(reported_data: Path) -> Manifest:
    return Manifest.read(reported_data).select(split="test")


@pytest.fixture(scope="module")
def method(films: Manifest) -> MRM:
    torch.manual_seed(0)
    return MRM(SMALL, WordPiece.train(reports_of(films).texts, vocab_size=100)).eval()


@pytest.fixture(scope="module")
def records(method: MRM, films: Manifest) -> Records:
    return mask_records(method, films, reports_of(films), RUNNER, seed=5)


def test_masks_follow_the_seed_and_the_row_alone(method: MRM, films: Manifest, records: Records) -> None:
    again = mask_records(method, films, reports_of(films), replace(RUNNER, batch_size=8), seed=5)
    for key in (TOKENS, TOKEN_MASK, MASKED):
        assert torch.equal(records.batch[key], again.batch[key])
    torch.testing.assert_close(records.vectors, again.vectors, rtol=1e-5, atol=1e-6)
    other = mask_records(method, films, reports_of(films), RUNNER, seed=6)
    assert torch.equal(records.batch[TOKENS], other.batch[TOKENS])
    assert not torch.equal(records.batch[MASKED], other.batch[MASKED])
    assert records.vectors.shape == (len(films), 16)


def test_only_hidden_pieces_are_restored_and_from_the_vector_given(method: MRM, records: Records) -> None:
    tokens, hidden = records.batch[TOKENS].numpy(), records.batch[MASKED].numpy()
    restored = restore_words(method, records, records.vectors, RUNNER)
    assert np.array_equal(restored[~hidden], tokens[~hidden])
    by_hand = method.score(method.read(dict(records.batch), records.vectors)).argmax(-1).numpy()
    assert np.array_equal(restored[hidden], by_hand[hidden])
    far = restore_words(method, records, records.vectors + 30 * torch.randn_like(records.vectors), RUNNER)
    assert not np.array_equal(far, restored)


@pytest.mark.parametrize("seed", range(5))
def test_every_film_goes_to_another_patient_once(seed: int) -> None:
    patients = np.array(["a", "b", "b", "c", "c", "c", "d", "e"])
    others = films_of_others(patients, seed)
    assert sorted(others) == list(range(8))
    assert (patients[others] != patients).all()
    assert np.array_equal(others, films_of_others(patients, seed))
    with pytest.raises(ManifestError, match="3 of 4 films are of one patient"):
        films_of_others(np.array(["a", "a", "a", "b"]), seed)


def test_a_word_is_right_when_all_its_hidden_pieces_are() -> None:
    tokenizer = WordPiece.train(["effusion effusions lung . no"] * 5, vocab_size=60)
    text = "no effusions . lung no"
    read = tokenizer.encode(text, 20)
    count = int(read.words.max()) + 1
    words = [spell(tokenizer, read.ids[read.words == word]) for word in range(count)]
    assert words == ["no", "effusions", ".", "lung", "no"]
    hidden = np.isin(read.words, [1, 2, 3])
    batch = {TOKENS: read.ids, TOKEN_MASK: read.mask, MASKED: hidden}
    table = pd.DataFrame({"image_id": ["i"], "patient_id": ["p"]})
    manifest = Manifest(table, Path())
    stacked = {key: torch.from_numpy(value)[None] for key, value in batch.items()}
    records = Records(manifest, reports=None, batch=stacked, words=read.words[None], vectors=torch.zeros(1, 1))  # type: ignore[arg-type]
    wrong = read.ids.copy()
    wrong[np.flatnonzero(read.words == 3)[-1]] = tokenizer.unk_id  # the last piece of "lung"
    made = word_table(records, {OWN: read.ids[None], "other": wrong[None]}, tokenizer, Terms(["effusion", "lung"]))
    assert made["truth"].tolist() == ["effusions", "lung"]  # hidden, and no sign
    assert made["term"].all()
    assert made[f"right.{OWN}"].all()
    assert made["right.other"].tolist() == [True, False]


def test_accuracies_are_means_over_words_with_paired_gains() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "patient_id": [f"p{n // 4}" for n in range(80)],
            "truth": [f"w{n % 7}" for n in range(80)],
            "term": [n % 2 == 0 for n in range(80)],
            f"right.{OWN}": rng.random(80) < 0.8,
            "right.mean_film": rng.random(80) < 0.3,
        }
    )
    found = accuracies(table, [OWN, "mean_film"], draws=200, seed=0)
    for subset, part in (("all", table), ("terms", table[table["term"]])):
        own, mean = part[f"right.{OWN}"].mean(), part["right.mean_film"].mean()
        entry = found[subset]
        assert entry["words"] == len(part)
        assert entry["accuracy"][OWN]["value"] == pytest.approx(own)
        assert entry["gain"]["mean_film"]["value"] == pytest.approx(own - mean)
        assert entry["accuracy"][OWN]["low"] < own < entry["accuracy"][OWN]["high"]
        assert set(entry["gain"]) == {"mean_film"}
    nothing = accuracies(table.assign(term=False), [OWN, "mean_film"], draws=10, seed=0)
    assert nothing["terms"] == {"words": 0, "reason": "no hidden word is a term"}


def test_runs_that_do_not_read_both_are_refused(method: MRM, films: Manifest) -> None:
    for changes, message in (
        ({"image_vector_on": "none"}, "without the film"),
        ({"report_loss": False}, "without its reports"),
    ):
        other = MRM(replace(SMALL, **changes), method.tokenizer)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=message):
            mask_records(other, films, reports_of(films), RUNNER, seed=0)
