"""The pixels each public encoder was trained on: one record a name."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hilum.errors import CheckpointError
from hilum.schema import Preprocessing

_GREY: Final = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
PIXELS: Final = {
    "mae": Preprocessing(),
    "mrm": Preprocessing(mean=(0.4978,) * 3, std=(0.2449,) * 3),
    "maco": Preprocessing(mean=(0.4978,) * 3, std=(0.2449,) * 3, resize="pad"),
    "mgca": Preprocessing(**_GREY, resize="pad"),
    "chexfound": Preprocessing(size=512, resize="shortest", rescale="minmax"),
    "dinov2": Preprocessing(resize="shortest"),
}


def record(name: str, *, size: int | None = None, channels: int = 3) -> Preprocessing:
    """The record of a public encoder, for an input of another size or one channel where asked."""
    if channels not in (1, 3):
        raise CheckpointError(f"takes {channels} input channels", where=name, fix="Give an encoder of 1 or 3 channels")
    known = PIXELS[name]
    mean, std = (known.mean, known.std) if channels == 3 else (known.mean[:1], known.std[:1])
    if name in ("mae", "dinov2", "chexfound") and channels == 1:
        mean, std = (0.5,), (0.25,)  # half of the range: ImageNet's colours say nothing of grey
    return replace(known, size=size or known.size, channels=channels, mean=mean, std=std)
