"""The tensors of a foreign checkpoint file, out of whichever container and under whichever prefix they sit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.unpickle import read_pickle

_PREFIXES: Final = ("module.", "encoder.", "backbone.")  # DataParallel, and wrappers around an encoder
_CONTAINERS: Final = ("model", "state_dict")  # where training files keep the weights
_NETWORKS: Final = ("student", "teacher")  # where files of self-distillation keep each network


@dataclass(frozen=True)
class Content:
    """What a file held."""

    tensors: Mapping[str, Tensor]  # names of the file, wrappers opened
    wrapper: str  # under which name they lay
    extra: Mapping[str, Any]  # plain values beside them


def read_content(path: str | Path) -> Content:
    """The tensors of a file, and the plain values beside them."""
    return Content(read_tensors(path), "", {})


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The state dict of a .pth, .pt, .ckpt or .safetensors file, under the keys of the file.

    A file with one dictionary a network gives them as `student.<key>` and `teacher.<key>`.

    Raises:
        CheckpointError: unreadable, or without tensors.
    """
    content: Any
    if Path(path).suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            content = load_file(path)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"cannot be read as safetensors ({error})", where=path) from error
    else:
        content = read_pickle(path)
    for container in _CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(container), dict):
            content = content[container]
    if not isinstance(content, dict):
        raise CheckpointError("holds no dictionary of tensors", where=path)
    for network in _NETWORKS:
        if isinstance(content.get(network), dict):
            content = {**content, **{f"{network}.{key}": value for key, value in content[network].items()}}
    tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError("holds no tensors", where=path)
    return tensors


def stripped(key: str) -> str:
    """A key without the prefixes of wrappers."""
    while key.startswith(_PREFIXES):
        key = key.split(".", 1)[1]
    return key
