"""CXR-BERT, the report encoder of BioViL and BioViL-T: a BERT folder with a projection of its first token.

Paper: https://arxiv.org/abs/2204.09817; names of hi-ml-multimodal 0.2.2 (`bert.`, `cls_projection_head.`). The folder
names a model class of its own, whose code is not run: its tensors and sizes are data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.pretrained.mrm import text_config_of
from hilum.models.text import TextConfig
from hilum.released.asked import Asked
from hilum.released.ledger import Ledger
from hilum.released.source import Source, open_source
from hilum.transforms.text import Tokenizer, read_tokenizer

_HEAD: Final = {"dense_to_hidden": "0", "LayerNorm": "2", "dense_to_output": "3"}  # their part -> place in ours
_PROJECTION: Final = "cls_projection_head."
_WORDS: Final = "bert.embeddings.word_embeddings.weight"
_KIND: Final = "cxr-bert"  # model_type of its config.json


@dataclass(frozen=True)
class CxrBert:
    """The report encoder under our names."""

    folder: Path
    config: TextConfig
    bert: Mapping[str, Tensor]  # names of `ReportEncoder`
    head: Mapping[str, Tensor]  # names of a "dense-norm" projection
    vocabulary: int
    tokenizer: Tokenizer
    dropped: tuple[str, ...]  # a line a reason


def is_cxr_bert(source: Source) -> bool:
    """Whether a source is the report encoder itself."""
    return f"{_PROJECTION}dense_to_output.weight" in source.tensors and _WORDS in source.tensors


def read_cxr_bert(source: Source, asked: Asked) -> CxrBert | None:
    """The report encoder of an image file: from the folder given, else from the one that the file lies in.

    Raises:
        CheckpointError: the folder given is no CXR-BERT, or holds no tokenizer.
    """
    if asked.text is not None:
        return _read(open_source(asked.text), asked)
    beside = source.path.parent
    return _read(open_source(beside), asked) if source.path.is_file() and _names_it(beside) else None


def _names_it(folder: Path) -> bool:
    """Whether the configuration in a folder names CXR-BERT and its weights lie there."""
    try:
        told = (folder / "config.json").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    weights = ("model.safetensors", "pytorch_model.bin")
    return f'"{_KIND}"' in told and any((folder / name).is_file() for name in weights)


def _read(text: Source, asked: Asked) -> CxrBert:
    if not is_cxr_bert(text):
        raise CheckpointError(
            "is no CXR-BERT: it has no BERT with cls_projection_head",
            where=text.path,
            fix="Give the folder of BiomedVLP-CXR-BERT-specialized or BiomedVLP-BioViL-T",
        )
    given = asked.tokenizer or text.tokenizer
    if given is None:
        raise CheckpointError("holds no tokenizer", where=text.path, fix="Add its vocab.txt, or give --tokenizer")
    ledger = Ledger(text.tensors, text.path)
    ledger.drop(r"cls\.", "the language head takes no part")
    ledger.drop(r"bert\.pooler\.", "the pooled vector takes no part: the first token is projected")
    ledger.drop(r".*position_ids$", "the numbers 0, 1, 2, ...")
    bert = {f"bert.{_renamed(key)}": value for key, value in ledger.take_under("bert.").items()}
    head = {
        f"{ours}.{part}": ledger.take(f"{_PROJECTION}{theirs}.{part}")
        for theirs, ours in _HEAD.items()
        for part in ("weight", "bias")
    }
    heads = asked.text_heads or _number(text.config, "num_attention_heads")
    sizes = text_config_of(bert, heads, where=text.path)
    eps = text.config.get("layer_norm_eps", sizes.norm_eps)
    sizes = replace(sizes, norm_eps=float(eps) if isinstance(eps, float | int) else sizes.norm_eps)
    reasons = sorted({why for _, why in ledger.close(r"bert\.|cls_projection_head\.")})
    lines = tuple(f"dropped of the report encoder: {why}" for why in reasons)
    return CxrBert(text.path, sizes, bert, head, bert[_WORDS].shape[0], read_tokenizer(given), lines)


def _number(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    return value if isinstance(value, int) and value > 0 else None


def _renamed(key: str) -> str:
    """Norms under today's names: old files say gamma and beta."""
    return re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", key))
