"""Where MRM's weights start: a released MAE or MRM file for the record, a BERT folder for the report.

Paper: MRM, https://arxiv.org/abs/2301.13155: the encoder from ImageNet's MAE, everything else from random weights.
Departures: none in value. A released MRM file may also fill every other part, where the shapes agree; what is not
filled is said, part by part.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from hilum.errors import CheckpointError
from hilum.methods.masked_image import start_decoder
from hilum.models.fill import fill, fits
from hilum.models.pretrained import MrmFile, is_mrm, read_tensors, sort_mae, sort_mrm
from hilum.models.start_text import start_report_encoder

if TYPE_CHECKING:
    from hilum.methods.mrm import MRM

_POSITIONS = "bert.embeddings.position_embeddings.weight"


def start_from_file(model: MRM, path: str | Path, *, heads: int | None = None) -> tuple[str, ...]:
    """Fill what a released MAE or MRM file holds.

    Args:
        model: the encoder must fit the file; of an MRM file the other parts are filled where they fit.
        path: a .pth or .safetensors file in MAE's or MRM's layout.
        heads: attention heads of the file's encoder, which no tensor tells; this model's where omitted.

    Returns:
        What was done, one line each, for the log.

    Raises:
        CheckpointError: damaged, or of another architecture; nothing of the model has changed then.
    """
    tensors = read_tensors(path)
    heads = heads or model.backbone.config.heads
    record = None
    if is_mrm(tensors):
        record = sort_mrm(tensors, heads=heads, text_heads=model.config.text.heads, where=path)
    image = record.image if record is not None else sort_mae(tensors, heads=heads, where=path)
    fill(model.backbone, image.backbone_for(model.backbone.config), where=path)
    notes = [*image.report()]
    if model.decoder is not None:
        notes.append(start_decoder(model.decoder, image.decoder, where=path))
    elif image.decoder:
        notes.append("the file's image decoder is left out: this model draws no films")
    if record is not None:
        notes += _start_report_side(model, record, path)
    return tuple(notes)


def start_text_from_folder(model: MRM, path: str | Path) -> tuple[str, ...]:
    """Fill the report decoder from a BERT folder; see `start_report_encoder`.

    Raises:
        CheckpointError: no BERT folder, or of other sizes or another vocabulary; nothing has changed then.
    """
    if model.report is None:
        raise CheckpointError("this model has no report decoder (report_loss=false)", where=path)
    notes = start_report_encoder(model.report, path)
    return (*notes, "the language head and the bridge from film to report start from random weights")


def _start_report_side(model: MRM, file: MrmFile, path: str | Path) -> list[str]:
    """Bridge, report decoder and language head from an MRM file, each where it fits; what happened, a line each."""
    notes = [f"dropped {key}: {why}" for key, why in file.dropped]
    filled = _start(model.bridge, file.bridge, "the bridge from film to report", notes, path)
    report = file.report
    if model.report is not None and model.config.text.position == "sincos":
        report = {**report, _POSITIONS: model.report.state_dict()[_POSITIONS]}
        notes.append("the file's report positions are left out: this model's are fixed")
    filled = _start(model.report, report, "the report decoder", notes, path) and filled
    if model.config.tied and not file.tied:
        notes.append("the file's own output matrix is left out: this model ties it (tied=true) to the word vectors")
    _start(model.words, file.head_for(tied=model.config.tied), "the language head", notes, path)
    if filled:
        notes.append("its words are those of the release: give that tokenizer, or the word vectors mean nothing")
    return notes


def _start(
    part: nn.Module | None, weights: Mapping[str, Tensor], name: str, notes: list[str], path: str | Path
) -> bool:
    """Fill one part where it fits; adds a line either way."""
    if part is None:
        notes.append(f"{name} of the file is left out: this model has none")
    elif fits(part, weights):
        fill(part, weights, where=path)
        notes.append(f"{name} starts from the file")
        return True
    else:
        notes.append(f"{name} starts from random weights: the file has none of this shape")
    return False
