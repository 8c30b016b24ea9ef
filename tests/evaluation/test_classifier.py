"""A classifier is written and read whole, with the meaning of its scores; foreign or damaged folders are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hilum.encoder import Encoder
from hilum.errors import CheckpointError, ConfigError
from hilum.evaluation.classifier import (
    Record,
    TrainedClassifier,
    build_classifier,
    load_classifier,
    random_backbone,
)
from hilum.evaluation.frozen_inputs import head_options
from hilum.models.resnet import ResNetConfig


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


@pytest.mark.parametrize("architecture", [None, ResNetConfig(64, 64, 1, stem=8, planes=4, blocks=(1, 1, 1, 1))])
@pytest.mark.parametrize(
    ("head", "options"), [("glori", {"dim": 16, "heads": 2, "feedforward": 16}), ("chexfound-probe", {})]
)
def test_heads_on_taps_round_trip_on_either_kind_of_encoder(
    encoder: Encoder, tmp_path: Path, architecture: ResNetConfig | None, head: str, options: dict[str, int]
) -> None:
    sizes = architecture or encoder.model.config
    config = head_options(head, None, None, sizes, **options)
    record = Record(("Mass", "Edema", "Hernia"), head=head, head_config=config, second_round="fresh")
    before = TrainedClassifier(build_classifier(sizes, record).eval(), encoder.preprocessing, record)
    before.save(tmp_path / "run" / "model")
    after = load_classifier(tmp_path / "run")
    assert after.record == before.record
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(after.model(images), before.model(images), rtol=0, atol=0)
    cells = 4 if architecture else 16
    if head == "glori":
        assert after.model.attention(images).shape == (2, 2, 3, cells)
    else:
        with pytest.raises(ConfigError, match="has no queries"):
            after.model.attention(images)
