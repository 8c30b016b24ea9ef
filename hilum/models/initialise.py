"""Where all weights of the transformers start: one function, one table.

| part | "xavier" (MAE) | "trunc_normal" (timm, DINOv2) |
|---|---|---|
| Linear, patch weights | uniform, +-sqrt(6 / (fan in + fan out)) | normal, sd 0.02, cut at +-2 |
| Linear, patch, query and value biases | 0 | 0 |
| LayerNorm weight, bias | 1, 0 | 1, 0 |
| LayerScale | its initial value | its initial value |
| class token, mask token | normal, sd 0.02 | normal, sd 1e-6 (mask token 0) |
| registers | normal, sd 1e-6 | normal, sd 1e-6 |
| learned position table | normal, sd 0.02, cut at +-2 | same |
| sine-cosine table | fixed (`positions.sincos_table`) | same |

The patch embedding counts as the (width, C p p) matrix that it is. Weights come from torch's global
generator, on the CPU, in the order of `named_modules`: seed it before.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from hilum.models.blocks import LayerScale

InitScheme = Literal["xavier", "trunc_normal"]


def initialise(module: nn.Module, scheme: InitScheme) -> None:
    """Set every parameter of `module` by the table of this file (sine-cosine tables are left alone)."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            matrix = part.weight.data.flatten(1)  # a view: the convolution becomes the matrix it is
            if scheme == "xavier":
                nn.init.xavier_uniform_(matrix)
            else:
                nn.init.trunc_normal_(matrix, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
        elif isinstance(part, LayerScale):
            nn.init.constant_(part.gamma, part.initial)
    small = 0.02 if scheme == "xavier" else 1e-6
    for name, parameter in module.named_parameters():
        last = name.rsplit(".", 1)[-1]
        if last == "cls_token":
            nn.init.normal_(parameter, std=small)
        elif last in ("q_bias", "v_bias"):
            nn.init.zeros_(parameter)
        elif last == "mask_token":
            nn.init.normal_(parameter, std=0.02 if scheme == "xavier" else 0.0)
        elif last == "reg_token":
            nn.init.normal_(parameter, std=1e-6)
        elif last == "pos_embed" and parameter.requires_grad:
            nn.init.trunc_normal_(parameter, std=0.02)
