"""BiomedCLIP, and any open_clip encoder of a timm Vision Transformer and a Hugging Face BERT.

Paper: https://arxiv.org/abs/2303.00915; a folder with open_clip_config.json and open_clip_pytorch_model.bin, as
microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224 is laid out. Films: the class token after the final norm, one
matrix to 512 features. Reports: PubMedBERT's position 0, matrix, GELU, matrix; 256 word pieces. The tokenizer lies in
the folder, or is that of the BERT that the configuration names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.pretrained.mrm import text_config_of
from hilum.models.projections import HeadKind
from hilum.models.towers import TextPool, TowersConfig
from hilum.released.asked import Asked
from hilum.released.found import Found, Joint
from hilum.released.layouts import Layout
from hilum.released.layouts.clip_sizes import multiplier
from hilum.released.layouts.vit_sizes import Told, fold_positions, heads_note, vit_config
from hilum.released.ledger import Ledger
from hilum.released.pixels import from_open_clip, record
from hilum.released.source import Source
from hilum.schema import Preprocessing

_TRUNK: Final = "visual.trunk."
_BERT: Final = "text.transformer."
_LENGTH: Final = 256  # word pieces that BiomedCLIP reads
_POOLS: Final[Mapping[str, TextPool]] = {"cls_last_hidden_state_pooler": "first", "cls_pooler": "pooler"}
_ENDS: Final = r"(visual|text)\."  # what must not be left over


def recognise(source: Source) -> bool:
    """Whether there are a timm Vision Transformer and a BERT under open_clip's names."""
    wanted = (f"{_TRUNK}patch_embed.proj.weight", f"{_BERT}embeddings.word_embeddings.weight")
    return all(name in source.tensors for name in wanted)


def read(source: Source, asked: Asked) -> Found:
    """Both sides.

    Raises:
        CheckpointError: pooled in a way that is not read here, or tensors without a place.
    """
    ledger = Ledger(source.tensors, source.path)
    model = source.config.get("model_cfg") or {}
    pool = model["vision_cfg"].get("timm_pool", "avg") if model.get("vision_cfg") else ""  # open_clip's own default
    if pool not in ("", "token"):
        raise CheckpointError(f"its films are pooled by {pool!r}, which is not read here", where=source.path)
    image = fold_positions(ledger.take_under(_TRUNK), where=source.path)
    told = Told(norm_eps=1e-6)
    sizes = vit_config(image, told, asked, where=source.path)
    joint = _joint(ledger, model.get("text_cfg") or {}, asked)
    return Found(
        sizes,
        image,
        _pixels(source, sizes.image_size),
        ledger.close(_ENDS),
        notes=heads_note(told, asked, sizes),
        joint=joint,
    )


def _joint(ledger: Ledger, said: Mapping[str, Any], asked: Asked) -> Joint:
    """The report encoder and both projections."""
    named = said.get("hf_pooler_type", "mean_pooler") if said else "cls_last_hidden_state_pooler"
    if named not in _POOLS:
        raise CheckpointError(f"its reports are pooled by {named!r}, which is not read here", where=ledger.where)
    pool = _POOLS[named]
    ledger.drop(rf"{re.escape(_BERT)}embeddings\.position_ids$", "the numbers 0, 1, 2, ...")
    if pool != "pooler":
        ledger.drop(rf"{re.escape(_BERT)}pooler\.", "a layer that the pooling by position 0 does not use")
    bert = {f"bert.{name}": value for name, value in ledger.take_under(_BERT).items()}
    text = text_config_of(bert, asked.text_heads, where=ledger.where)
    weights = {f"text.{name}": value for name, value in bert.items()}
    image_kind, dim = _image_head(ledger, weights)
    text_kind, hidden = _text_head(ledger, weights)
    scale = ledger.take("logit_scale") if ledger.has("logit_scale") else None
    config = TowersConfig(
        text=text,
        dim=dim,
        hidden=hidden,
        image_head=image_kind,
        text_head=text_kind,
        image_pool="cls",
        text_pool=pool,
        preparation="biomedclip",
        length=min(int(said.get("context_length", _LENGTH)), text.positions),
        logit_scale=multiplier(scale),
    )
    return Joint(config, weights, bert["bert.embeddings.word_embeddings.weight"].shape[0])


def _image_head(ledger: Ledger, weights: dict[str, Tensor]) -> tuple[HeadKind, int]:
    """Take the projection of films: its kind, and the width of the joint space."""
    found = ledger.take_under("visual.head.proj.")
    if "weight" not in found:
        raise CheckpointError("has no projection of films (visual.head.proj)", where=ledger.where)
    weights.update({f"image_head.{name}": value for name, value in found.items()})
    return "linear" if "bias" in found else "matrix", found["weight"].shape[0]


def _text_head(ledger: Ledger, weights: dict[str, Tensor]) -> tuple[HeadKind, int]:
    """Take the projection of reports: its kind, and the width inside it (0 where there is none)."""
    found = ledger.take_under("text.proj.")
    weights.update({f"text_head.{name}": value for name, value in found.items()})
    if set(found) == {"0.weight", "2.weight"}:
        return "gelu-mlp", found["0.weight"].shape[0]
    if set(found) == {"weight"}:
        return "matrix", 0
    if found:
        raise CheckpointError(f"its projection of reports has the parts {', '.join(sorted(found))}", where=ledger.where)
    return "none", 0


def _pixels(source: Source, size: int) -> Preprocessing:
    """What the configuration says, else BiomedCLIP's record."""
    if "preprocess_cfg" in source.config:
        return from_open_clip(source.config, where=source.path / "open_clip_config.json").at(size)
    return record("biomedclip", size=size)


LAYOUT: Final = Layout("BiomedCLIP (open_clip)", recognise, read)
