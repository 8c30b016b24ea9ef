"""Options that contradict each other or mean nothing are refused by name, in either mode."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hilum.errors import ConfigError
from hilum.evaluation.classify_options import Options, check_options

OPTIONS = Options(encoder="encoder", data="data", labels=("Mass", "Edema"))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"shots": 5, "fraction": 0.1}, "5 shots a finding and a fraction of 0.1 are two answers"),
        ({"threshold": "f1"}, "threshold: 'f1' is no rule"),
        ({"calibrate": "isotonic"}, "calibrate: unknown calibration 'isotonic'"),
        ({"calibrate": "platt", "targets": "multiclass"}, "share one temperature"),
        ({"loss": "focal"}, "unknown loss 'focal'"),
        ({"loss": "asymmetric", "targets": "multiclass"}, "asymmetric loss is for independent findings"),
        ({"loss": "asymmetric", "loss_set": {"beta": 0.9}}, "unknown option 'beta'"),
        ({"loss": "class-balanced", "loss_set": {"beta": 1.0}}, r"beta must be in \[0, 1\)"),
        ({"augment": "randaugment"}, "augment: unknown augmentation 'randaugment'"),
        ({"augment": "chexfound", "features": "store"}, "the features in store are of films as they are"),
        ({"decay": "poly"}, "heads on frozen features know no poly decay"),
        ({"steps": 10}, "steps is for --mode finetune"),
        ({"optimizer": "sgd", "clip_norm": 1.0}, "optimizer, clip_norm is for --mode finetune"),
        ({"mode": "finetune", "steps": 0}, "steps: must be more than 0, not 0"),
        ({"mode": "finetune", "evaluate_every": 0.0}, "evaluate_every: must be more than 0"),
        ({"mode": "finetune", "clip_norm": -1.0}, "clip_norm: must be more than 0"),
        ({"mode": "finetune", "warmup": 1.0}, r"warmup: must be in \[0, 1\)"),
        ({"mode": "finetune", "momentum": 1.0}, r"momentum: must be in \[0, 1\)"),
    ],
)
def test_faults(change: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        check_options(replace(OPTIONS, **change).resolved())  # type: ignore[arg-type]


def test_steps_stand_in_for_epochs() -> None:
    tuned = replace(OPTIONS, mode="finetune", steps=500, batch_size=20).resolved()
    loop = tuned.training(1_000, workers=0, device="cpu")
    assert (loop.epochs, loop.max_steps, loop.save_every) == (10.0, 500, 50)
    looked = replace(tuned, evaluate_every=2.5).training(1_000, workers=0, device="cpu")
    assert looked.save_every == 125


def test_weights_of_a_balanced_loss_are_of_the_training_labels() -> None:
    balanced = replace(OPTIONS, mode="finetune", loss="class-balanced", loss_set={"beta": 0.5}).resolved()
    targets = np.array([[1, 0], [0, 0], [0, np.nan], [0, 1]], dtype=np.float32)
    present, absent = balanced.fine_tuning(targets).loss.weights
    assert present[0] == max(*present, *absent)  # one film of it, three without
    assert sum(present) + sum(absent) == pytest.approx(4)
