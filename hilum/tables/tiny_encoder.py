"""A tiny untrained encoder with a text tower, so that every task of every table can be run to its end in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd
import torch

from hilum.encoder import Encoder
from hilum.models.text import TextConfig
from hilum.models.towers import Towers, TowersConfig
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.schema import Preprocessing
from hilum.transforms.text import WordPiece

VIT: Final = ViTConfig(image_size=64, patch_size=16, channels=1, width=48, depth=4, heads=2)
TOWERS: Final = TowersConfig(
    text=TextConfig(width=32, depth=1, heads=2, hidden=64, positions=40), dim=32, position_weight=True, length=40
)
VOCABULARY: Final = 300


def tiny_encoder(out: Path, films: Path) -> Path:
    """Write the encoder, weights drawn from seed 0; left alone where it is.

    Args:
        out: its folder.
        films: a phantom with reports, whose words its tokenizer knows.
    """
    if out.is_dir():
        return out
    words = WordPiece.train(list(pd.read_parquet(films / "manifest.parquet")["report"]), vocab_size=VOCABULARY)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        towers = Towers(TOWERS, VIT.width, (VIT.image_size // VIT.patch_size) ** 2, len(words), pad_id=words.pad_id)
        model = VisionTransformer(VIT)
    grey = Preprocessing(size=VIT.image_size, channels=1, mean=(0.5,), std=(0.25,))
    return Encoder(model, grey, {"method": "none"}, towers=towers, tokenizer=words).save(out)
