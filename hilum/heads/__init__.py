"""Heads: small networks on an encoder's features. Each is one file and one line in the table below.

A head is an `nn.Module` built as `Head(width, outputs, Config())`. What it reads is its `reads`: "pooled" features
(..., width) -> logits (..., outputs), or the "taps" of an encoder's last blocks (`taps.py`) -> logits (B, outputs).
`grid.py` trains any of them, `evaluation/finetune.py` those on pooled features. A head may name `VARIANTS`, options
that go together, and `LRS`, the learning rates it is tried at.
"""

from __future__ import annotations

from typing import Final

HEADS: Final = {
    "linear": "hilum.heads.linear:LinearHead",
    "mlp": "hilum.heads.mlp:MLPHead",
    "glori": "hilum.heads.glori:GLoRIHead",
    "chexfound-probe": "hilum.heads.chexfound_probe:CheXFoundProbe",
}
