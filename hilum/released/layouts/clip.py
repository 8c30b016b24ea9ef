"""CLIP and its kin on chest films: OpenAI CLIP, CheXzero, PubMedCLIP, open_clip's and Hugging Face's folders.

Papers: CLIP https://arxiv.org/abs/2103.00020; CheXzero https://doi.org/10.1038/s41551-022-00936-9; PubMedCLIP
https://aclanthology.org/2023.findings-eacl.88. Released code: openai/CLIP, rajpurkarlab/CheXzero at 5c341db,
sarahESL/PubMedCLIP.

The three share every name and shape and differ in their pixels, which no tensor tells. So a file in OpenAI's names
must say whose it is: by `--layout`, by its name (CheXzero releases best_64_5e-05_original_22000_0.864.pt and nine
like it), or by what lies in it (OpenAI's own releases hold `input_resolution`; open_clip's folders a configuration).
Where nothing says it, the file is refused with the choices, since wrong pixels show nowhere but in worse numbers.

A trap of CheXzero's code, whose helper builds a ViT-B/16 of 320 pixels unless told "pretrained", does not arise here:
sizes are read from the tensors. The tokenizer is never in a file; give it with `--tokenizer`.
"""

from __future__ import annotations

import re
from typing import Final

from hilum.errors import CheckpointError
from hilum.models.backbone import Architecture
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.layouts.clip_names import (
    ClipParts,
    huggingface_prefix,
    openai_prefix,
    take_huggingface,
    take_openai,
)
from hilum.released.layouts.clip_sizes import image_config, joint_of
from hilum.released.ledger import Ledger
from hilum.released.pixels import from_open_clip, from_processor, record
from hilum.released.source import Source
from hilum.schema import Preprocessing

_CHEXZERO: Final = re.compile(r"chexzero|best_\d+_[\d.e-]+_original_\d+_[\d.]+\.pth?$", re.IGNORECASE)
_PUBMEDCLIP: Final = re.compile(r"pubmed[-_]?clip", re.IGNORECASE)
_CLIP: Final = re.compile(r"(clip[-_])?(vit[-_][bl][-_]\d+([-_@]336(px)?)?|rn\d+(x\d+)?)\.pth?$", re.IGNORECASE)
_ENDS: Final = r"(.*\.)?(visual|vision_model|text_model|text|transformer|blocks)\."  # what must not be left over


def whose(source: Source) -> str | None:
    """The layout that a file in OpenAI's names belongs to, as far as it says so itself; None where it does not."""
    prefix = openai_prefix(source.tensors)
    if prefix is None:
        return None
    if f"{prefix}input_resolution" in source.tensors or "model_cfg" in source.config:
        return "clip"
    for name in (source.path.name, *(file.name for file in source.weights)):
        told = {"pubmedclip": _PUBMEDCLIP.search(name), "chexzero": _CHEXZERO.search(name), "clip": _CLIP.match(name)}
        if layout := next((layout for layout, said in told.items() if said), None):
            return layout
    return None


def _is_openai(source: Source) -> bool:
    return openai_prefix(source.tensors) is not None


def _is_chexzero(source: Source) -> bool:
    return whose(source) == "chexzero"


def _is_pubmedclip(source: Source) -> bool:
    return whose(source) == "pubmedclip"


def _is_clip(source: Source) -> bool:
    return _is_openai(source) or huggingface_prefix(source.tensors) is not None


def read_clip(source: Source, asked: Asked) -> Found:
    """OpenAI's own and open_clip's, and Hugging Face's folders, which say their pixels themselves.

    Raises:
        CheckpointError: in OpenAI's names without a word on whose it is.
    """
    ledger = Ledger(source.tensors, source.path)
    if not _is_openai(source):
        return _read(source, asked, "clip", take_huggingface(ledger), ledger)
    if whose(source) is None and asked.layout is None:
        raise CheckpointError(
            "has the tensors of CLIP, and nothing tells whether it is OpenAI's, CheXzero or PubMedCLIP, which saw "
            "differently prepared pixels",
            where=source.path,
            fix="Say whose with hilum convert --layout chexzero, pubmedclip or clip",
        )
    return _read(source, asked, "clip", take_openai(ledger), ledger)


def read_chexzero(source: Source, asked: Asked) -> Found:
    """CheXzero: CLIP's ViT-B/32, further trained on impressions."""
    ledger = Ledger(source.tensors, source.path)
    return _read(source, asked, "chexzero", take_openai(ledger), ledger)


def read_pubmedclip(source: Source, asked: Asked) -> Found:
    """PubMedCLIP: CLIP's ViT-B/32, RN50 and RN50x4, further trained on figures of articles."""
    ledger = Ledger(source.tensors, source.path)
    return _read(source, asked, "pubmedclip", take_openai(ledger), ledger)


def _read(source: Source, asked: Asked, layout: str, parts: ClipParts, ledger: Ledger) -> Found:
    sizes = image_config(parts, source, asked)
    pixels, notes = _pixels(source, layout, sizes)
    dropped = ledger.close(_ENDS)
    return Found(sizes, parts.image, pixels, dropped, notes=notes, joint=joint_of(parts, source, asked))


def _pixels(source: Source, layout: str, sizes: Architecture) -> tuple[Preprocessing, tuple[str, ...]]:
    """The record, and a line on why this one."""
    size, channels = sizes.image_size, sizes.channels
    if layout == "clip" and (source.pixels or "preprocess_cfg" in source.config):
        name = "preprocessor_config.json" if source.pixels else "open_clip_config.json"
        values = source.pixels or source.config
        found = (from_processor if source.pixels else from_open_clip)(values, where=source.path / name)
        if found.channels != channels:
            raise CheckpointError(
                f"takes {channels} channels, and {name} speaks of {found.channels}", where=source.path
            )
        return found.at(size), (f"pixels as its {name} says",)
    others = ", ".join(name for name in ("chexzero", "pubmedclip", "clip") if name != layout)
    note = f"pixels of {layout}; its names and shapes would fit {others} too (--layout)"
    return record(layout, size=size, channels=channels), (note,)


LAYOUT: Final = Layout("CLIP", _is_clip, read_clip)
CHEXZERO: Final = Layout("CheXzero", _is_chexzero, read_chexzero, _is_openai)
PUBMEDCLIP: Final = Layout("PubMedCLIP", _is_pubmedclip, read_pubmedclip, _is_openai)
