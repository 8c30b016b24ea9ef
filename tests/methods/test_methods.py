"""What every method must do, for each line of the table."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass

import numpy as np
import pytest
import torch

from hilum.lookup import lookup
from hilum.methods import METHODS
from hilum.methods.method import Method, Output, Views
from hilum.schema import IMAGE, Preprocessing

# a configuration of each method that a test can afford
SMALL = {
    "mae": {
        "model": "vit_tiny_patch16",
        "image_size": 32,
        "vit": {"depth": 1, "patch_size": 8},
        "decoder_width": 16,
        "decoder_depth": 1,
        "decoder_heads": 2,
    }
}


def _build(name: str) -> Method:
    import importlib

    module = importlib.import_module(METHODS[name].split(":")[0])
    torch.manual_seed(0)
    method = lookup(METHODS, name, kind="method")(module.Config(**SMALL[name]))
    assert isinstance(method, Method)
    return method


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_contract(name: str) -> None:
    method = _build(name)
    assert is_dataclass(method.config)
    assert type(method.config).__dataclass_params__.frozen
    views = method.views()
    assert isinstance(views, Views)
    films = np.random.default_rng(0).integers(0, 256, (2, 48, 40), dtype=np.uint8)
    samples = [views(film, np.random.default_rng(seed)) for seed, film in enumerate(films)]
    batch = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
    assert IMAGE in batch
    output = method(batch, 0.0)
    assert isinstance(output, Output)
    assert output.loss.ndim == 0
    assert all(not value.requires_grad for value in output.scalars.values())
    output.loss.backward()
    for key, parameter in method.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{key} takes no part in the loss"
            assert torch.isfinite(parameter.grad).all(), key
    method.before_step(0.5)
    method.after_step(0.5)
    assert isinstance(method.preprocessing, Preprocessing)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_configuration_travels_as_json(name: str) -> None:
    config = _build(name).config
    back = json.loads(json.dumps(asdict(config)))
    restored = type(config)(**{key: tuple(value) if isinstance(value, list) else value for key, value in back.items()})
    assert restored == config


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_few_steps_on_one_batch_lower_the_loss(name: str) -> None:
    method = _build(name)
    views = method.views()
    film = np.tile(np.linspace(0, 255, 48).astype(np.uint8), (48, 1))
    samples = [views(film, np.random.default_rng(seed)) for seed in range(4)]
    batch = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
    optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for step in range(12):
        loss = method(batch, step / 12).loss
        loss.backward()
        method.before_step(step / 12)
        optimizer.step()
        optimizer.zero_grad()
        method.after_step(step / 12)
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
