"""Where MedIM's pretrained decoder is found: in its run's newest checkpoint, or in a file of its official code."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from hilum.checkpoint import CONFIG, checkpoints, load_checkpoint, read_config
from hilum.models.pretrained.medim import is_mgca, sort_mgca
from hilum.models.pretrained.tensors import read_tensors

PREFIX = "decoder."  # of its weights in a checkpoint of the method


def pretrained_decoder(source: str | Path) -> dict[str, Tensor] | None:
    """The decoder that belongs to an encoder; None where there is none.

    Args:
        source: what the encoder is loaded from: a run of `hilum pretrain medim`, one of its checkpoints, or a file.

    Returns:
        Weights with the keys of `RestorationDecoder`.
    """
    path = Path(source)
    if path.is_file():
        tensors = read_tensors(path)
        return (sort_mgca(tensors, where=path).decoder or None) if is_mgca(tensors) else None
    folders = [path, *reversed(checkpoints(path))] if path.is_dir() else []
    for folder in folders:
        if not (folder / CONFIG).is_file() or read_config(folder).get("method") != "medim":
            continue
        weights, _ = load_checkpoint(folder)
        found = {name.removeprefix(PREFIX): value for name, value in weights.items() if name.startswith(PREFIX)}
        if found:
            return found
    return None


def decoder_sizes(weights: dict[str, Tensor]) -> tuple[int, ...]:
    """Features after each block of a decoder."""
    found: list[int] = []
    while (name := f"decoder_{len(found) + 1}.0.weight") in weights:
        found.append(len(weights[name]))
    return tuple(found)
