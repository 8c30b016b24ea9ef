"""The tensors of CLIP under our names, from either of the two ways in which they are written.

OpenAI's names (`visual.class_embedding`, `transformer.resblocks.0.ln_1.weight`): OpenAI CLIP, CheXzero, PubMedCLIP and
open_clip. Hugging Face's (`vision_model.encoder.layers.0.self_attn.q_proj.weight`): `CLIPModel` and `CLIPVisionModel`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from hilum.errors import CheckpointError
from hilum.released.layouts.prefixes import prefix_before
from hilum.released.ledger import Ledger

NUMBER: Final = "a number that the tensors tell too"
_POSITION_IDS: Final = "the numbers 0, 1, 2, ..."
_COUNTER: Final = "a counter that a fixed momentum does not read"
_ALONE: Final = "leads to a space shared with texts, and there is no text encoder"
_OPENAI: Final = (  # OpenAI's names and Hugging Face's -> those of our Vision Transformer
    (r"^transformer\.resblocks\.", "blocks."),
    (r"\.ln_(\d)\.", r".norm\1."),
    (r"\.attn\.in_proj_", ".attn.qkv."),
    (r"\.attn\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
    (r"^ln_pre\.", "norm_pre."),
    (r"^(ln_post|ln_final)\.", "norm."),
    (r"^conv1\.", "patch_embed.proj."),
    (r"^class_embedding$", "cls_token"),
    (r"^positional_embedding$", "pos_embed"),
    (r"^token_embedding\.", "tokens."),
)
_HUGGING_FACE: Final = (
    (r"^encoder\.layers\.", "blocks."),
    (r"\.layer_norm(\d)\.", r".norm\1."),
    (r"\.self_attn\.out_proj\.", ".attn.proj."),
    (r"\.self_attn\.([qkv])_proj\.", r".attn.\1."),
    (r"^pre_layrnorm\.", "norm_pre."),  # their spelling
    (r"^(post_layernorm|final_layer_norm)\.", "norm."),
    (r"^embeddings\.patch_embedding\.", "patch_embed.proj."),
    (r"^embeddings\.class_embedding$", "cls_token"),
    (r"^embeddings\.position_embedding\.weight$", "pos_embed"),
    (r"^embeddings\.token_embedding\.", "tokens."),
)


@dataclass(frozen=True)
class ClipParts:
    """What a file of CLIP held."""

    image: dict[str, Tensor]  # names of `VisionTransformer` or `ClipResNet`
    image_projection: Tensor | None = None  # (E, image width)
    text: dict[str, Tensor] = field(default_factory=dict)  # names of `ClipText`; none where it has no text side
    text_projection: Tensor | None = None  # (E, text width)
    scale: Tensor | None = None  # logarithm of what multiplies the cosines

    @property
    def is_resnet(self) -> bool:
        """Whether films are read by a ResNet that attention pools."""
        return "attnpool.c_proj.weight" in self.image


def openai_prefix(tensors: Mapping[str, Tensor]) -> str | None:
    """What stands before OpenAI's names: "" or "module."; None where they are not there."""
    for name in ("visual.class_embedding", "visual.attnpool.c_proj.weight"):
        prefix = prefix_before(tensors, name)
        if prefix is not None and f"{prefix}visual.conv1.weight" in tensors:
            return prefix
    return None


def huggingface_prefix(tensors: Mapping[str, Tensor]) -> str | None:
    """What stands before the image side in Hugging Face's names ("vision_model."); None where it is not there."""
    prefix = prefix_before(tensors, "embeddings.class_embedding")
    return prefix if prefix is not None and f"{prefix}pre_layrnorm.weight" in tensors else None


def take_openai(ledger: Ledger) -> ClipParts:
    """Take both sides in OpenAI's names; what open_clip keeps under `text.` too.

    Raises:
        CheckpointError: a part is missing.
    """
    prefix = openai_prefix(ledger.tensors) or ""
    at = re.escape(prefix)
    ledger.drop(rf"{at}(input_resolution|context_length|vocab_size)$", NUMBER)
    ledger.drop(rf"{at}.*num_batches_tracked$", _COUNTER)
    ledger.drop(rf"{at}(text\.)?attn_mask$", "which words see which, which is always the same")
    words = prefix_before(ledger.tensors, "token_embedding.weight")
    if words is None:
        ledger.drop(rf"{at}visual\.proj$", _ALONE)
    image = ledger.take_under(f"{prefix}visual.")
    projection = image.pop("proj", None)
    if "attnpool.c_proj.weight" not in image:
        image = _vit(_renamed(image, _OPENAI))
    if words is None:
        return ClipParts(image)
    names = tuple(words + name for name in ("token_embedding.", "positional_embedding", "transformer.", "ln_final."))
    text = {key.removeprefix(words): ledger.take(key) for key in ledger.left if key.startswith(names)}
    into = ledger.take(f"{words}text_projection")
    return ClipParts(
        image,
        None if projection is None else projection.T,
        _reader(_renamed(text, _OPENAI)),
        into.T,
        ledger.take(f"{prefix}logit_scale") if ledger.has(f"{prefix}logit_scale") else None,
    )


def take_huggingface(ledger: Ledger) -> ClipParts:
    """Take both sides in Hugging Face's names; `CLIPVisionModel` has the image side alone.

    Raises:
        CheckpointError: a part is missing.
    """
    eyes = huggingface_prefix(ledger.tensors) or ""
    ledger.drop(r".*embeddings\.position_ids$", _POSITION_IDS)
    image = _vit(_fused(_renamed(ledger.take_under(eyes), _HUGGING_FACE)))
    words = prefix_before(ledger.tensors, "embeddings.token_embedding.weight")
    if words is None:
        ledger.drop(r"visual_projection\.", _ALONE)
        return ClipParts(image)
    projection = ledger.take("visual_projection.weight")
    text = _reader(_fused(_renamed(ledger.take_under(words), _HUGGING_FACE)))
    scale = ledger.take("logit_scale") if ledger.has("logit_scale") else None
    return ClipParts(image, projection, text, ledger.take("text_projection.weight"), scale)


def _renamed(tensors: Mapping[str, Tensor], table: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    found = {}
    for name, value in tensors.items():
        ours = name
        for pattern, new in table:
            ours = re.sub(pattern, new, ours)
        found[ours] = value
    return found


def _fused(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Queries over keys over values in one tensor, as we have them."""
    found = {name: value for name, value in tensors.items() if not re.search(r"\.attn\.[qkv]\.", name)}
    for name in tensors:
        if ".attn.q." in name:
            parts = [name.replace(".attn.q.", f".attn.{part}.") for part in "qkv"]
            if absent := [part for part in parts if part not in tensors]:
                raise CheckpointError(f"lacks {absent[0]}, of queries, keys and values", where="attention")
            found[name.replace(".attn.q.", ".attn.qkv.")] = torch.cat([tensors[part] for part in parts])
    return found


def _vit(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Class token and positions with the axes that ours have."""
    wide = {"cls_token": (None, None), "pos_embed": (None,)}
    return {name: value[wide[name]] if name in wide else value for name, value in tensors.items()}


def _reader(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of `ClipText`, whose blocks have no rooms for attention and feed-forward."""
    names = {"pos_embed": "positions"}
    return {names.get(name, re.sub(r"\.(attn|mlp)\.", ".", name)): value for name, value in tensors.items()}
