"""Heads: small networks on an encoder's features. Each is one file and one line in the table below.

A head is an `nn.Module` built as `Head(width, outputs, Config())` that turns standardised or raw features
(..., width) into logits (..., outputs); `grid.py` and `evaluate/finetune.py` train any of them.
"""

from __future__ import annotations

from typing import Final

HEADS: Final = {
    "linear": "hilum.heads.linear:LinearHead",
    "mlp": "hilum.heads.mlp:MLPHead",
}
