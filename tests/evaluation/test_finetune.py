"""The fine-tuning method: MAE's pooling, unknown labels without gradient, mixup by draws of the loader."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hilum.encoder import Encoder
from hilum.errors import ConfigError
from hilum.evaluation.classifier import Record
from hilum.evaluation.features import Runner
from hilum.evaluation.films import labelled_films
from hilum.evaluation.finetune import (
    BEST,
    MIXUP,
    Config,
    FineTune,
    fine_tune_method,
    start_at_probe,
    validation,
)
from hilum.heads.grid import GridSettings
from hilum.heads.targets import LabelLoss
from hilum.labels import LabelPolicy
from hilum.manifest import Manifest
from hilum.methods.method import Method, Views
from hilum.optim import parameter_groups
from hilum.schema import IMAGE, LABELS

RECORD = Record(("Mass", "Edema"), mode="finetune", fc_norm=True)


def method(encoder: Encoder, record: Record = RECORD, **options: Any) -> FineTune:
    return fine_tune_method(encoder, record, Config(**{"loss": LabelLoss(), "drop_path": 0.0, **options}), seed=0)


def batch(n: int = 4, **more: Any) -> Mapping[str, Any]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 1, 64, 64), generator=generator, dtype=torch.uint8)
    return {IMAGE: images, LABELS: torch.tensor([[1.0, 0.0], [0.0, 1.0]] * (n // 2)), **more}


def test_meets_the_contract_of_the_loop(encoder: Encoder) -> None:
    tuned = method(encoder)
    assert isinstance(tuned, Method)
    views = tuned.views()
    assert isinstance(views, Views)
    film = np.random.default_rng(0).integers(0, 256, (80, 70), dtype=np.uint8)
    seen = views(film, np.random.default_rng(1))
    assert set(seen) == {IMAGE}
    assert (seen[IMAGE].shape, seen[IMAGE].dtype) == ((1, 64, 64), torch.uint8)
    torch.testing.assert_close(seen, views(film, np.random.default_rng(1)))


def test_mean_pool_goes_through_a_fresh_norm_instead_of_the_encoders(encoder: Encoder) -> None:
    with torch.no_grad():
        encoder.model.norm.weight.fill_(7.0)  # type: ignore[union-attr]
    tuned = method(encoder)
    assert tuned.classifier.backbone.norm is None
    x = torch.randn(3, 1, 64, 64)
    patches = encoder.model.forward_intermediates(x, 1)[0][:, encoder.model.num_prefix_tokens :]
    features = torch.nn.functional.layer_norm(patches.mean(dim=1), (48,), eps=1e-6)
    torch.testing.assert_close(tuned.classifier(x), tuned.classifier.head(features), rtol=1e-4, atol=1e-7)


def test_class_token_keeps_the_encoders_norm(encoder: Encoder) -> None:
    tuned = method(encoder, Record(("Mass", "Edema"), mode="finetune", pool="cls"))
    x = torch.randn(3, 1, 64, 64)
    torch.testing.assert_close(tuned.classifier(x), tuned.classifier.head(encoder.embed(x, "cls")))


def test_the_encoder_is_copied_not_changed(encoder: Encoder) -> None:
    before = {name: value.clone() for name, value in encoder.model.state_dict().items()}
    tuned = method(encoder)
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(before[name], value) for name, value in encoder.model.state_dict().items())


def test_a_film_without_known_labels_has_no_gradient(encoder: Encoder) -> None:
    tuned = method(encoder)
    with torch.no_grad():
        tuned.classifier.head.classify.weight.normal_()  # type: ignore[union-attr, operator]
    given = dict(batch())
    given[LABELS][2] = math.nan
    given[LABELS][3, 0] = math.nan
    given[IMAGE] = (given[IMAGE].float() / 64 - 2).requires_grad_()
    tuned(given, 0.0).loss.backward()
    gradient = given[IMAGE].grad.abs().amax(dim=(1, 2, 3))
    assert gradient[2] == 0
    assert (gradient[[0, 1, 3]] > 0).all()


def test_mixup_blends_film_and_label_by_the_films_own_share(encoder: Encoder) -> None:
    tuned = method(encoder, mixup=0.8)
    film = np.zeros((64, 64), np.uint8)
    shares = [float(tuned.views()(film, np.random.default_rng(seed))[MIXUP]) for seed in range(200)]
    assert 0 <= min(shares) < 0.1
    assert 0.9 < max(shares) <= 1
    plain = tuned(batch(), 0.0).loss
    torch.testing.assert_close(tuned(batch(**{MIXUP: torch.ones(4)}), 0.0).loss, plain)  # each film is itself
    torch.testing.assert_close(tuned(batch(**{MIXUP: torch.zeros(4)}), 0.0).loss, plain)  # each is its partner
    half = dict(batch(**{MIXUP: torch.full((4,), 0.5)}))
    half[LABELS] = torch.tensor([[1.0, 0.0], [math.nan, 1.0], [0.0, 1.0], [0.0, 1.0]])
    images = torch.stack([half[IMAGE][i].float() + half[IMAGE][3 - i].float() for i in range(4)]) / 2
    mixed = {IMAGE: (images / 255 - 0.5) / 0.25}
    mixed[LABELS] = torch.tensor([[0.5, 0.5], [math.nan, 1.0], [math.nan, 1.0], [0.5, 0.5]])
    torch.testing.assert_close(tuned(half, 0.0).loss, tuned(mixed, 0.0).loss)


def test_layer_decay_slows_the_early_layers(encoder: Encoder) -> None:
    tuned = method(encoder)
    groups = parameter_groups(tuned.named_parameters(), weight_decay=0.05, layer_decay=0.5, depth=2)
    scale = {name: group.lr_scale for group in groups for name in group.names}
    assert scale["classifier.head.classify.weight"] == scale["classifier.fc_norm.weight"] == 1
    assert scale["classifier.backbone.blocks.1.attn.qkv.weight"] == 0.5
    assert scale["classifier.backbone.blocks.0.attn.qkv.weight"] == 0.25
    assert scale["classifier.backbone.patch_embed.proj.weight"] == 0.125


def test_drop_path_and_faults(encoder: Encoder) -> None:
    assert method(encoder, drop_path=0.3).classifier.backbone.config.drop_path == 0.3
    with pytest.raises(ConfigError, match="label_smoothing"):
        Config(LabelLoss(smoothing=1.0))
    with pytest.raises(ConfigError, match="mixup"):
        Config(mixup=-0.1)


def test_the_head_starts_as_the_best_probe_on_the_untouched_encoder(encoder: Encoder, films: Path) -> None:
    manifest, names = Manifest.read(films), ("Mass", "Effusion")
    train, val = (labelled_films(manifest, split, names, LabelPolicy()) for split in ("train", "val"))
    tuned = method(encoder, Record(names, mode="finetune", fc_norm=True))
    before = tuned.classifier.backbone.patch_embed.proj.weight.clone()
    runner = Runner(device="cpu", quiet=True)
    auroc = start_at_probe(tuned, train, val, GridSettings(epochs=20), "linear", runner)
    assert auroc > 0.65
    assert tuned.training
    assert torch.equal(before, tuned.classifier.backbone.patch_embed.proj.weight)
    numbers = validation(val, runner)(tuned.eval(), 0)
    assert numbers[BEST] == pytest.approx(auroc, abs=1e-6)
