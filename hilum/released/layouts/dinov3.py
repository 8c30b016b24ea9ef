"""DINOv3's files as Meta releases them: a bare Vision Transformer with storage tokens and rotary positions.

Paper: https://arxiv.org/abs/2508.10104; names of facebookresearch/dinov3. Storage tokens are registers; `bias_mask`
zeroes the bias of the keys, so that queries and values alone have one; a gated MLP (H+, 7B) has its gate in w1 and its
value in w2. There is no position table: `rope_embed.periods` are base^(i / n), which tell the base and, by their number
n, the width of a head (four times n). They were kept in bfloat16; here, as in transformers and timm, they are made anew
in float32.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from hilum.errors import CheckpointError
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.layouts.prefixes import prefix_before
from hilum.released.layouts.vit_sizes import Told, vit_config
from hilum.released.ledger import BLOCKS, Ledger
from hilum.released.pixels import record
from hilum.released.source import Source

_ANCHOR: Final = "storage_tokens"
_PERIODS: Final = "rope_embed.periods"
_BASE: Final = 100.0  # of every release
_EPS: Final = 1e-5
_NEEDED: Final = ("cls_token", "storage_tokens", "patch_embed.proj.weight", "patch_embed.proj.bias", "norm.weight")
_OURS: Final = re.compile(
    r"cls_token|mask_token|storage_tokens|(patch_embed\.proj|norm)\.(weight|bias)|"
    r"blocks\.\d+\.((norm[12]|attn\.(qkv|proj)|mlp\.(fc1|fc2|w1|w2|w3))\.(weight|bias)|ls[12]\.gamma)"
)
_RENAMED: Final = {"mlp.w1.": "mlp.fc1_g.", "mlp.w2.": "mlp.fc1_x.", "mlp.w3.": "mlp.fc2."}
_ASIDE: Final = (
    (r"local_cls_norm\.", "the norm of small crops, of use in pretraining only"),
    (r"head\.", "the classifier of a fine-tuned model"),
    (r"dino_head\.|ibot_head\.", "a projection head, of use in pretraining only"),
)


def recognise(source: Source) -> bool:
    """Whether there are storage tokens beside blocks in timm's names."""
    prefix = prefix_before(source.tensors, _ANCHOR)
    return prefix is not None and f"{prefix}blocks.0.norm1.weight" in source.tensors


def read(source: Source, asked: Asked) -> Found:
    """The backbone.

    Raises:
        CheckpointError: tensors are missing or have no place, or class token and patches have norms of their own.
    """
    ledger = Ledger(source.tensors, source.path)
    prefix = prefix_before(source.tensors, _ANCHOR) or ""
    if ledger.has(f"{prefix}cls_norm.weight"):
        raise CheckpointError("normalises class token and patches apart, which Hilum does not build", where=source.path)
    for name in _NEEDED:
        ledger.take(prefix + name)
    image: dict[str, Tensor] = {}
    for key in source.tensors:
        name = key.removeprefix(prefix)
        if key.startswith(prefix) and _OURS.fullmatch(name):
            image[_ours(name)] = ledger.take(key)
    if "mask_token" in image:
        image["mask_token"] = image["mask_token"].reshape(1, -1)
    _mask_biases(image, ledger, prefix)
    base, heads = _rotary(ledger, prefix, image)
    for pattern, why in _ASIDE:
        ledger.drop(re.escape(prefix) + pattern, why)
    ledger.drop(f"(?!{re.escape(prefix)})", "no part of the backbone")
    dropped = ledger.close(rf"{BLOCKS}|{re.escape(prefix)}([^.]+$|(norm|patch_embed|rope_embed)\b)")
    told = Told(heads=heads, norm_eps=_EPS, image_size=224, rotary="dinov3", rotary_base=base)
    sizes = vit_config(image, told, asked, where=source.path)
    return Found(sizes, image, record("dinov3", size=sizes.image_size, channels=sizes.channels), dropped)


def _ours(name: str) -> str:
    """Our name of a tensor."""
    if name == _ANCHOR:
        return "reg_token"
    for theirs, ours in _RENAMED.items():
        name = name.replace(theirs, ours)
    return name


def _mask_biases(image: dict[str, Tensor], ledger: Ledger, prefix: str) -> None:
    """Apply each block's mask to its biases; where it takes the keys' alone, the other two stand apart."""
    masks = [key for key in ledger.left if key.endswith(".attn.qkv.bias_mask")]
    if masks and torch.device("meta") in {ledger.tensors[key].device for key in masks}:
        kept = False  # sizes are read without values: every release masks its keys
    elif masks:
        kept = any(_keys_kept(ledger, key) for key in masks)
    for key in masks:
        block = key.removeprefix(prefix).removesuffix("qkv.bias_mask")
        mask, bias = ledger.take(key), image.pop(f"{block}qkv.bias", None)
        if bias is None or bias.shape != mask.shape:
            raise CheckpointError(f"masks a bias with {key} that is not there or has another shape", where=ledger.where)
        masked = torch.where(mask == 0, torch.zeros_like(bias), bias)
        if kept:
            image[f"{block}qkv.bias"] = masked
        else:
            image[f"{block}q_bias"], _, image[f"{block}v_bias"] = masked.chunk(3)


def _keys_kept(ledger: Ledger, key: str) -> bool:
    """Whether a mask leaves any bias of the keys.

    Raises:
        CheckpointError: the mask holds anything but 0 and 1, as one that was never set does.
    """
    mask = ledger.tensors[key].float()
    if not bool(((mask == 0) | (mask == 1)).all()):
        raise CheckpointError(f"has a mask {key} of other values than 0 and 1", where=ledger.where)
    return bool(mask.chunk(3)[1].any())


def _rotary(ledger: Ledger, prefix: str, image: Mapping[str, Tensor]) -> tuple[float, int | None]:
    """The base of the rotary positions, and the heads that their number tells.

    Raises:
        CheckpointError: the periods are no powers of one base.
    """
    if not ledger.has(prefix + _PERIODS):
        return _BASE, None
    periods = ledger.take(prefix + _PERIODS)
    count = periods.numel()
    width = image["cls_token"].shape[-1]
    if periods.ndim != 1 or not count or width % (4 * count):
        raise CheckpointError(f"has {count} rotary periods for a width of {width}", where=ledger.where)
    heads = width // (4 * count)
    if periods.is_meta or count == 1:
        return _BASE, heads
    known = periods.double()
    base = float(known[-1]) ** (count / (count - 1))
    base = _BASE if abs(base / _BASE - 1) < 0.02 else base  # bfloat16 keeps 8 bits
    expected = base ** (torch.arange(count, dtype=torch.float64) / count)
    if not torch.allclose(known, expected, rtol=0.02):
        raise CheckpointError("has rotary periods that are no powers of one base", where=ledger.where)
    return base, heads


LAYOUT = Layout("DINOv3", recognise, read)
