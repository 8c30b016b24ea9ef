"""A whole pretrained method, decoders and all: for what the exported encoder no longer has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hilum import checkpoint as ckpt
from hilum.config import override
from hilum.errors import CheckpointError
from hilum.lookup import lookup
from hilum.methods import METHODS, build, reads_reports
from hilum.models.fill import fill
from hilum.transforms.text import WordPiece

RUN = "Give the folder of a `hilum pretrain` run"


def load_method(source: str | Path) -> Any:
    """The method of a pretraining run as its newest checkpoint left it, or of one checkpoint folder; in eval mode.

    Raises:
        CheckpointError: no such run or checkpoint, damaged, or not of a pretraining method.
    """
    path = Path(source)
    saved = ckpt.checkpoints(path)
    folder = saved[-1] if saved else path
    if not (folder / ckpt.WEIGHTS).is_file():
        raise CheckpointError(
            "holds no training checkpoint", where=path, fix="Give the folder of a `hilum pretrain` run"
        )
    weights, config = ckpt.load_checkpoint(folder)
    if config.get("kind") != "method":
        what = f"is a {config.get('kind', 'foreign')} checkpoint, not a pretraining method's"
        raise CheckpointError(what, where=folder, fix=RUN)
    name = config["method"]
    module = lookup(METHODS, name, kind="method").__module__
    default = lookup({"config": f"{module}:Config"}, "config", kind="class")()
    tokenizer = WordPiece.read(folder / ckpt.TOKENIZER) if reads_reports(name) else None
    method = build(name, override(default, config["config"], where=str(folder / ckpt.CONFIG)), tokenizer)
    fill(method, weights, where=folder / ckpt.WEIGHTS)
    method.eval()
    return method
