"""Vision Transformers as Hugging Face's transformers saves them: a folder with config.json, or its weights alone.

| model_type | what | position table at other sizes |
|---|---|---|
| vit, deit, vit_mae, vit_msn, ijepa | as their papers; DeiT's distillation token becomes a register | bicubic |
| dinov2 (RAD-DINO too) | layer scale | bicubic with DINOv2's offset of 0.1, see below |
| dinov2_with_registers | layer scale, registers | bicubic, antialiased |
| dinov3_vit | layer scale, registers, rotary positions | there is none |

transformers 4 resized DINOv2's table as Meta does, by a scale factor with an offset; transformers 5 asks for the exact
size, which gives other features (up to 0.03 on the golden vectors of RAD-DINO) where the size is not the table's own.
Meta's rule is followed here, because the weights were trained under it; both agree at the native size.

The encoder may lie under any prefix (`vit.`, `dinov2.`, the `encoder.` of a vision-encoder-decoder): what is outside is
left behind with a reason. Names inside modules (what `torch.save(model.state_dict())` writes under transformers 5) are
read like those of files. Without config.json the family is told from the names, and heads are a default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from hilum.encoder import Pool
from hilum.errors import CheckpointError
from hilum.models.positions import ResizeRule
from hilum.models.pretrained.huggingface_names import Family, to_ours
from hilum.models.vit import ViTConfig
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.layouts.own_record import own_record
from hilum.released.layouts.vit_sizes import Told, fitting, fold_positions, heads_note, vit_config
from hilum.released.ledger import BLOCKS, Dropped, Ledger
from hilum.released.pixels import from_processor, record
from hilum.released.source import Source
from hilum.schema import Preprocessing

_STEM: Final = "patch_embed.proj.weight", "patch_embed.proj.bias", "norm.weight", "norm.bias"
_SCALED: Final = (*_STEM, "cls_token", "blocks.0.ls1.gamma", "blocks.0.ls2.gamma")


@dataclass(frozen=True)
class Kind:
    """What one model_type has in common."""

    title: str
    names: Family  # whose names its weights bear
    needs: tuple[str, ...]  # our names of what each of them has
    resize: ResizeRule = "bicubic"
    norm_eps: float = 1e-12  # the class's own, where config.json is silent
    pixels: str = "imagenet"  # record, or processor by its defaults, for weights without preprocessor_config.json
    pool: Pool = "cls"


_VIT: Final = Kind("ViT", "vit", (*_STEM, "cls_token", "pos_embed"), pixels="ViTImageProcessor")
KINDS: Final[Mapping[str, Kind]] = {
    "vit": _VIT,
    "deit": replace(_VIT, title="DeiT", needs=(*_VIT.needs, "reg_token"), pixels="imagenet"),
    "vit_mae": replace(_VIT, title="ViTMAE", pixels="mae"),
    "vit_msn": replace(_VIT, title="ViTMSN", norm_eps=1e-6, pixels="imagenet"),
    "ijepa": replace(_VIT, title="I-JEPA", needs=(*_STEM, "pos_embed"), pixels="imagenet", pool="mean"),
    "dinov2": Kind("DINOv2", "dinov2", (*_SCALED, "pos_embed"), "bicubic_offset", 1e-6, "dinov2"),
    "dinov2_with_registers": Kind(
        "DINOv2 with registers",
        "dinov2_with_registers",
        (*_SCALED, "pos_embed", "reg_token"),
        "bicubic_antialias",
        1e-6,
        "dinov2",
    ),
    "dinov3_vit": Kind("DINOv3", "dinov3_vit", _SCALED, norm_eps=1e-5, pixels="dinov3"),
}

OFFSET: Final = "other sizes: the position table is resized as DINOv2 and transformers 4 do, not as transformers 5"
_ANCHOR: Final = re.compile(r"(|.*\.)embeddings\.patch_embeddings\.(projection\.)?weight")
_ASIDE: Final = (  # pattern after the prefix -> why it is left behind
    (r"pooler\.", "a layer behind the class token; the features are the tokens themselves"),
    (r"(classifier|cls_classifier|distillation_classifier)\.", "the classifier of a fine-tuned model"),
    (r"decoder\.", "a decoder behind the encoder"),
    (r"embeddings\.register_tokens$", "no registers: the tensor is empty"),
)
_INSIDE: Final = (  # names inside the modules of transformers 5 -> names of its files
    (re.compile(r"^layers\."), "encoder.layer."),
    (re.compile(r"^model\.layer\."), "layer."),
    (re.compile(r"^(encoder\.layer\.\d+\.attention)\.q_proj\."), r"\1.attention.query."),
    (re.compile(r"^(encoder\.layer\.\d+\.attention)\.k_proj\."), r"\1.attention.key."),
    (re.compile(r"^(encoder\.layer\.\d+\.attention)\.v_proj\."), r"\1.attention.value."),
    (re.compile(r"^(encoder\.layer\.\d+\.attention)\.o_proj\."), r"\1.output.dense."),
    (re.compile(r"^(encoder\.layer\.\d+\.mlp)\.down_proj\."), r"\1.weights_out."),
)
_VIT_INSIDE: Final = (  # of those with ViT's block
    (re.compile(r"^(encoder\.layer\.\d+)\.mlp\.fc1\."), r"\1.intermediate.dense."),
    (re.compile(r"^(encoder\.layer\.\d+)\.mlp\.fc2\."), r"\1.output.dense."),
)
_GATE: Final = re.compile(r"(encoder\.layer\.\d+\.mlp)\.gate_proj\.(weight|bias)")


def recognise(source: Source) -> bool:
    """Whether there is a Vision Transformer in Hugging Face's names, of a known model_type where one is given."""
    prefixes = _prefixes(source)
    return bool(prefixes) and _kind_name(source, prefixes[0]) is not None


def read(source: Source, asked: Asked) -> Found:
    """The image encoder; what stands beside it is left behind."""
    prefixes = _prefixes(source)
    name = _kind_name(source, prefixes[0]) if prefixes else None
    if name is None or len(prefixes) > 1:
        what = f"{len(prefixes)} image encoders" if prefixes else "no image encoder"
        raise CheckpointError(f"holds {what} in Hugging Face's names", where=source.path)
    kind, config = KINDS[name], _config(source.config)
    weights, dropped = _weights(source, prefixes[0], kind)
    if (own := own_record(source, weights)) is not None:
        return Found(own.sizes, own.weights, own.preprocessing, dropped, own.pool)
    told = _told(kind, config, weights, source)
    sizes = vit_config(weights, told, asked, where=source.path)
    counted = {"num_hidden_layers": ("blocks", sizes.depth)}
    if kind.names in ("dinov2_with_registers", "dinov3_vit"):
        counted["num_register_tokens"] = ("registers", sizes.registers)
    for field, (what, number) in counted.items():
        if (said := config.get(field, number)) != number:
            raise CheckpointError(
                f"holds {number} {what}, and its config.json says {said}",
                where=source.path,
                fix="Give the whole folder as it was released",
            )
    pixels, guessed = _pixels(source, kind, sizes)
    rule = (OFFSET,) if kind.resize == "bicubic_offset" else ()
    return Found(sizes, weights, pixels, dropped, kind.pool, (*heads_note(told, asked, sizes), *rule, *guessed))


def _prefixes(source: Source) -> list[str]:
    """What stands before the names of each image encoder in the file."""
    return [found[1] for key in source.tensors if (found := _ANCHOR.fullmatch(key))]


def _config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration of the image encoder: the whole, or the part of a larger model's."""
    nested = (part for part in config.values() if isinstance(part, dict) and part.get("model_type") in KINDS)
    return config if config.get("model_type") in KINDS else next(nested, {})


def _kind_name(source: Source, prefix: str) -> str | None:
    """Which of `KINDS`: as config.json says; by the names where there is none; None where it says another."""
    if source.config:
        name = _config(source.config).get("model_type")
        return name if isinstance(name, str) else None
    names = {key.removeprefix(prefix) for key in source.tensors if key.startswith(prefix)}
    if any(re.match(r"(model\.)?layer\.0\.layer_scale1", key) for key in names):
        return "dinov3_vit"
    if any(key.endswith(".layer_scale1.lambda1") for key in names):
        return "dinov2_with_registers" if "embeddings.register_tokens" in names else "dinov2"
    if not any(key.endswith(".0.layernorm_before.weight") for key in names):
        return None
    if "embeddings.distillation_token" in names:
        return "deit"
    if any(key.startswith("decoder.decoder_embed") for key in source.tensors):
        return "vit_mae"
    return "vit" if "embeddings.cls_token" in names else "ijepa"


def _weights(source: Source, prefix: str, kind: Kind) -> tuple[dict[str, Tensor], Dropped]:
    """All weights under our names, and what was left behind."""
    ledger = Ledger(source.tensors, source.path)
    inner = {key.removeprefix(prefix): value for key, value in source.tensors.items() if key.startswith(prefix)}
    as_filed = {_filed(key, kind): key for key in inner}
    try:
        renamed = _joined_gates({new: inner[key] for new, key in as_filed.items()})
        ours, left = to_ours(renamed, kind.names)
    except RuntimeError as error:
        what = f"has parts of one matrix whose shapes do not fit together ({error})"
        raise CheckpointError(what, where=source.path, fix="Give the whole file as it was released") from error
    for theirs, mine in (("embeddings.distillation_token", "reg_token"), ("embeddings.mask_token", "mask_token")):
        if theirs in left:
            ours[mine] = renamed[theirs] if mine == "reg_token" else renamed[theirs].reshape(1, -1)
            left.remove(theirs)
    if "reg_token" in ours and ours["reg_token"].shape[1:2] == (0,):
        ours.pop("reg_token")
        left.append("embeddings.register_tokens")
    for new, key in as_filed.items():
        if new not in left:
            ledger.take(prefix + key)
    for pattern, why in _ASIDE:
        ledger.drop(re.escape(prefix) + pattern, why)
        ledger.drop(pattern, why)
    ledger.drop(f"(?!{re.escape(prefix)})", "no part of the image encoder")
    dropped = ledger.close(rf"{BLOCKS}|{re.escape(prefix)}(embeddings|encoder|layers?|layernorm|norm|model)\b")
    for needed in kind.needs:
        if needed not in ours:
            what = f"is a {kind.title} without the tensor that is our {needed}"
            raise CheckpointError(what, where=source.path, fix="Give the whole file as it was released")
    return fold_positions(ours, where=source.path), dropped


def _filed(key: str, kind: Kind) -> str:
    """The name in a file of a name that may be one inside transformers 5."""
    for pattern, new in (*_INSIDE, *(_VIT_INSIDE if kind.names == "vit" else ())):
        key = pattern.sub(new, key)
    return key


def _joined_gates(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """DINOv2's gated MLP with gate and value in one matrix, as its files have it."""
    joined = dict(tensors)
    for key in tensors:
        found = _GATE.fullmatch(key)
        if found and (value := joined.pop(f"{found[1]}.up_proj.{found[2]}", None)) is not None:
            joined[f"{found[1]}.weights_in.{found[2]}"] = torch.cat([joined.pop(key), value])
    return joined


def _told(kind: Kind, config: Mapping[str, Any], weights: Mapping[str, Tensor], source: Source) -> Told:
    """What config.json says, and what the family has in common."""
    gated = any(".mlp.w12." in key or ".mlp.fc1_g." in key for key in weights)
    silu = gated and kind.names == "dinov3_vit"  # DINOv2's gate is SiLU whatever the configuration says
    activation = config.get("hidden_act", "silu" if silu else "gelu")
    known = ("silu",) if silu else ("gelu", "quick_gelu")
    if activation not in known and not (gated and not silu):
        raise CheckpointError(
            f"is a {kind.title} whose MLP has the activation {activation!r}, which Hilum does not build",
            where=source.path,
            fix=f"Known here: {', '.join(known)}",
        )
    size = config.get("image_size")
    if isinstance(size, list) and len(set(size)) > 1:
        raise CheckpointError(f"takes films of {' x '.join(map(str, size))} pixels, not squares", where=source.path)
    rotary = kind.names == "dinov3_vit"
    return Told(
        heads=config.get("num_attention_heads"),
        norm_eps=config.get("layer_norm_eps", kind.norm_eps),
        resize=kind.resize,
        image_size=size[0] if isinstance(size, list) else size,
        activation="quick_gelu" if activation == "quick_gelu" else "gelu",
        rotary="dinov3" if rotary else None,
        rotary_base=float(config.get("rope_theta", 100.0)) if rotary else None,
    )


def _pixels(source: Source, kind: Kind, sizes: ViTConfig) -> tuple[Preprocessing, tuple[str, ...]]:
    """The preprocessing beside the weights, else the family's, and a line that says so."""
    if source.pixels:
        pixels = from_processor(source.pixels, where=source.path / "preprocessor_config.json")
        return fitting(pixels, sizes, where=source.path), ()
    note = f"no preprocessor_config.json: the pixels of {kind.pixels} at {sizes.image_size} px are taken"
    if kind.pixels.endswith("Processor"):
        plain = from_processor({"image_processor_type": kind.pixels, "size": sizes.image_size})
        return fitting(plain, sizes, where=source.path), (note,)
    return record(kind.pixels, size=sizes.image_size, channels=sizes.channels), (note,)


LAYOUT = Layout("Hugging Face ViT", recognise, read)
