"""Released MaCo files to our keys: image encoder and decoder, and the towers that compare films with reports.

Layout: SZUHvern/MaCo at 7f64d95. The image side has MAE's names at the top level; `img_mlp` projects films, the pooled
vector of `bert_encoder.model.bert` speaks for reports, `pos_weight_img` weighs patch positions and `Tpar` multiplies
the cosines. Sizes are read from the tensors; heads are in no tensor: width // 64 where no one says otherwise. The
released source says 384 wide with 6 heads beside weights that must be 768 wide, so both 6 and 12 heads are possible
there: the one that grounds better is the right one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.pretrained.mae import Pretrained, sort_mae
from hilum.models.pretrained.mrm import text_config_of
from hilum.models.pretrained.tensors import read_tensors, stripped
from hilum.models.text import TextConfig
from hilum.models.towers import TowersConfig

_BERT: Final = "bert_encoder.model.bert."
_PROJECTION: Final = "img_mlp."
_POSITION: Final = "pos_weight_img."
_SCALE: Final = "Tpar"
_UNUSED: Final = {  # prefix of the file's keys -> why it is left behind
    "bert_encoder.model.cls.": "the language head takes no part in MaCo",
    "pos_weight_text.": "a layer that the released code never calls",
    "pos_cat.": "a layer that the released code never calls",
    "logit_scale": "a number that the released code never uses",
    "WCE.weight": "the class weights of the last batch, left over by the loss",
}


@dataclass(frozen=True)
class MacoFile:
    """What a MaCo file held, in our keys."""

    image: Pretrained  # encoder and decoder; its `dropped` lists what no part of MaCo is
    towers: dict[str, Tensor]  # keys of `Towers`
    text: TextConfig  # read from the tensors
    vocabulary: int
    scale: Tensor | None  # (1,) what multiplies the cosines, 1 / temperature
    dropped: tuple[tuple[str, str], ...]  # (key of the file, why it is not used)

    @property
    def config(self) -> TowersConfig:
        """The towers that the weights fit."""
        return TowersConfig(text=self.text, dim=self.text.width, position_weight=True, length=self.text.positions)

    def report(self) -> tuple[str, ...]:
        """What was used and what was dropped and why, one line each."""
        text = self.text
        lines = [
            f"report encoder: {text.depth} layers of width {text.width} with {text.heads} heads, "
            f"{self.vocabulary:,} word pieces; {len(self.towers)} tensors of the towers found"
        ]
        return (*self.image.report(), *lines, *(f"dropped {key}: {why}" for key, why in self.dropped))


def is_maco(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has MaCo's projection and its weights of positions."""
    keys = {stripped(key) for key in tensors}
    return {_PROJECTION + "weight", _POSITION + "weight"} <= keys


def read_maco(path: str | Path, *, heads: int | None = None, text_heads: int | None = None) -> MacoFile:
    """Read a MaCo file.

    Args:
        path: a .pth or .safetensors file.
        heads: attention heads of the image encoder; width // 64 where omitted.
        text_heads: attention heads of the report encoder; width // 64 where omitted.

    Raises:
        CheckpointError: unreadable, or a part of MaCo is missing.
    """
    return sort_maco(read_tensors(path), heads=heads, text_heads=text_heads, where=path)


def sort_maco(
    tensors: Mapping[str, Tensor], *, heads: int | None, text_heads: int | None, where: str | Path
) -> MacoFile:
    """The parts of MaCo among the tensors of a file; every tensor is placed or listed as dropped."""
    image: dict[str, Tensor] = {}
    towers: dict[str, Tensor] = {}
    scale: Tensor | None = None
    dropped: list[tuple[str, str]] = []
    for original, value in tensors.items():
        key = stripped(original)
        unused = next((why for prefix, why in _UNUSED.items() if key.startswith(prefix)), None)
        if unused is not None:
            dropped.append((original, unused))
        elif key == _BERT + "embeddings.position_ids":
            dropped.append((original, "the numbers 0, 1, 2, ..."))
        elif key.startswith(_BERT):
            towers["text.bert." + key.removeprefix(_BERT)] = value
        elif key.startswith(_PROJECTION):
            towers["image_head." + key.removeprefix(_PROJECTION)] = value
        elif key.startswith(_POSITION):
            towers["position." + key.removeprefix(_POSITION)] = value
        elif key == _SCALE:
            scale = value.reshape(1)
        else:
            image[original] = value
    for key, name in (("image_head.weight", _PROJECTION), ("position.weight", _POSITION)):
        if key not in towers:
            raise CheckpointError(f"is not a MaCo file: it has no {name}weight", where=where)
    bert = {key.removeprefix("text."): value for key, value in towers.items() if key.startswith("text.")}
    text = text_config_of(bert, text_heads, where=where)
    projected = towers["image_head.weight"].shape[0]
    if projected != text.width:
        what = f"projects films to {projected} and reads reports {text.width} wide"
        raise CheckpointError(what, where=where, fix="Nothing can be done: such a model cannot compare the two")
    return MacoFile(
        image=sort_mae(image, heads=heads, where=where),
        towers=towers,
        text=text,
        vocabulary=bert["bert.embeddings.word_embeddings.weight"].shape[0],
        scale=scale,
        dropped=tuple(dropped),
    )
