"""Files of MGCA and MedIM to our keys, and the supervised ResNet that MGCA may start from.

Layout of the Lightning files: HKU-MedAI/MGCA at 680fe4a, YtongXie/MedIM at 825599e. The image encoder is under
`img_encoder_q.model.` with timm's or torchvision's names, its projections under `img_encoder_q.{global,local}_embed.
head.N.`; the text side under `text_encoder_q.` alike; prototypes under `prototype_layer.`, the decoder under
`img_decoder_q.model.`. Local projections are convolutions of width 1, ours are linear. MedIM never released weights.
MGCA's own ConVIRT has the same parts without the `_q`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.pretrained.tensors import read_tensors, stripped

_QUERY: Final = "_q"  # what MGCA and MedIM put behind the names of their encoders
_DECODER: Final = "img_decoder_q.model."
_PROTOTYPES: Final = "prototype_layer.weight"
_HEADS: Final = {  # place in the file -> projection of `Towers`
    "img_encoder{}.global_embed.head.": "image_head",
    "img_encoder{}.local_embed.head.": "image_local_head",
    "text_encoder{}.global_embed.head.": "text_head",
    "text_encoder{}.local_embed.head.": "text_local_head",
}
_RESNET: Final = re.compile(r"(conv1|bn1|layer[1-4]\.\d+)\.")
COUNTER: Final = "num_batches_tracked"


@dataclass(frozen=True)
class MgcaFile:
    """What a file of MGCA or MedIM held, in our keys."""

    image: dict[str, Tensor]  # keys of `VisionTransformer` or `ResNet`
    heads: dict[str, dict[str, Tensor]]  # projection of `Towers` -> its keys
    text: dict[str, Tensor]  # keys of `ReportEncoder`
    decoder: dict[str, Tensor]  # keys of `RestorationDecoder`
    prototypes: Tensor | None  # (K, E)
    dropped: tuple[tuple[str, str], ...]  # (key of the file, why it is not used)


def is_mgca(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has the image encoder of MGCA or MedIM."""
    return any(key.startswith(f"img_encoder{_QUERY}.model.") for key in tensors)


def read_mgca(path: str | Path) -> MgcaFile:
    """Read a file of MGCA or MedIM.

    Raises:
        CheckpointError: unreadable, or without their image encoder.
    """
    return sort_mgca(read_tensors(path), where=path)


def sort_mgca(tensors: Mapping[str, Tensor], *, where: str | Path, suffix: str = _QUERY) -> MgcaFile:
    """The parts of MGCA or MedIM among the tensors of a file; every tensor is placed or listed as dropped.

    Args:
        tensors: names of the file.
        where: the file, for messages.
        suffix: what stands behind the names of the encoders: nothing in MGCA's ConVIRT.

    Raises:
        CheckpointError: nothing is where the image encoder should be.
    """
    of_image, of_text = f"img_encoder{suffix}.model.", f"text_encoder{suffix}.model."
    heads_at = {prefix.format(suffix): name for prefix, name in _HEADS.items()}
    if not any(key.startswith(of_image) for key in tensors):
        raise CheckpointError(f"is not a file of MGCA or MedIM: nothing is under {of_image[:-1]}", where=where)
    image: dict[str, Tensor] = {}
    text: dict[str, Tensor] = {}
    decoder: dict[str, Tensor] = {}
    heads: dict[str, dict[str, Tensor]] = {}
    dropped: list[tuple[str, str]] = []
    for key, value in tensors.items():
        head = next((prefix for prefix in heads_at if key.startswith(prefix)), None)
        if key.endswith(COUNTER):
            dropped.append((key, "a counter that a fixed momentum does not read"))
        elif "crossattention" in key:
            dropped.append((key, "cross-attention that no forward pass uses"))
        elif key.endswith("position_ids"):
            dropped.append((key, "the numbers 0, 1, 2, ..."))
        elif head is not None:
            # a convolution of width 1 is a linear layer
            flat = value.flatten(1) if value.ndim == 3 else value
            heads.setdefault(heads_at[head], {})[key.removeprefix(head)] = flat
        elif key.startswith(of_image):
            image[key.removeprefix(of_image)] = value
        elif key.startswith(of_text):
            text["bert." + key.removeprefix(of_text)] = value
        elif key.startswith(_DECODER):
            decoder[key.removeprefix(_DECODER)] = value
        elif key != _PROTOTYPES:
            dropped.append((key, "no part of image encoder, text encoder, projections, decoder or prototypes"))
    return MgcaFile(image, heads, text, decoder, tensors.get(_PROTOTYPES), tuple(dropped))


def sort_resnet(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The ResNet among the tensors of a file (torchvision's names), and a line on each that is no part of it."""
    kept: dict[str, Tensor] = {}
    notes = []
    for original, value in tensors.items():
        key = stripped(original)
        if _RESNET.match(key) and not key.endswith(COUNTER):
            kept[key] = value
        elif not key.endswith(COUNTER):
            notes.append(f"dropped {original}: no part of a ResNet")
    return kept, [f"encoder: a ResNet, {len(kept)} tensors used", *notes]
