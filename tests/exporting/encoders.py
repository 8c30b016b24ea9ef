"""Small encoders with random weights in every tensor, for the tests of exports."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hilum.encoder import Encoder, Pool
from hilum.models.text import TextConfig
from hilum.models.towers import Towers, TowersConfig
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.schema import Preprocessing
from hilum.transforms.text import WordPiece

ORIGIN = {"method": "mae", "films": 751, "patients": 422, "sources": "phantom", "seed": 0}
PIXELS = Preprocessing(size=32, eight_bit=True)


def vit_encoder(pool: Pool = "cls", pixels: Preprocessing = PIXELS, **sizes: Any) -> Encoder:
    plain = {"image_size": 32, "patch_size": 8, "width": 16, "depth": 2, "heads": 2}
    model = VisionTransformer(ViTConfig(**{**plain, **sizes}))
    shake(model)
    return Encoder(model, pixels, ORIGIN, pool=pool)


def reading_encoder() -> Encoder:
    """One with a report encoder in the same space."""
    words = WordPiece.train(["no effusion", "a mass in the left lung"] * 3, vocab_size=60)
    text = TextConfig(width=16, depth=1, heads=2, hidden=16, positions=20)
    plain = vit_encoder()
    sizes = TowersConfig(text=text, dim=16, length=12)
    towers = Towers(sizes, plain.width, plain.model.config.patches, len(words), pad_id=words.pad_id)
    return Encoder(plain.model, PIXELS, ORIGIN, towers=towers, tokenizer=words)


def shake(model: torch.nn.Module, scale: float = 0.2) -> None:
    """No weight stays where it was initialised: a tensor that is not carried over shows."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += scale * torch.randn_like(weight)


def film(height: int = 50, width: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)


def batch(count: int = 2, height: int = 32, width: int = 32, channels: int = 3) -> torch.Tensor:
    return torch.randn(count, channels, height, width, generator=torch.Generator().manual_seed(1))
