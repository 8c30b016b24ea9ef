"""Files in OpenAI's names, of any size, for tests of CLIP and its kin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sizes:
    """Of both sides; the defaults are tiny, and heads follow OpenAI's rule of 64 features each."""

    joint: int = 32
    width: int = 64
    depth: int = 2
    patch: int = 16
    image_size: int = 64
    text_width: int = 64
    text_depth: int = 2
    positions: int = 24
    vocabulary: int = 532
    device: str = "cpu"


VIT_B_32 = Sizes(512, 768, 12, 32, 224, 512, 12, 77, 49_408, "meta")  # CLIP, CheXzero, PubMedCLIP


def _block(prefix: str, width: int, make: Any) -> dict[str, Tensor]:
    return {
        f"{prefix}attn.in_proj_weight": make(3 * width, width),
        f"{prefix}attn.in_proj_bias": make(3 * width),
        f"{prefix}attn.out_proj.weight": make(width, width),
        f"{prefix}attn.out_proj.bias": make(width),
        f"{prefix}ln_1.weight": make(width) + 1,
        f"{prefix}ln_1.bias": make(width),
        f"{prefix}mlp.c_fc.weight": make(4 * width, width),
        f"{prefix}mlp.c_fc.bias": make(4 * width),
        f"{prefix}mlp.c_proj.weight": make(width, 4 * width),
        f"{prefix}mlp.c_proj.bias": make(width),
        f"{prefix}ln_2.weight": make(width) + 1,
        f"{prefix}ln_2.bias": make(width),
    }


def openai_file(sizes: Sizes | None = None, seed: int = 0) -> dict[str, Tensor]:
    """A bare state dict of CLIP's ViT, random weights."""
    s = sizes or Sizes()
    generator = None if s.device == "meta" else torch.Generator().manual_seed(seed)

    def make(*shape: int) -> Tensor:
        return 0.2 * torch.randn(shape, device=s.device, generator=generator)

    file = {
        "positional_embedding": make(s.positions, s.text_width),
        "text_projection": make(s.text_width, s.joint),
        "logit_scale": make() + 4.6052,
        "visual.class_embedding": make(s.width),
        "visual.positional_embedding": make((s.image_size // s.patch) ** 2 + 1, s.width),
        "visual.proj": make(s.width, s.joint),
        "visual.conv1.weight": make(s.width, 3, s.patch, s.patch),
        "token_embedding.weight": make(s.vocabulary, s.text_width),
    }
    for name, width in (("visual.ln_pre", s.width), ("visual.ln_post", s.width), ("ln_final", s.text_width)):
        file |= {f"{name}.weight": make(width) + 1, f"{name}.bias": make(width)}
    for number in range(s.depth):
        file |= _block(f"visual.transformer.resblocks.{number}.", s.width, make)
    for number in range(s.text_depth):
        file |= _block(f"transformer.resblocks.{number}.", s.text_width, make)
    return file
