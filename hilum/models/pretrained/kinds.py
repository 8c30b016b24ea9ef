"""What a state dict is, by the names and shapes of its tensors: said of every file that is not what was asked for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

UNKNOWN: Final = " whose names belong to no known layout"
# model_type of a configuration that tells of another kind of network
_NOT_IMAGES: Final = ("bert", "roberta", "gpt2", "llama", "mistral", "qwen2", "t5", "distilbert", "whisper", "wav2vec2")

# pattern that some name matches -> what the file is; asked in this order
_SIGNS: Final = (
    (r"(.*\.)?lora_[AB](\.|$)", "a LoRA adapter: a change to an encoder, without the encoder"),
    (r"classifiers_dict\.|(.*\.)?duplicate_pooling", "a GLoRI head, without its encoder"),
    (r"(.*\.)?(exp_avg|exp_avg_sq|momentum_buffer)$", "the state of an optimizer"),
    (r"(.*\.)?(first_stage_model|cond_stage_model|down_blocks\.\d+\.resnets)\.", "a diffusion model"),
    (r"(.*\.)?(relative_position_bias_table|layers\.\d+\.blocks\.\d+\.attn\.relative)", "a Swin transformer"),
    (r"(.*\.)?(transformer\.(decoder|encoder)\.layers\.\d+\.|bbox_embed\.|bbox_predictor\.)", "a detector"),
    (r"(.*\.)?(inc\.double_conv|down\d\.maxpool_conv|up\d\.conv|outc\.conv)", "a U-Net"),
    (r"(.*\.)?denseblock\d+\.denselayer\d+\.", "a DenseNet"),
    (r"(.*\.)?(stages\.\d+\.(blocks\.)?\d+\.(dwconv|conv_dw)|dwconv)\.", "a ConvNeXt"),
    (r"(.*\.)?_blocks\.\d+\._(expand|depthwise)_conv", "an EfficientNet"),
    (r"(.*\.)?visual\.(conv1|transformer|trunk|layer1)", "an image-text encoder in CLIP's names"),
)


def what_it_is(tensors: Mapping[str, Tensor], config: Mapping[str, Any] | None = None) -> str:
    """One clause on what a file holds: "is a ResNet-50", "is a BERT text encoder of 12 layers, width 768"."""
    kind = str((config or {}).get("model_type", ""))
    named = f" (model_type {kind})" if kind else ""
    keys = list(tensors)
    for pattern, what in _SIGNS:
        if any(re.match(pattern, key) for key in keys):
            return f"is {what}{named}"
    if text := _text_encoder(tensors):
        return f"is {text}{named}"
    if depth := _resnet(keys):
        return f"is a ResNet-{depth}{named}" if depth != "?" else f"is a ResNet of an uncommon depth{named}"
    if vit := _vit(tensors):
        return f"is {vit}{named}"
    if len(keys) <= 4 and all(tensor.ndim <= 2 for tensor in tensors.values()):
        return f"is a head of {len(keys)} tensors ({', '.join(keys[:4])}), without its encoder{named}"
    if kind:
        article = "a text model" if kind in _NOT_IMAGES else "a network"
        return f"is {article} that is not read here{named}"
    groups = Counter(re.split(r"[./]", key)[0] for key in keys).most_common(3)
    return f"is of no known layout: {len(keys)} tensors named {', '.join(f'{name}.* ({n})' for name, n in groups)}"


def _text_encoder(tensors: Mapping[str, Tensor]) -> str:
    words = next((key for key in tensors if key.endswith(("word_embeddings.weight", "wte.weight"))), None)
    if words is None:
        words = next((key for key in tensors if re.fullmatch(r"(.*\.)?embed_tokens\.weight", key)), None)
        return "a language model" if words else ""
    if any(re.search(r"(patch_embed|visual|conv1\.weight|img_encoder|vision)", key) for key in tensors):
        return ""
    layers = {found[1] for key in tensors if (found := re.search(r"\blayers?\.(\d+)\.", key))}
    rows, width = tensors[words].shape[0], tensors[words].shape[-1]
    return f"a text encoder of BERT's kind: {len(layers)} layers of width {width}, {rows:,} word pieces, no image side"


def _resnet(keys: list[str]) -> str:
    found = {(m[1], m[2], m[3]) for key in keys if (m := re.search(r"\blayer([1-4])\.(\d+)\.conv(\d)\.", key))}
    blocks = {(stage, number) for stage, number, _ in found}
    if not blocks:
        return ""
    each = 3 if any(number == "3" for _, _, number in found) else 2
    depth = str(each * len(blocks) + 2)
    return depth if depth in ("18", "34", "50", "101", "152") else "?"


def _vit(tensors: Mapping[str, Tensor]) -> str:
    blocks = {
        m[1] for key in tensors if (m := re.search(r"\b(?:blocks|encoder\.layer|layers|resblocks)\.(\d+)\.", key))
    }
    norm = next((t for key, t in tensors.items() if re.search(r"norm1?\.weight$|layer_norm1\.weight$", key)), None)
    if not blocks:
        return ""
    width = f" of width {norm.shape[0]}" if norm is not None and norm.ndim == 1 else ""
    return f"a transformer of {len(blocks)} blocks{width}{UNKNOWN}"
