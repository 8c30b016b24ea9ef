"""Our own record in a folder that Hilum exported: what another format could not say comes back as it was.

`hilum export` writes the encoder's description under the key `hilum` of config.json. It counts only while the weights
still are what it describes: tensors that the format demanded and the encoder does not have must still change nothing
(LayerScale of ones, a mask token of zeros). Whoever trained on in the other library has another encoder, which is read
like anyone's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hilum.encoder import EXPORTED, Pool
from hilum.errors import ConfigError
from hilum.models.backbone import architecture_from_json
from hilum.models.fill import fits
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.released.source import Source
from hilum.schema import Preprocessing


@dataclass(frozen=True)
class OwnRecord:
    """An exported encoder as it was."""

    sizes: ViTConfig
    weights: Mapping[str, Tensor]
    preprocessing: Preprocessing
    pool: Pool


def own_record(source: Source, weights: Mapping[str, Tensor]) -> OwnRecord | None:
    """The encoder that a folder's record describes; None where there is no record, or none of these weights.

    Args:
        source: the folder.
        weights: of it, under our names.
    """
    record = source.config.get(EXPORTED)
    if not isinstance(record, dict):
        return None
    try:
        sizes = architecture_from_json(record["architecture"], where=str(source.path))
        pixels, pool = Preprocessing.from_json(record["preprocessing"]), record["pool"]
    except (ConfigError, KeyError, TypeError, ValueError):
        return None
    if not isinstance(sizes, ViTConfig) or pool not in ("cls", "mean", "cls+mean"):
        return None
    sizes = replace(sizes, mask_token=sizes.mask_token and "mask_token" in weights)  # timm has no place for it
    with torch.device("meta"):
        model = VisionTransformer(sizes)
    names = model.state_dict().keys()
    kept = {key: value for key, value in weights.items() if key in names}
    beside = {key: value for key, value in weights.items() if key not in names}
    if not fits(model, kept) or not all(_is_nothing(key, value) for key, value in beside.items()):
        return None
    return OwnRecord(sizes, kept, pixels, pool)


def _is_nothing(key: str, value: Tensor) -> bool:
    """Whether a tensor that the encoder does not have changes nothing in it."""
    if key.endswith((".ls1.gamma", ".ls2.gamma")):
        return bool((value == 1).all())
    return key == "mask_token" and not bool(value.any())
