"""A released GLoRI file as a head of ours."""

from __future__ import annotations

from pathlib import Path

from hilum.heads.glori import GLoRIConfig, GLoRIHead
from hilum.models.fill import fill
from hilum.models.pretrained.glori import GloriFile, read_glori


def load_glori(path: str | Path, *, lr: float | None = None, heads: int = 8) -> tuple[GLoRIHead, GloriFile]:
    """Build the head that a released file holds and fill it.

    Args:
        path: the file.
        lr: which head, where the file has several.
        heads: of attention, which no tensor tells; 8 in every released one.

    Returns:
        The head in evaluation mode, and what the file held; its `report()` says what was used.

    Raises:
        CheckpointError: no GLoRI in it, or one whose tensors do not all fit.
    """
    file = read_glori(path, lr=lr)
    variant = GLoRIHead.VARIANTS["released"]
    sizes = {"dim": file.dim, "heads": heads, "feedforward": file.feedforward, "blocks": file.blocks}
    head = GLoRIHead(file.width, file.outputs, GLoRIConfig(**{**variant, **sizes, "class_token": file.class_token}))
    fill(head, file.weights, where=path)
    return head.eval(), file
