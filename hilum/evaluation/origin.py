"""Where a trained model comes from: kept beside its weights, in words that mean something on another machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hilum.evaluation.prepared import prepared_as
from hilum.manifest import Manifest


def origin_of(options: Any, train: Manifest, encoder_digest: str, *more: str) -> dict[str, Any]:
    """Encoder, data and films of a training, without paths of this machine.

    Args:
        options: of any task: `encoder`, `data`, `weights`, `views`, `preset` and `seed` are read.
        train: the training films.
        encoder_digest: sha256 of the encoder's weights.
        more: further fields of the options to keep.
    """
    table = train.table
    return {
        "encoder": Path(options.encoder).name if options.weights == "pretrained" else "random weights",
        "encoder_sha256": encoder_digest,
        "data": Path(options.data).name,
        "prepared": prepared_as(Path(options.data)).to_json(),
        "sources": sorted(set(table["source"]) - {""}) if "source" in table else [],
        "views": list(options.views),
        "preset": options.preset,
        **{name: getattr(options, name) for name in more},
        "train_films": len(train),
        "train_patients": int(table["patient_id"].nunique()),
        "seed": options.seed,
    }
