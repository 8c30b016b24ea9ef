"""Scores from stored features are those of the films, up to the float16 of the store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hilum.encoder import load
from hilum.errors import CheckpointError, ConfigError
from hilum.evaluation.adaptation import Options, make_plan
from hilum.evaluation.classifier import load_classifier
from hilum.evaluation.embedding import plan_embedding, run_embedding
from hilum.evaluation.feature_store import FeatureStore
from hilum.evaluation.features import Runner
from hilum.evaluation.judge import judge
from hilum.evaluation.run import run_adaptation
from hilum.evaluation.stored_scores import stored_scores
from tests.evaluation.conftest import make_encoder

QUIET = Runner(quiet=True)


def store_of(encoder: Path, films: Path, out: Path) -> str:
    run_embedding(plan_embedding(str(encoder), str(films), out, kinds=("cls", "mean", "patch"), blocks=2), QUIET)
    return str(out)


@pytest.mark.parametrize("head", ["linear", "glori"])
def test_the_same_scores_without_the_encoder(encoder_folder: Path, films: Path, tmp_path: Path, head: str) -> None:
    more = {"head_set": {"dim": 16, "feedforward": 16, "heads": 2}} if head == "glori" else {}
    asked = Options(str(encoder_folder), str(films), ("Mass", "Effusion"), head=head, epochs=2, lrs=(0.01,), **more)
    run_adaptation(make_plan(asked), tmp_path / "run", runner=QUIET)
    store = store_of(encoder_folder, films, tmp_path / "store")
    read, seen = (
        judge(str(tmp_path / "run"), str(films), out=str(tmp_path / name), draws=100, runner=QUIET, features=features)
        for name, features in (("a", store), ("b", None))
    )
    names = ["score.Mass", "score.Effusion"]
    assert np.abs(read.table[names].to_numpy() - seen.table[names].to_numpy()).max() < 2e-3


def test_features_of_another_encoder_and_of_a_fine_tuned_one_are_refused(
    encoder_folder: Path, films: Path, tmp_path: Path
) -> None:
    asked = Options(str(encoder_folder), str(films), ("Mass",), epochs=1, lrs=(0.01,))
    run_adaptation(make_plan(asked), tmp_path / "run", runner=QUIET)
    other = make_encoder(5).save(tmp_path / "other")
    store = FeatureStore.open(store_of(other, films, tmp_path / "store"))
    trained = load_classifier(tmp_path / "run")
    manifest = make_plan(asked).train.manifest
    with pytest.raises(CheckpointError, match="another encoder"):
        stored_scores(trained, manifest, store, QUIET)
    from dataclasses import replace

    tuned = replace(trained, record=replace(trained.record, mode="finetune"))
    with pytest.raises(ConfigError, match="fine-tuned"):
        stored_scores(tuned, manifest, store, QUIET)
    assert load(str(other)).width == 48
