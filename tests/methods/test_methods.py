"""What every method must do, for each line of the table."""

from __future__ import annotations

import importlib
import json
from dataclasses import is_dataclass
from typing import Any

import numpy as np
import pytest
import torch

from hilum.config import override, to_json
from hilum.methods import METHODS, build, reads_reports
from hilum.methods.dinov2 import HeadConfig
from hilum.methods.method import Method, Output, ReportViews, Views
from hilum.models.text import TextConfig
from hilum.schema import HAS_REPORT, IMAGE, REPORT_GROUP, Preprocessing
from hilum.transforms.crops import GLOBAL_CROPS
from hilum.transforms.text import WordPiece

SEEING: dict[str, Any] = {"model": "vit_tiny_patch16", "image_size": 32, "vit": {"depth": 1, "patch_size": 8}}
DRAWING: dict[str, Any] = {"decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2}
READING: dict[str, Any] = {"text": TextConfig(width=16, depth=1, heads=2, hidden=32, positions=24), "length": 24}
# a configuration of each method that a test can afford
SMALL = {
    "mae": {**SEEING, **DRAWING},
    "mrm": {**SEEING, **DRAWING, **READING},
    "maco": {**SEEING, **DRAWING, **READING},
    "medim": {
        **SEEING,
        **READING,
        "vit": {"depth": 1},
        "decoder": (8, 8, 8, 8),
        "dim": 8,
        "hidden": 16,
        "prototypes": 4,
    },
    "dinov2": {
        **SEEING,
        "vit": {"depth": 1, "patch_size": 8, "layer_scale": None},
        "local_size": 16,
        "dino_head": HeadConfig(24, 16, 8),
        "ibot_head": HeadConfig(24, 16, 8),
        "teacher_temperature": (0.01, 0.01),
    },
}
LOWERED = {"dinov2": 0.95}  # a teacher that is half uncertain sets a floor: its own entropy
REPORTS = (
    "FINDINGS: There is a small left effusion. The heart is large. IMPRESSION: 1. Left effusion. 2. Cardiomegaly.",
    "No pneumothorax. The lungs are clear and the heart is normal in size.",
    "A large mass in the right upper lobe. No effusion is seen on either side.",
    "Bibasilar atelectasis with a tube in place. No acute fracture of the ribs.",
)


def _build(name: str) -> Any:
    module = importlib.import_module(METHODS[name].split(":")[0])
    torch.manual_seed(0)
    tokenizer = WordPiece.train(REPORTS, vocab_size=120) if reads_reports(name) else None
    method = build(name, module.Config(**SMALL[name]), tokenizer)
    assert isinstance(method, Method)
    return method


def _batch(method: Any, films: list[np.ndarray]) -> dict[str, torch.Tensor]:
    views, reads = method.views(), getattr(method, "reads_reports", False)
    assert isinstance(views, ReportViews if reads else Views)
    texts = [(text,) if reads else () for text in REPORTS]
    samples = [
        views(film, np.random.default_rng(seed), *text)
        for seed, (film, text) in enumerate(zip(films, texts, strict=False))
    ]
    batch = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
    told = {HAS_REPORT: torch.ones(len(films), dtype=torch.bool), REPORT_GROUP: torch.arange(len(films))}
    return {**batch, **told} if reads else batch


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_contract(name: str) -> None:
    method = _build(name)
    assert is_dataclass(method.config)
    assert type(method.config).__dataclass_params__.frozen
    films = np.random.default_rng(0).integers(0, 256, (4, 48, 40), dtype=np.uint8)
    batch = _batch(method, list(films))
    assert IMAGE in batch or GLOBAL_CROPS in batch
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
    back = json.loads(json.dumps(to_json(config)))
    assert override(type(config)(), back, where="config.json") == config


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_few_steps_on_one_batch_lower_the_loss(name: str) -> None:
    method = _build(name)
    ramp = np.tile(np.linspace(0, 255, 48).astype(np.uint8), (48, 1))
    batch = _batch(method, [ramp, ramp.T, ramp[::-1], ramp.T[:, ::-1]])
    optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for step in range(20):
        loss = method(batch, step / 20).loss
        loss.backward()
        method.before_step(step / 20)
        optimizer.step()
        optimizer.zero_grad()
        method.after_step(step / 20)
        losses.append(loss.item())
    assert losses[-1] < LOWERED.get(name, 0.8) * losses[0]
