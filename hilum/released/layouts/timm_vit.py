"""Vision Transformers in timm's names: a bare state dict, a folder as timm's Hub has it, or `timm:NAME`.

Read here: plain ViT, DeiT (its distillation token becomes a register), registers, DINOv2 and DINOv3 in timm's names,
CLIP's and SigLIP's image towers, EVA and EVA-02 (in BAAI's names too). Position tables meet other sizes by timm's rule
(bicubic, antialiased, exact size). A folder's config.json names the architecture, from which come what no tensor tells:
activation, rotary positions, epsilon; a bare file gets what its names imply, and ImageNet's pixels with a note.

What timm builds from the same names but another formula is refused by its architecture's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import torch
from torch import Tensor

from hilum.encoder import Pool
from hilum.errors import CheckpointError
from hilum.models.mlp import swiglu_ratio
from hilum.models.positions import sincos_table
from hilum.models.vit import ViTConfig
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.layouts.own_record import own_record
from hilum.released.layouts.prefixes import prefix_before
from hilum.released.layouts.vit_sizes import Told, fitting, fold_positions, heads_note, is_square, vit_config
from hilum.released.ledger import BLOCKS, Dropped, Ledger
from hilum.released.pixels import from_timm, record
from hilum.released.source import Source
from hilum.schema import Preprocessing

_ANCHOR: Final = "patch_embed.proj.weight"
_REFUSED: Final = (  # part of an architecture's name -> why its weights would give other features here
    (r"_rpn_|eva02_enormous", "it normalises after each branch"),
    (r"_rope_", "its rotary positions are those of RoPE-ViT"),
    (r"vit_pe_", "its rotary positions are those of the Perception Encoder"),
    (
        r"so400m_patch16_siglip|giantopt_patch16_siglip|base_patch32_siglip|large_patch16_siglip_(gap_)?512",
        "its MLP has the tanh approximation of GELU",
    ),
)
_HEADS: Final = {"vit_base_patch16_gap_224": 16, "test_vit": 2, "test_vit2": 2, "test_vit3": 3}
_RENAMED: Final = (  # names of BAAI's EVA files and of timm's Eva class -> ours
    (re.compile(r"(blocks\.\d+\.)gamma_([12])$"), r"\1ls\2.gamma"),
    (re.compile(r"(blocks\.\d+\.mlp\.)w1\."), r"\1fc1_g."),
    (re.compile(r"(blocks\.\d+\.mlp\.)w2\."), r"\1fc1_x."),
    (re.compile(r"(blocks\.\d+\.mlp\.)w12\."), r"\1fc1."),
    (re.compile(r"(blocks\.\d+\.mlp\.)w3\."), r"\1fc2."),
    (re.compile(r"(blocks\.\d+\.mlp\.)ffn_ln\."), r"\1norm."),
    (re.compile(r"(blocks\.\d+\.attn\.)inner_attn_ln\."), r"\1norm."),
)
_OURS: Final = re.compile(
    r"cls_token|reg_token|dist_token|pos_embed|(patch_embed\.proj|norm_pre|norm|fc_norm)\.(weight|bias)|"
    r"blocks\.\d+\.((norm1|norm2|attn\.(proj|norm|qkv|[qkv]_proj)|mlp\.(fc1|fc1_g|fc1_x|fc2|norm))\.(weight|bias)|"
    r"attn\.[qv]_bias|ls[12]\.gamma)"
)
_ASIDE: Final = (  # pattern after the prefix -> why it is left behind
    (r"(head|head_dist|fc)\.", "the classifier of a fine-tuned model"),
    (r"attn_pool\.", "a pooling by attention that is no part of the tokens"),
    (r"lm_head\.", "predicts the features of hidden patches, of use in pretraining only"),
    (r"mask_token$", "stands for hidden patches, of use in pretraining only"),
    (r"rope\.(?!freqs$)", "tables of the rotary positions, which are computed for every grid"),
)


def recognise(source: Source) -> bool:
    """Whether the tensors are a Vision Transformer's in timm's names, and no other layout's in the same ones."""
    prefix = prefix_before(source.tensors, _ANCHOR)
    if prefix is None or not fits(source):
        return False
    if "architecture" in source.config:
        return True
    names = {key.removeprefix(prefix): value for key, value in source.tensors.items() if key.startswith(prefix)}
    return not source.config and not (_is_mae(names) or _is_dinov2(names) or _is_eva_x(names))


def fits(source: Source) -> bool:
    """Whether the names are timm's: MAE's files have the same, and may be read so where the user says so."""
    prefix = prefix_before(source.tensors, _ANCHOR)
    return prefix is not None and f"{prefix}blocks.0.norm1.weight" in source.tensors


def read(source: Source, asked: Asked) -> Found:
    """The image encoder; classifier and pooling are left behind.

    Raises:
        CheckpointError: an architecture that Hilum does not build, or tensors of blocks without a place.
    """
    architecture = str(source.config.get("architecture", ""))
    for part, reason in _REFUSED:
        if re.search(part, architecture):
            what = f"is a {architecture} of timm, which Hilum does not build: {reason}"
            raise CheckpointError(what, where=source.path, fix="Give another architecture")
    prefix = prefix_before(source.tensors, _ANCHOR) or ""
    weights, dropped = _weights(source, prefix)
    if (own := own_record(source, weights)) is not None:
        return Found(own.sizes, own.weights, own.preprocessing, dropped, own.pool)
    _refuse_others(weights, source)
    told = _told(source, weights, architecture)
    sizes = vit_config(weights, told, asked, where=source.path)
    pixels, guessed = _pixels(source, sizes)
    pooled, why = _pool(source, weights, prefix)
    return Found(sizes, weights, pixels, dropped, pooled, (*heads_note(told, asked, sizes), *guessed, *why))


def _refuse_others(weights: Mapping[str, Tensor], source: Source) -> None:
    """Refuse what has our names but another formula, or lacks a part, as far as absent tensors tell it."""
    name, arguments = str(source.config.get("architecture", "")), source.config.get("model_args") or {}
    has = {*weights}.__contains__
    of_dinov3 = has("cls_token") and has("reg_token") and has("blocks.0.ls1.gamma")
    turned = not name or re.search("dinov3|lingbot", name) or arguments.get("use_rot_pos_emb")
    classless = not name or re.search("gap|_map_|siglip|^test_", name) or arguments.get("class_token") is False
    registers = re.search(r"_reg(\d)_", name)
    faults = (
        (not has("pos_embed") and not (of_dinov3 and turned), "no position table, which only DINOv3 does without"),
        (not has("cls_token") and not classless, "no cls_token, which its architecture has"),
        (registers and not has("reg_token"), "no reg_token, which its architecture has"),
        (not has("norm_pre.weight") and not has("patch_embed.proj.bias"), "no bias of its patches, as only CLIP has"),
        (not has("blocks.0.norm1.bias"), "norms without a bias (RMS norms), which Hilum does not build"),
    )
    for wrong, what in faults:
        if wrong:
            fix = "Give the whole file as it was released; relative positions and RMS norms are not built here"
            raise CheckpointError(f"has {what}", where=source.path, fix=fix)


def _is_mae(names: Mapping[str, Tensor]) -> bool:
    """Whether a bare file is MAE's: a decoder, a fixed sine-cosine table, or a norm behind the mean of a plain ViT."""
    table = names.get("pos_embed")
    if "decoder_embed.weight" in names:
        return True
    odd = {"reg_token", "dist_token", "norm_pre.weight", "blocks.0.ls1.gamma"} & {*names}
    if table is None or odd or not {"blocks.0.attn.qkv.bias", "cls_token"} <= {*names}:
        return False
    rows, width = (table.shape[1] - 1, table.shape[2]) if table.ndim == 3 else (0, 0)
    if not is_square(rows) or width % 4 or table.is_meta:
        return False
    side = int(rows**0.5)
    fixed = torch.allclose(table.double(), sincos_table(width, (side, side), class_token=True), atol=1e-3)
    return fixed or ("fc_norm.weight" in names and "norm.weight" not in names)


def _is_dinov2(names: Mapping[str, Tensor]) -> bool:
    """Whether it is Meta's: DINOv2 keeps its mask token as (1, D), timm drops it; DINOv3 says storage_tokens."""
    token = names.get("mask_token")
    return "storage_tokens" in names or (token is not None and token.ndim == 2)


def _is_eva_x(names: Mapping[str, Tensor]) -> bool:
    """Whether a bare file is EVA-X's: EVA-02 with patches of 16, whose own releases have 14."""
    return _is_eva02(names) and names[_ANCHOR].shape[-1:] == (16,)


def _is_eva02(names: Mapping[str, Tensor]) -> bool:
    """Whether the blocks are EVA-02's: keys without a bias, a gated MLP, and a position table besides."""
    first = "blocks.0.attn."
    no_key_bias = f"{first}q_bias" in names or f"{first}q_proj.bias" in names
    gated = any(f"blocks.0.mlp.{name}.weight" in names for name in ("fc1_g", "w1", "w12", "w3")) or _is_packed(
        names, "blocks.0."
    )
    return "pos_embed" in names and no_key_bias and f"{first}k_proj.bias" not in names and gated


def _is_packed(names: Mapping[str, Tensor], block: str) -> bool:
    """Whether a block's first layer holds gate and value: it is twice as wide as the last one reads."""
    first, last = names.get(f"{block}mlp.fc1.weight"), names.get(f"{block}mlp.fc2.weight")
    fits = first is not None and last is not None and first.ndim == last.ndim == 2
    return fits and first.shape[0] == 2 * last.shape[1]  # type: ignore[union-attr]


def _weights(source: Source, prefix: str) -> tuple[dict[str, Tensor], Dropped]:
    """All weights under our names, and what was left behind."""
    ledger = Ledger(source.tensors, source.path)
    named: dict[str, Tensor] = {}
    for key in source.tensors:
        plain = key.removeprefix(prefix)
        for pattern, new in _RENAMED:
            plain = pattern.sub(new, plain)
        if key.startswith(prefix) and _OURS.fullmatch(plain):
            named[plain] = ledger.take(key)
    pretrained_eva = f"{prefix}lm_head.weight" in source.tensors
    for aside, why in _ASIDE:
        ledger.drop(re.escape(prefix) + aside, why)
    ledger.drop(f"(?!{re.escape(prefix)})", "no part of the image encoder")
    alone = rf"{re.escape(prefix)}([^.]+$|(blocks|norm|fc_norm|norm_pre|patch_embed|rope)\b)"
    dropped = ledger.close(f"{BLOCKS}|{alone}")
    try:
        weights = _joined(named, source)
    except RuntimeError as error:
        what = f"has parts of one matrix whose shapes do not fit together ({error})"
        raise CheckpointError(what, where=source.path, fix="Give the whole file as it was released") from error
    if pretrained_eva:  # the norm of all tokens becomes the norm of their mean, as EVA's own fine-tuning has it
        weights = {
            key.replace("norm.", "fc_norm.") if key.startswith("norm.") else key: weights[key] for key in weights
        }
    if not {"norm.weight", "fc_norm.weight"} & {*weights} and not _without_norm(source):
        raise CheckpointError(
            "has neither norm nor fc_norm behind its blocks", where=source.path, fix="Give the whole file"
        )
    return fold_positions(weights, where=source.path), dropped


def _without_norm(source: Source) -> bool:
    """Whether timm builds this architecture without a norm after its blocks."""
    told = source.config.get("model_args")
    if isinstance(told, dict) and told.get("final_norm") is False:
        return True
    return re.search(r"radio|intern300m", str(source.config.get("architecture", ""))) is not None


def _joined(named: Mapping[str, Tensor], source: Source) -> dict[str, Tensor]:
    """Query, key and value in one matrix; the gated MLP by its name; the distillation token as a register."""
    weights = dict(named)
    if "dist_token" in weights:
        weights["reg_token"] = weights.pop("dist_token")
    for key in named:
        block, _, part = key.partition("attn.q_proj.")
        if part == "weight":
            weights[f"{block}attn.qkv.weight"] = torch.cat([_part(weights, block, name, source) for name in "qkv"])
        elif part == "bias" and f"{block}attn.k_proj.bias" in weights:
            biases = [weights.pop(f"{block}attn.{name}_proj.bias") for name in "qkv"]
            weights[f"{block}attn.qkv.bias"] = torch.cat(biases)
        elif part == "bias":
            for name in "qv":
                if (bias := weights.pop(f"{block}attn.{name}_proj.bias", None)) is not None:
                    weights[f"{block}attn.{name}_bias"] = bias
    for key in named:
        block, _, part = key.partition("mlp.fc1.")
        if part == "weight" and _is_packed(named, block):
            _name_gate(weights, block)
    return weights


def _part(weights: dict[str, Tensor], block: str, name: str, source: Source) -> Tensor:
    """One of query, key and value, taken out."""
    key = f"{block}attn.{name}_proj.weight"
    if key not in weights:
        raise CheckpointError(f"has no tensor {key}", where=source.path, fix="Give the whole file as it was released")
    return weights.pop(key)


def _name_gate(weights: dict[str, Tensor], block: str) -> None:
    """Give a gated MLP in one matrix our names: w12 and w3; two matrices where DINOv2's widths do not fit."""
    width = weights[f"{block}mlp.fc2.weight"].shape
    whole = swiglu_ratio(width[1], width[0]) is not None
    for part in ("weight", "bias"):
        if (both := weights.pop(f"{block}mlp.fc1.{part}", None)) is None:
            continue
        if whole:
            weights[f"{block}mlp.w12.{part}"] = both
        else:
            weights[f"{block}mlp.fc1_g.{part}"], weights[f"{block}mlp.fc1_x.{part}"] = both.chunk(2)
        if whole and (last := weights.pop(f"{block}mlp.fc2.{part}", None)) is not None:
            weights[f"{block}mlp.w3.{part}"] = last


def _told(source: Source, weights: Mapping[str, Tensor], architecture: str) -> Told:
    """What the architecture's name and arguments say; what the tensors' names imply where there are none."""
    arguments = source.config.get("model_args") or {}
    rotary = _rotary(weights, architecture, arguments)
    narrow = "norm_pre.weight" not in weights and rotary != "dinov3"
    if architecture:
        narrow = re.search(r"^vit_.*_clip_|^beit3|dinov3|lingbot", architecture) is None
    activation = arguments.get("act_layer") or ("quick_gelu" if "quickgelu" in architecture else "gelu")
    if activation not in ("gelu", "quick_gelu", "silu"):  # silu is the gate's
        what = f"is a {architecture} of timm with the activation {activation!r}, which Hilum does not build"
        raise CheckpointError(what, where=source.path, fix="Known here: gelu, quick_gelu")
    size = (source.config.get("pretrained_cfg") or {}).get("input_size", (3, 256, 256))[-1]
    grid = arguments.get("ref_feat_shape", [16]) or [None]  # EVA-02 was pretrained on 16 x 16 patches
    return Told(
        heads=arguments.get("num_heads") or _HEADS.get(architecture) or _dinov3_heads(weights, rotary),
        norm_eps=1e-6 if narrow else 1e-5,
        resize="bicubic_antialias",
        image_size=size,
        activation="quick_gelu" if activation == "quick_gelu" else "gelu",
        rotary=rotary,
        rotary_base=arguments.get("rope_temperature") if rotary else None,
        rotary_grid=grid[0] if rotary == "eva" else None,
    )


def _rotary(
    weights: Mapping[str, Tensor], architecture: str, arguments: Mapping[str, Any]
) -> Literal["eva", "dinov3"] | None:
    """Which rotary positions there are: as the arguments say, else DINOv3's without a table, EVA-02's by its blocks."""
    if "use_rot_pos_emb" in arguments:
        kind: Literal["eva", "dinov3"] = "dinov3" if arguments.get("rope_type") == "dinov3" else "eva"
        return kind if arguments["use_rot_pos_emb"] else None
    if "pos_embed" not in weights:
        return "dinov3"
    return "eva" if (architecture.startswith("eva02") or not architecture) and _is_rotated(weights) else None


def _is_rotated(weights: Mapping[str, Tensor]) -> bool:
    """Whether the blocks, under our names, are EVA-02's."""
    gated = "blocks.0.mlp.w12.weight" in weights or "blocks.0.mlp.fc1_g.weight" in weights
    return gated and "blocks.0.attn.q_bias" in weights


def _dinov3_heads(weights: Mapping[str, Tensor], rotary: str | None) -> int | None:
    """DINOv3's H+ shares width and depth with ViT-H, whose heads are wider."""
    return 20 if rotary == "dinov3" and weights["cls_token"].shape[-1] == 1280 else None


def _pixels(source: Source, sizes: ViTConfig) -> tuple[Preprocessing, tuple[str, ...]]:
    """The preprocessing of the folder's pretrained_cfg, else ImageNet's, and a line that says so."""
    if isinstance(source.config.get("pretrained_cfg"), dict):
        pixels = from_timm(source.config["pretrained_cfg"], where=source.path)
        return fitting(pixels, sizes, where=source.path), ()
    note = f"nothing says which pixels it saw: ImageNet's at {sizes.image_size} px are taken"
    return record("timm", size=sizes.image_size, channels=sizes.channels), (note,)


def _pool(source: Source, weights: Mapping[str, Tensor], prefix: str) -> tuple[Pool, tuple[str, ...]]:
    """The vector of a film: DINOv3's authors read the class token, whatever timm's default is."""
    if "cls_token" not in weights:
        return "mean", ("no class token: the mean of the patch tokens stands for the film",)
    told = source.config.get("global_pool")
    attended = f"{prefix}attn_pool.latent" in source.tensors
    note = ("its pooling by attention is left out: the class token stands for the film",) if attended else ()
    if "pos_embed" in weights and (told == "avg" or (not told and "fc_norm.weight" in weights)):
        return "mean", note
    return "cls", note


LAYOUT = Layout("timm ViT", recognise, read, fits)
