"""Released GLoRI heads to our keys.

Layout: RPIDIAL/CheXFound at a4bac49, an fvcore checkpoint whose `model` holds one head a learning rate under keys like
`classifiers_dict.linear:blocks=4:avgpool=False:lr=0_0001000000.decoder.*`, with the rate's point written as `_`. The
prefix is found by search. Sizes are read from the tensors; attention heads are in no tensor, and every released one has
8. The file that was released reads patch tokens alone, so its last layer is as wide as a query; with class tokens it is
wider by those, which come first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.pretrained.tensors import read_tensors

FINDINGS: Final = tuple(  # of the released file, in the order of its outputs
    """Adenopathy, Atelectasis, Azygos Lobe, Calcification of the Aorta, Cardiomegaly, Clavicle Fracture, Consolidation,
    Edema, Emphysema, Enlarged Cardiomediastinum, Fibrosis, Fissure, Fracture, Granuloma, Hernia, Hydropneumothorax,
    Infarction, Infiltration, Kyphosis, Lobar Atelectasis, Lung Lesion, Lung Opacity, Mass, Nodule, Normal,
    Pleural Effusion, Pleural Other, Pleural Thickening, Pneumomediastinum, Pneumonia, Pneumoperitoneum, Pneumothorax,
    Pulmonary Embolism, Pulmonary Hypertension, Rib Fracture, Rounded Atelectasis, Subcutaneous Emphysema,
    Support Devices, Tortuous Aorta, Tuberculosis""".replace("\n    ", " ").split(", ")
)
_LAST: Final = "duplicate_pooling"  # the vectors of the last layer: every GLoRI has them, nothing else does
_RATE: Final = re.compile(r"lr=(\d+_\d+)")
_BLOCKS: Final = re.compile(r"blocks=(\d+)")
_RENAMED: Final = {
    "embed_standart": "embed",
    "layers.0.norm1": "query_norm",
    "layers.0.norm2": "attended_norm",
    "layers.0.norm3": "output_norm",
    "layers.0.multihead_attn.out_proj": "attend.out",
    "layers.0.linear1": "expand",
    "layers.0.linear2": "contract",
}
_FIX: Final = "Give a GLoRI file of CheXFound's release"


@dataclass(frozen=True)
class GloriFile:
    """What a GLoRI file held, in the keys of our head."""

    weights: dict[str, Tensor]
    width: int  # channels of a tap: blocks times the encoder's width
    outputs: int  # findings
    dim: int  # channels of a query
    feedforward: int  # hidden units
    blocks: int  # of the encoder that the head reads
    class_token: Literal["none", "channels"]
    lr: float | None  # the rate it was trained at
    used: int  # tensors of the file
    dropped: tuple[tuple[str, str], ...]  # (key of the file, why it is not used)

    def report(self) -> tuple[str, ...]:
        """What was used and what was dropped and why, one line each."""
        with_class = "class and patch tokens" if self.class_token == "channels" else "patch tokens"
        rate = "" if self.lr is None else f", trained at {self.lr:g}"
        read = f"{with_class} of {self.blocks} blocks, {self.width} channels"
        line = f"GLoRI: {self.outputs} findings from {read}{rate}; {self.used} tensors used"
        return (line, *(f"dropped {key}: {why}" for key, why in self.dropped))


def read_glori(path: str | Path, *, lr: float | None = None) -> GloriFile:
    """Read one head out of a GLoRI file.

    Args:
        path: a .pth or .safetensors file.
        lr: which head, where the file has several.

    Raises:
        CheckpointError: no GLoRI in it, several and none chosen, or tensors that do not fit together.
    """
    tensors = read_tensors(path)
    prefix = _prefix(tensors, lr, path)
    named = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    try:
        last, queries = named[_LAST].squeeze(-1), named["query_embed.weight"]
        dim, width = named["embed_standart.weight"].shape
        feedforward = len(named["layers.0.linear1.weight"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"its GLoRI lacks a tensor ({error})", where=path, fix=_FIX) from error
    if last.ndim != 2 or last.shape[1] not in (dim, dim + width) or queries.shape != (len(last), dim):
        shapes = f"last layer {tuple(last.shape)}, queries {tuple(queries.shape)}, channels {width} to {dim}"
        raise CheckpointError(f"its GLoRI does not fit together: {shapes}", where=path, fix=_FIX)
    rate, blocks = _RATE.search(prefix), _BLOCKS.search(prefix)
    weights, unknown = _sorted(named, dim)
    others = {key: "another head or another part" for key in tensors if not key.startswith(prefix)}
    others |= {prefix + key: "not a part of GLoRI" for key in unknown}
    return GloriFile(
        weights=weights,
        width=width,
        outputs=len(last),
        dim=dim,
        feedforward=feedforward,
        blocks=int(blocks[1]) if blocks else 4,
        class_token="none" if last.shape[1] == dim else "channels",
        lr=float(rate[1].replace("_", ".")) if rate else None,
        used=len(named) - len(unknown),
        dropped=tuple(others.items()),
    )


def _prefix(tensors: Mapping[str, Tensor], lr: float | None, path: str | Path) -> str:
    """What the keys of the wanted head begin with."""
    found = {key.removesuffix(_LAST): _RATE.search(key) for key in tensors if key.endswith(_LAST)}
    if not found:
        raise CheckpointError("holds no GLoRI head", where=path, fix=_FIX)
    rates = {prefix: float(match[1].replace("_", ".")) for prefix, match in found.items() if match}
    if lr is not None:
        found = {prefix: found[prefix] for prefix, rate in rates.items() if abs(rate - lr) <= 1e-6 * lr}
    if len(found) != 1:
        held = ", ".join(f"{rate:g}" for rate in sorted(rates.values()))
        what = f"holds no head trained at {lr:g}" if lr is not None else f"holds {len(found)} heads"
        raise CheckpointError(what, where=path, fix=f"Choose one by its learning rate: {held or 'none is named'}")
    return next(iter(found))


def _sorted(named: Mapping[str, Tensor], dim: int) -> tuple[dict[str, Tensor], list[str]]:
    """Our keys, and the file's keys that have no place."""
    weights: dict[str, Tensor] = {}
    unknown = []
    for key, value in named.items():
        module, _, kind = key.rpartition(".")
        if key == _LAST:
            vectors = value.squeeze(-1)
            weights["classify.weight"] = vectors[:, -dim:]
            if vectors.shape[1] > dim:
                weights["classify_class.weight"] = vectors[:, :-dim]
        elif key == f"{_LAST}_bias":
            weights["classify.bias"] = value
        elif key == "query_embed.weight":
            weights["queries"] = value
        elif key.startswith("layers.0.multihead_attn.in_proj_"):
            for name, part in zip(("query", "key", "value"), value.chunk(3), strict=True):
                weights[f"attend.{name}.{key.rpartition('_')[2]}"] = part
        elif module in _RENAMED:
            weights[f"{_RENAMED[module]}.{kind}"] = value
        else:
            unknown.append(key)
    return weights, unknown
