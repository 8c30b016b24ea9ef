"""Released MRM files to our keys: image encoder and decoder, bridge, report decoder and its language head.

Layout: RL4M/MRM-pytorch at 3730ba4. The image side has MAE's names at the top level; `bert_mlp` is the bridge from
image to text, `bert_encoder.model.bert` the report decoder, `bert_encoder.model.cls.predictions` the language head.
The output matrix may equal the word vectors (tied) or not, depending on the transformers version that wrote the file.
Sizes are read from the tensors; heads are in no tensor: width // 64 where no one says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.pretrained.mae import Pretrained, sort_mae
from hilum.models.pretrained.tensors import read_tensors, stripped
from hilum.models.text import TextConfig

_BRIDGE: Final = "bert_mlp."
_BERT: Final = "bert_encoder.model.bert."
_HEAD: Final = "bert_encoder.model.cls.predictions."
_HEAD_KEYS: Final = {  # key of the file -> key of `MaskedLanguageHead`
    "transform.dense.weight": "dense.weight",
    "transform.dense.bias": "dense.bias",
    "transform.LayerNorm.weight": "norm.weight",
    "transform.LayerNorm.bias": "norm.bias",
    "decoder.weight": "decoder.weight",
    "bias": "bias",
}
_WORDS: Final = "bert.embeddings.word_embeddings.weight"


@dataclass(frozen=True)
class MrmFile:
    """What an MRM file held, in our keys."""

    image: Pretrained  # encoder and image decoder; its `dropped` lists what no part of MRM is
    bridge: dict[str, Tensor]  # weight (text width, image width), bias
    report: dict[str, Tensor]  # keys of `ReportEncoder`
    head: dict[str, Tensor]  # keys of `MaskedLanguageHead`; `decoder.weight` also where it is tied
    text: TextConfig  # read from the tensors
    vocabulary: int
    tied: bool  # the output matrix equals the word vectors
    dropped: tuple[tuple[str, str], ...]  # (key of the file, why it is not used)

    def head_for(self, *, tied: bool) -> dict[str, Tensor]:
        """The language head's weights for a model that ties its output matrix or does not."""
        return {key: value for key, value in self.head.items() if not (tied and key == "decoder.weight")}


def is_mrm(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has MRM's report decoder."""
    return any(stripped(key).startswith(_HEAD) for key in tensors) and any(
        stripped(key).startswith(_BRIDGE) for key in tensors
    )


def read_mrm(path: str | Path, *, heads: int | None = None, text_heads: int | None = None) -> MrmFile:
    """Read an MRM file.

    Args:
        path: a .pth or .safetensors file.
        heads: attention heads of the image encoder; width // 64 where omitted.
        text_heads: attention heads of the report decoder; width // 64 where omitted.

    Raises:
        CheckpointError: unreadable, or a part of MRM is missing.
    """
    return sort_mrm(read_tensors(path), heads=heads, text_heads=text_heads, where=path)


def sort_mrm(tensors: Mapping[str, Tensor], *, heads: int | None, text_heads: int | None, where: str | Path) -> MrmFile:
    """The parts of MRM among the tensors of a file; every tensor is placed or listed as dropped."""
    image: dict[str, Tensor] = {}
    bridge: dict[str, Tensor] = {}
    report: dict[str, Tensor] = {}
    head: dict[str, Tensor] = {}
    dropped: list[tuple[str, str]] = []
    for original, value in tensors.items():
        key = stripped(original)
        if key.startswith(_BRIDGE):
            bridge[key.removeprefix(_BRIDGE)] = value
        elif key.startswith(_BERT):
            part = key.removeprefix(_BERT)
            if part.startswith("pooler."):
                dropped.append((original, "the pooled vector takes no part in MRM"))
            elif part.endswith("position_ids"):
                dropped.append((original, "the numbers 0, 1, 2, ..."))
            else:
                report["bert." + part] = value
        elif key.startswith(_HEAD):
            part = key.removeprefix(_HEAD)
            if part in _HEAD_KEYS:
                head[_HEAD_KEYS[part]] = value
            elif part == "decoder.bias":
                dropped.append((original, "the same bias under a second name"))
            else:
                dropped.append((original, "no part of a language head"))
        else:
            image[original] = value
    _check(tensors, report, bridge, head, where)
    words = report[_WORDS]
    return MrmFile(
        image=sort_mae(image, heads=heads, where=where),
        bridge=bridge,
        report=report,
        head=head,
        text=text_config_of(report, text_heads, where=where),
        vocabulary=words.shape[0],
        tied=torch.equal(words, head["decoder.weight"]),
        dropped=tuple(dropped),
    )


def text_config_of(report: Mapping[str, Tensor], heads: int | None, *, where: str | Path) -> TextConfig:
    """The sizes that a report encoder's tensors (keys `bert....`) spell out; dropout 0.

    Raises:
        CheckpointError: a tensor that tells a size is missing, or the heads do not divide the width.
    """
    table = "bert.embeddings.position_embeddings.weight"
    hidden = "bert.encoder.layer.0.intermediate.dense.weight"
    types = "bert.embeddings.token_type_embeddings.weight"
    for key in (_WORDS, table, hidden, types):
        if key not in report or report[key].ndim != 2:
            raise CheckpointError(f"has no {key} of two axes: no report encoder can be built", where=where)
    width = report[_WORDS].shape[1]
    chosen = heads if heads is not None else max(1, width // 64)
    if chosen < 1 or width % chosen:
        what = f"its text width {width} does not divide into {chosen} heads"
        raise CheckpointError(what, where=where, fix="Give the right number of text heads")
    return TextConfig(
        width=width,
        depth=len({key.split(".")[3] for key in report if key.startswith("bert.encoder.layer.")}),
        heads=chosen,
        hidden=report[hidden].shape[0],
        positions=report[table].shape[0],
        token_types=report[types].shape[0],
    )


def _check(
    tensors: Mapping[str, Tensor],
    report: Mapping[str, Tensor],
    bridge: Mapping[str, Tensor],
    head: Mapping[str, Tensor],
    where: str | Path,
) -> None:
    """Refuse a file without a part of MRM, or with two biases that disagree."""
    wanted = ((report, _WORDS, _BERT), (bridge, "weight", _BRIDGE), (head, "decoder.weight", _HEAD))
    for part, key, prefix in wanted:
        if key not in part:
            raise CheckpointError(f"is not an MRM file: nothing under {prefix} gives {key}", where=where)
    second = next((value for key, value in tensors.items() if stripped(key) == _HEAD + "decoder.bias"), None)
    if second is not None and "bias" in head and not torch.equal(second, head["bias"]):
        raise CheckpointError("its language head has two biases that differ", where=where)
