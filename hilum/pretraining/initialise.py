"""Where weights start: a released file its own way, one of our encoders by its backbone, a BERT folder for text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hilum import checkpoint as ckpt
from hilum.encoder import encoder_folder, load
from hilum.errors import CheckpointError
from hilum.models.fill import fill
from hilum.models.vit import VisionTransformer
from hilum.models.vit_weights import at_grid
from hilum.pretraining.load import load_method


def initialise_from(method: Any, source: str) -> tuple[str, ...]:
    """Start a method from other weights.

    Returns:
        What was used and what was not, a line each, for the log.

    Raises:
        CheckpointError: the weights do not fill the whole backbone; nothing has changed then.
    """
    path = Path(source)
    if path.is_file():
        lines: tuple[str, ...] = method.start_from(path)
        return (f"start from {path.name}, sha256 {ckpt.file_digest(path)}", *lines)
    earlier = _stage_of(method, path)
    if earlier is not None:
        folder, stage = earlier
        lines = method.start_from_method(stage, where=folder)
        digest = ckpt.file_digest(folder / ckpt.WEIGHTS)
        return (f"start from the stage {source}, step {folder.name}, sha256 {digest}", *lines)
    encoder = load(path)
    weights, backbone = encoder.model.state_dict(), method.backbone
    if isinstance(encoder.model, VisionTransformer) and isinstance(backbone, VisionTransformer):
        weights = at_grid(weights, encoder.model.config, backbone.config)
    weights_file = encoder_folder(path) / ckpt.WEIGHTS
    own = ckpt.file_digest(weights_file) if weights_file.is_file() else None
    note = f"start from the encoder {source}, sha256 {own or encoder.origin.get('sha256')}: {len(weights)} tensors"
    if hasattr(method, "start_from_encoder"):
        return (note, *method.start_from_encoder(weights, where=path))
    fill(backbone, weights, where=path)
    return (note,)


def _stage_of(method: Any, path: Path) -> tuple[Path, Any] | None:
    """The newest checkpoint of a run of the same method that hands on more than its encoder, and its method."""
    saved = ckpt.checkpoints(path)
    if not saved or not hasattr(method, "start_from_method"):
        return None
    earlier = load_method(saved[-1])
    return (saved[-1], earlier) if type(earlier) is type(method) else None


def initialise_text_from(method: Any, source: str) -> tuple[str, ...]:
    """Start a method's report encoder from a BERT folder, or from the text tower of an encoder of ours.

    Returns:
        What was used and what was not, a line each, for the log.

    Raises:
        CheckpointError: neither, or of other sizes or words; nothing has changed then.
    """
    path = Path(source)
    if not path.is_dir():
        raise CheckpointError("no such folder", where=path, fix="Give a BERT folder: config.json, weights, vocab.txt")
    if (encoder_folder(path) / ckpt.FILES).is_file():
        return _text_of_an_encoder(method, path)
    lines: tuple[str, ...] = method.start_text_from(path)
    weights = [file for file in (path / "model.safetensors", path / "pytorch_model.bin") if file.is_file()]
    digests = [f"text starts from {path.name}/{file.name}, sha256 {ckpt.file_digest(file)}" for file in weights[:1]]
    return (*digests, *lines)


def _text_of_an_encoder(method: Any, path: Path) -> tuple[str, ...]:
    """Fill the report encoder from the text tower of an encoder of ours."""
    towers, tokenizer = load(path).require_towers()
    if tokenizer.digest != method.tokenizer.digest:
        raise CheckpointError(
            "was trained with another tokenizer", where=path, fix="Leave out --tokenizer, and its own is used"
        )
    reader = method.towers.text if getattr(method, "towers", None) is not None else method.report
    pooled = any("pooler" in key for key in reader.state_dict())
    weights = {key: v for key, v in towers.text.state_dict().items() if pooled or "pooler" not in key}
    fill(reader, weights, where=path)
    digest = ckpt.file_digest(encoder_folder(path) / ckpt.WEIGHTS)
    return (f"text starts from the encoder {path}, sha256 {digest}: {len(weights)} tensors",)
