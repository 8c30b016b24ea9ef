"""REFERS: a Vision Transformer trained to let a decoder write the report of several views of a study.

Paper: https://doi.org/10.1038/s42256-021-00425-9; names of funnyzhou/REFERS at b2b6874, which are those of
jeonsworld/ViT-pytorch: the encoder stands alone under `transformer.` in the file for fine-tuning, and under
`visual.vit.` in a whole training file. Its text side met three views side by side, so it shares no space with one film.
"""

from __future__ import annotations

import re
from typing import Final

import torch
from torch import Tensor

from hilum.errors import CheckpointError
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.layouts.prefixes import prefix_before
from hilum.released.layouts.vit_sizes import Told, heads_note, vit_config
from hilum.released.ledger import Ledger
from hilum.released.pixels import record
from hilum.released.source import Source

_ANCHOR: Final = "transformer.encoder.encoder_norm.weight"
_TABLE: Final = "transformer.embeddings.position_embeddings"
_EPS: Final = 1e-6
_BLOCK: Final = {  # name in a block of theirs -> in one of ours
    "attention_norm": "norm1",
    "attn.out": "attn.proj",
    "ffn_norm": "norm2",
    "ffn.fc1": "mlp.fc1",
    "ffn.fc2": "mlp.fc2",
}
_ASIDE: Final = {  # pattern -> why it is left behind
    r"(module\.)?fusion\.": "weighs the views of one study against each other; one film is read here",
    r"(module\.)?contrastive_bert\.": "reads reports into the space of three views side by side, not of one film",
    r"(module\.)?(backward_)?textual\.": "writes reports, of use in pretraining only",
    r"(module\.)?head\.": "the classifier of a fine-tuned file",
}


def recognise(source: Source) -> bool:
    """Whether there is a Vision Transformer in jeonsworld's names."""
    return all(prefix_before(source.tensors, name) is not None for name in (_ANCHOR, _TABLE))


def read(source: Source, asked: Asked) -> Found:
    """The image encoder."""
    ledger = Ledger(source.tensors, source.path)
    prefix = prefix_before(source.tensors, _ANCHOR) or ""
    stem, blocks = f"{prefix}transformer.embeddings.", f"{prefix}transformer.encoder.layer."
    depth = len({key.removeprefix(blocks).split(".")[0] for key in source.tensors if key.startswith(blocks)})
    image = {
        "cls_token": ledger.take(f"{stem}cls_token"),
        "pos_embed": ledger.take(f"{stem}position_embeddings"),
        "patch_embed.proj.weight": ledger.take(f"{stem}patch_embeddings.weight"),
        "patch_embed.proj.bias": ledger.take(f"{stem}patch_embeddings.bias"),
        "norm.weight": ledger.take(f"{prefix}transformer.encoder.encoder_norm.weight"),
        "norm.bias": ledger.take(f"{prefix}transformer.encoder.encoder_norm.bias"),
    }
    for number in range(depth):
        image |= {f"blocks.{number}.{key}": value for key, value in _block(ledger, f"{blocks}{number}.").items()}
    for pattern, why in _ASIDE.items():
        ledger.drop(pattern, why)
    told = Told(norm_eps=_EPS)
    sizes = vit_config(image, told, asked, where=source.path)
    return Found(
        sizes,
        image,
        record("refers", size=sizes.image_size, channels=sizes.channels),
        ledger.close(rf"{re.escape(prefix)}transformer\."),
        notes=heads_note(told, asked, sizes),
    )


def _block(ledger: Ledger, prefix: str) -> dict[str, Tensor]:
    """One block under our names: query, key and value are rows of one matrix."""
    block = {
        f"{ours}.{part}": ledger.take(f"{prefix}{theirs}.{part}")
        for theirs, ours in _BLOCK.items()
        for part in ("weight", "bias")
    }
    for part in ("weight", "bias"):
        three = [ledger.take(f"{prefix}attn.{name}.{part}") for name in ("query", "key", "value")]
        if len({value.shape for value in three}) > 1:
            raise CheckpointError(f"{prefix}attn has query, key and value of different shapes", where=ledger.where)
        block[f"attn.qkv.{part}"] = torch.cat(three)
    return block


LAYOUT = Layout("REFERS", recognise, read)
