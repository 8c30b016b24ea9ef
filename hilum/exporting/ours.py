"""Our own format: safetensors, config.json and the card; with the tokenizer where the encoder reads reports.

It holds everything, so it also re-packs: a released file goes in, a folder that needs no layout comes out.
"""

from __future__ import annotations

import json
from pathlib import Path

from hilum.checkpoint import CONFIG, TOKENIZER, WEIGHTS, write_weights
from hilum.encoder import TOWERS, Encoder
from hilum.exporting.formats import Written
from hilum.model_card import Loading


def write(encoder: Encoder, folder: Path) -> Written:
    """Write model.safetensors, config.json and tokenizer.json."""
    weights = encoder.model.state_dict()
    if encoder.towers is not None:
        weights.update({TOWERS + key: value for key, value in encoder.towers.state_dict().items()})
    write_weights(folder / WEIGHTS, weights)
    (folder / CONFIG).write_text(json.dumps(encoder.describe(), indent=2) + "\n")
    if encoder.tokenizer is not None:
        (folder / TOKENIZER).write_text(encoder.tokenizer.to_json())
    return Written(f"encoder of {len(weights)} tensors", Loading())
