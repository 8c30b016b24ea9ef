"""Every kind of Vision Transformer that is released goes through every task: nothing is left out of a gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hilum.encoder import Encoder, load
from hilum.errors import ConfigError
from hilum.evaluation.classifier import Record
from hilum.evaluation.embedding import tokens_to_keep
from hilum.evaluation.features import pooled
from hilum.evaluation.finetune import Config, FineTune, fine_tune_method, takes_fresh_norm
from hilum.evaluation.segmentation.method import Settings, segment_method
from hilum.evaluation.segmentation.views import TRUTH, MaskViews
from hilum.heads.segmentation import Config as SegmenterConfig
from hilum.heads.targets import LabelLoss
from hilum.models.pooling import Pool
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.schema import IMAGE, LABELS, Preprocessing

TINY: dict[str, Any] = {"image_size": 64, "patch_size": 16, "channels": 1, "width": 24, "depth": 4, "heads": 3}
KINDS: dict[str, dict[str, Any]] = {
    "eva-x": {
        "rotary": "eva", "rotary_grid": 4, "key_bias": False, "mlp": "swiglu_split", "mlp_norm": True,
        "final_norm": False, "pool_norm": True,
    },
    "mae fine-tuned": {"position": "sincos", "final_norm": False, "pool_norm": True},
    "dinov2": {"registers": 2, "layer_scale": 0.5, "mask_token": True, "position_resize": "bicubic_offset"},
    "dinov3": {
        "position": "none", "rotary": "dinov3", "key_bias": False, "registers": 2, "layer_scale": 0.5,
        "mask_token": True,
    },
    "clip": {"pre_norm": True, "patch_bias": False, "mlp": "quick_gelu"},
    "overlapping": {"patch_stride": 8},
}  # fmt: skip
GREY = Preprocessing(size=64, channels=1, mean=(0.5,), std=(0.25,))


def encoder_of(kind: str) -> Encoder:
    torch.manual_seed(0)
    model = VisionTransformer(ViTConfig(**{**TINY, **KINDS[kind]}))
    for name, parameter in model.named_parameters():
        if name != "pos_embed":
            nn.init.normal_(parameter, std=0.1)
    return Encoder(model, GREY, {"method": "none"})


def fine_tuned(kind: str, pool: Pool, **options: Any) -> FineTune:
    encoder = encoder_of(kind)
    fresh = pool == "mean" and takes_fresh_norm(encoder.model.config)
    record = Record(("Mass", "Edema"), mode="finetune", pool=pool, fc_norm=fresh)
    return fine_tune_method(encoder, record, Config(loss=LabelLoss(), drop_path=0.0, **options), seed=0)


def without_gradient(method: nn.Module) -> list[str]:
    return [name for name, part in method.named_parameters() if part.requires_grad and part.grad is None]


@pytest.mark.parametrize("pool", ["mean", "cls"])
@pytest.mark.parametrize("kind", KINDS)
def test_fine_tuning_reads_every_parameter_that_learns(kind: str, pool: Pool) -> None:
    method = fine_tuned(kind, pool)
    batch = {
        IMAGE: torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8),
        LABELS: torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
    }
    method(batch, 0.0).loss.backward()
    assert not without_gradient(method)


def test_a_norm_of_the_mean_is_there_once() -> None:
    for kind in KINDS:
        classifier = fine_tuned(kind, "mean").classifier
        own = classifier.backbone.fc_norm is not None
        assert (own, classifier.fc_norm is not None) == (kind in ("eva-x", "mae fine-tuned"), not own)


def test_positions_that_are_not_there_cannot_learn() -> None:
    assert fine_tuned("mae fine-tuned", "mean", train_positions=True).classifier.backbone.pos_embed.requires_grad
    with pytest.raises(ConfigError, match="no table of positions"):
        fine_tuned("dinov3", "mean", train_positions=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["upernet", "medim"])
def test_segmentation_reads_every_parameter_that_learns(kind: str, form: Any) -> None:
    head = SegmenterConfig(form=form, width=16, auxiliary_width=8, decoder=(8, 8, 8, 8))
    record = Preprocessing(size=96, channels=1, mean=(0.5,), std=(0.25,))
    more: dict[str, Any] = {"drop_path": 0.0, "layer_scale": None, "decoder": None, "seed": 0}
    method = segment_method(encoder_of(kind), 1, head, Settings(views=MaskViews(96)), preprocessing=record, **more)
    batch = {
        IMAGE: torch.randint(0, 256, (2, 1, 96, 96), dtype=torch.uint8),
        TRUTH: torch.randint(0, 2, (2, 1, 96, 96), dtype=torch.uint8),
    }
    method(batch, 0.0).loss.backward()
    assert not without_gradient(method)


@pytest.mark.parametrize("kind", KINDS)
def test_stored_features_are_those_of_the_encoder_and_it_comes_back_from_disk(kind: str, tmp_path: Path) -> None:
    encoder = encoder_of(kind)
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        stored = tokens_to_keep(encoder.model, 2, ("cls", "mean"))(images)[:, -1]
        for number, pool in enumerate(("cls", "mean")):
            given = encoder.embed(images, pool)  # type: ignore[arg-type]
            torch.testing.assert_close(stored[:, number], given, rtol=1e-5, atol=1e-6)
            assert torch.equal(pooled(encoder.model, pool)(images), given)  # type: ignore[arg-type]
    again = load(encoder.save(tmp_path / "encoder"))
    assert again.model.config == encoder.model.config
    np.testing.assert_array_equal(again.embed(images, "mean"), encoder.embed(images, "mean"))
