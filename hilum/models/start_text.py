"""Start a report encoder from a BERT folder, whole or not at all; what differs by design is named."""

from __future__ import annotations

from pathlib import Path

from hilum.errors import CheckpointError
from hilum.models.fill import fill
from hilum.models.text import ReportEncoder, read_bert

_POSITIONS = "bert.embeddings.position_embeddings.weight"
_WORDS = "bert.embeddings.word_embeddings.weight"
_POOLER = "bert.pooler."


def start_report_encoder(encoder: ReportEncoder, folder: str | Path) -> tuple[str, ...]:
    """Fill `encoder` from a BERT folder: its first layers, and of its position table the first rows.

    A pooled vector's layer that the folder lacks keeps its random weights; one that the encoder lacks is left behind;
    fixed positions stay fixed.

    Returns:
        What was used and what was not, a line each, for the log.

    Raises:
        CheckpointError: no BERT folder, or one of other sizes; nothing has changed then.
    """
    own = encoder.config
    config, weights = read_bert(folder, depth=own.depth)
    mine = encoder.state_dict()
    entries, wanted = weights[_WORDS].shape[0] if _WORDS in weights else 0, mine[_WORDS].shape[0]
    if entries != wanted:
        what = f"knows {entries:,} word pieces and the tokenizer has {wanted:,}"
        raise CheckpointError(what, where=folder, fix="Let the tokenizer be this folder's: leave out --tokenizer")
    if config.heads != own.heads:
        what = f"has {config.heads} attention heads and the report encoder {own.heads}"
        raise CheckpointError(what, where=folder, fix=f"Set text.heads={config.heads}")
    notes = [f"report encoder: {config.depth} layers of width {config.width} start from the folder"]
    if own.position == "sincos":
        weights[_POSITIONS] = mine[_POSITIONS]
        notes.append("its positions stay fixed: the folder's table is left behind")
    elif config.positions > own.positions:
        weights[_POSITIONS] = weights[_POSITIONS][: own.positions]
        notes.append(f"the first {own.positions} of its {config.positions} positions are used")
    pooled = {key for key in mine if key.startswith(_POOLER)}
    if pooled and not pooled & weights.keys():
        weights |= {key: mine[key] for key in pooled}
        notes.append("the pooled vector's layer starts from random weights: the folder has none")
    elif not pooled and any(key.startswith(_POOLER) for key in weights):
        weights = {key: value for key, value in weights.items() if not key.startswith(_POOLER)}
        notes.append("the pooled vector's layer is left behind: the method does not use it")
    fill(encoder, weights, where=folder)
    return tuple(notes)
