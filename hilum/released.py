"""Released checkpoint files as encoders: whose layout it is, and the pixels that this file was trained on.

| layout | films | text tower |
|---|---|---|
| MAE | ImageNet's mean and deviation on three channels | none |
| MRM | MIMIC's mean and deviation, grey repeated | none |
| MaCo | the same, letterboxed | with `tokenizer`, which the file does not hold |
| MGCA, MedIM | (x - 0.5) / 0.5, letterboxed to 240 and cut to 224 | none: its image side alone |
| CheXFound | shorter side and centre crop, each film to its own [0, 1], then ImageNet's | none: the teacher alone |
| DINOv2 | shorter side and centre crop, ImageNet's | none |
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from hilum.checkpoint import file_digest
from hilum.encoder import Encoder
from hilum.errors import CheckpointError
from hilum.models.fill import fill
from hilum.models.pretrained import Pretrained, is_chexfound, is_mrm, read_tensors, sort_chexfound, sort_mae, sort_mrm
from hilum.models.pretrained.chexfound import ChexfoundFile
from hilum.models.pretrained.maco import MacoFile, is_maco, sort_maco
from hilum.models.pretrained.medim import is_mgca, sort_mgca
from hilum.models.towers import Towers
from hilum.models.vit import VisionTransformer
from hilum.schema import Preprocessing
from hilum.transforms.text import WordPiece

MIMIC: Mapping[str, Any] = {"mean": (0.4978,), "std": (0.2449,)}  # MRM's and MaCo's, one grey value for all channels


def load_released(path: Path, *, heads: int | None = None, tokenizer: str | Path | None = None) -> Encoder:
    """An encoder from a file in one of the layouts above.

    Args:
        path: the file.
        heads: attention heads of the image encoder, which no tensor tells; width // 64 where omitted.
        tokenizer: of a MaCo file's report encoder: a tokenizer.json, vocab.txt or folder.

    Raises:
        CheckpointError: unreadable, of no known layout, only partly filled, or with another vocabulary.
    """
    tensors = read_tensors(path)
    file: Pretrained | MacoFile | ChexfoundFile
    look: Mapping[str, Any]
    if is_maco(tensors):
        file = sort_maco(tensors, heads=heads, text_heads=None, where=path)
        image, look, layout = file.image, {**MIMIC, "resize": "pad"}, "MaCo"
    elif is_mrm(tensors):
        image = file = sort_mrm(tensors, heads=heads, text_heads=None, where=path).image
        look, layout = MIMIC, "MRM"
    elif is_mgca(tensors):
        image = file = sort_mae(sort_mgca(tensors, where=path).image, heads=heads, where=path)
        look, layout = {"mean": (0.5,), "std": (0.5,), "resize": "pad"}, "MGCA"
    elif is_chexfound(tensors):
        file = sort_chexfound(tensors, heads=heads, where=path)
        image, layout = file.image, "DINOv2" if file.bare else "CheXFound"
        look = {**_imagenet(image), "resize": "shortest", "rescale": "none" if file.bare else "minmax"}
    else:
        image = file = sort_mae(tensors, heads=heads, where=path)
        look, layout = _imagenet(image), "MAE"
    model = VisionTransformer(image.config)
    fill(model, image.backbone, where=path)
    origin = {"file": path.name, "sha256": file_digest(path), "layout": layout, "notes": list(file.report())}
    if tokenizer is None:
        return Encoder(model, _record(image, look, path), origin)
    if not isinstance(file, MacoFile):
        raise CheckpointError(
            f"is a {layout} file: it holds no text tower for a tokenizer", where=path, fix="Leave out the tokenizer"
        )
    reader = WordPiece.read(tokenizer)
    towers = _towers(file, image, reader, path)
    return Encoder(model, _record(image, look, path), origin, towers=towers, tokenizer=reader)


def _towers(file: MacoFile, image: Pretrained, reader: WordPiece, path: Path) -> Towers:
    """A MaCo file's towers behind the tokenizer that they were trained with."""
    if len(reader) != file.vocabulary:
        raise CheckpointError(
            f"reads {file.vocabulary:,} word pieces and the tokenizer has {len(reader):,}",
            where=path,
            fix="Give the tokenizer the file was trained with",
        )
    towers = Towers(file.config, image.config.width, image.config.patches, file.vocabulary, pad_id=reader.pad_id)
    weights: Mapping[str, Tensor] = file.towers
    fill(towers, weights, where=path)
    return towers


def _imagenet(image: Pretrained) -> dict[str, Any]:
    """MAE's normalisation: ImageNet's on three channels; on one, half of the range."""
    return {} if image.config.channels == 3 else {"mean": (0.5,), "std": (0.25,)}


def _record(image: Pretrained, look: Mapping[str, Any], path: Path) -> Preprocessing:
    """The preprocessing record of a file, its grey values repeated over the channels."""
    channels = image.config.channels
    if channels not in (1, 3):
        raise CheckpointError(f"takes {channels} input channels", where=path, fix="Give an encoder of 1 or 3 channels")
    values = {k: v * channels if k in ("mean", "std") and len(v) == 1 else v for k, v in look.items()}
    return Preprocessing(size=image.config.image_size, channels=channels, **values)
