"""Where MaCo's weights start: a released MAE or MaCo file for films (and reports), a BERT folder for reports alone.

Paper: MaCo, https://arxiv.org/abs/2309.05904; released code: the encoder from ImageNet's MAE, all else from random
weights.
Departures: none in value. A released MaCo file may also fill the towers and the temperature, where the shapes agree;
what is not filled is said, part by part.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hilum.errors import CheckpointError
from hilum.methods.masked_image import start_decoder
from hilum.models.fill import fill, fits
from hilum.models.pretrained import read_tensors, sort_mae
from hilum.models.pretrained.maco import MacoFile, is_maco, sort_maco
from hilum.models.start_text import start_report_encoder
from hilum.models.text import ReportEncoder

if TYPE_CHECKING:
    from hilum.methods.maco import MaCo


def start_from_file(model: MaCo, path: str | Path, *, heads: int | None = None) -> tuple[str, ...]:
    """Fill what a released MAE or MaCo file holds.

    Args:
        model: the encoder must fit the file; of a MaCo file the other parts are filled where they fit.
        path: a .pth or .safetensors file in MAE's or MaCo's layout.
        heads: attention heads of the file's encoder, which no tensor tells; this model's where omitted.

    Returns:
        What was done, one line each, for the log.

    Raises:
        CheckpointError: damaged, or of another architecture; nothing of the model has changed then.
    """
    tensors = read_tensors(path)
    heads = heads or model.backbone.config.heads
    file = None
    if is_maco(tensors):
        file = sort_maco(tensors, heads=heads, text_heads=model.config.text.heads, where=path)
    image = file.image if file is not None else sort_mae(tensors, heads=heads, where=path)
    fill(model.backbone, image.backbone_for(model.backbone.config), where=path)
    notes = [*(file.report() if file is not None else image.report())]
    notes.append(start_decoder(model.decoder, image.decoder, where=path))
    if file is not None and model.towers is not None:
        notes += _start_towers(model, file, path)
    return tuple(notes)


def start_text_from_folder(model: MaCo, path: str | Path) -> tuple[str, ...]:
    """Fill the report encoder from a BERT folder; see `start_report_encoder`.

    Raises:
        CheckpointError: no BERT folder, or of other sizes or another vocabulary; nothing has changed then.
    """
    if model.towers is None:
        raise CheckpointError("this model reads no reports (contrast=none)", where=path, fix="Leave it out")
    assert isinstance(model.towers.text, ReportEncoder)  # as its configuration says
    return start_report_encoder(model.towers.text, path)


def _start_towers(model: MaCo, file: MacoFile, path: str | Path) -> list[str]:
    """Report encoder, projection, weights of positions and temperature, each where it fits; a line each."""
    assert model.towers is not None
    parts = {
        "text.": ("the report encoder", model.towers.text),
        "image_head.": ("the projection of films", model.towers.image_head),
        "position.": ("the weights of positions", model.towers.position),
    }
    notes = []
    for prefix, (name, part) in parts.items():
        weights = {key.removeprefix(prefix): value for key, value in file.towers.items() if key.startswith(prefix)}
        if part is None:
            notes.append(f"{name} of the file are left out: this model has none (contrast={model.config.contrast})")
        elif fits(part, weights):
            fill(part, weights, where=path)
            notes.append(f"{name}: {len(weights)} tensors from the file")
            if prefix == "text.":
                notes.append("its word pieces are those of the release: give that --tokenizer, or they mean nothing")
        else:
            notes.append(f"{name}: random weights, the file has none of this shape")
    if file.scale is not None:
        form = model.config.temperature_form
        value = {"log": file.scale.log(), "multiplier": file.scale, "divisor": 1 / file.scale}[form]
        if bool(torch.isfinite(value).all()):
            model.temperature.data.copy_(value)
            notes.append(f"the cosines are multiplied by {file.scale.item():.4g}, as in the file")
    return notes
