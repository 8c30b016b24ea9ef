"""A classifier is written and read whole, with the meaning of its scores; foreign or damaged folders are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hilum.encoder import Encoder
from hilum.errors import CheckpointError
from hilum.evaluation.classifier import (
    Record,
    TrainedClassifier,
    build_classifier,
    load_classifier,
    random_backbone,
)


def trained(encoder: Encoder, **changes: object) -> TrainedClassifier:
    values = {"thresholds": {"Mass": 0.25, "Edema": 0.5}, "threshold_notes": {"Edema": "no positives"}, **changes}
    record = Record(("Mass", "Edema"), validation={"auroc": 0.75}, policy={"default": "ones", "rules": {}}, **values)  # type: ignore[arg-type]
    return TrainedClassifier(build_classifier(encoder.model.config, record).eval(), encoder.preprocessing, record)


@pytest.mark.parametrize("pool", ["cls", "mean", "cls+mean"])
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_round_trip(encoder: Encoder, tmp_path: Path, pool: str, head: str) -> None:
    before = trained(encoder, pool=pool, head=head, fc_norm=pool == "mean")
    before.save(tmp_path / "run" / "model")
    images = torch.randn(3, 1, 64, 64)
    for source in (tmp_path / "run", tmp_path / "run" / "model"):
        after = load_classifier(source)
        assert (after.record, after.preprocessing) == (before.record, before.preprocessing)
        with torch.no_grad():
            torch.testing.assert_close(after.model(images), before.model(images), rtol=0, atol=0)
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    assert "| Mass | 0.250 |" in card
    assert "| Edema | 0.500 | no positives |" in card


def test_what_is_not_a_classifier_is_refused(encoder: Encoder, encoder_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a encoder checkpoint, not a classifier"):
        load_classifier(encoder_folder)
    with pytest.raises(CheckpointError, match=r"holds no classifier\. Give a finished run of `hilum adapt`"):
        load_classifier(tmp_path)
    with pytest.raises(CheckpointError, match="no such folder"):
        load_classifier(tmp_path / "nothing")
    folder = trained(encoder).save(tmp_path / "model")
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: is damaged"):
        load_classifier(tmp_path)


def test_random_backbone_is_repeatable_and_leaves_the_global_generator_alone(encoder: Encoder) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    one, two, other = (random_backbone(encoder.model.config, seed) for seed in (0, 0, 1))
    torch.testing.assert_close(torch.rand(2), expected)
    weights = [model.patch_embed.proj.weight for model in (one, two, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
