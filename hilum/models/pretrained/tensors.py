"""The tensors of a foreign checkpoint file, out of whichever container and under whichever prefix they sit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.file_kinds import SAFETENSORS, open_checkpoint
from hilum.models.safetensors_file import read_safetensors
from hilum.models.unpickle import PickledModule, read_pickle

_PREFIXES: Final = ("module.", "encoder.", "backbone.")  # DataParallel, and wrappers around an encoder
# where training files keep the weights; an average over the steps before the last step's, as it is what was judged
_WRAPPERS: Final = (
    *("state_dict_ema", "model_ema_state_dict", "model_ema", "params_ema", "state_dict", "model_state_dict"),
    *("model_state", "model", "module", "network", "net", "params", "checkpoint"),
)
# tensors of training, not of a network
_NO_NETWORK: Final = ("optim", "sched", "scaler", "loss", "criterion", "callback")
_MOST, _LONGEST = 100_000, 1000  # tensors, and characters of a name
_WHOLE: Final = "Give a file with the weights of a network by their names"


@dataclass(frozen=True)
class Content:
    """What a checkpoint file holds.

    Attributes:
        tensors: the state dict under the keys of the file. A file with one dictionary a network gives them as
            `student.<key>` and `teacher.<key>`.
        wrapper: the keys under which it lay, outermost first, joined by dots; "" where it lay bare.
        extra: plain values beside the tensors (args, hyper_parameters, epoch), without any tensor; of a pickled
            network its attributes, its class as "class".
        aside: other networks of the file, which were passed over for the one in the wrapper.
    """

    tensors: dict[str, Tensor]
    wrapper: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    aside: tuple[str, ...] = ()


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The state dict of a .pth, .pt, .ckpt or .safetensors file, under the keys of the file.

    Raises:
        CheckpointError: unreadable, or without tensors.
    """
    return read_content(path).tensors


def read_content(path: str | Path) -> Content:
    """The state dict of a checkpoint file with what stood around it.

    Args:
        path: a .pth, .pt, .ckpt, .bin or .safetensors file; its bytes tell which, not its name.

    Raises:
        CheckpointError: unreadable, or without tensors.
    """
    content: Any
    with open_checkpoint(path) as (_, kind):
        content = read_safetensors(path) if kind is SAFETENSORS else read_pickle(path)
    if not isinstance(content, dict):
        raise CheckpointError("holds no dictionary of tensors", where=path, fix=_WHOLE)
    opened: list[str] = []
    aside: list[str] = []
    extra: dict[str, Any] = {}
    while name := next((name for name in _WRAPPERS if _holds_tensors(content.get(name))), None):
        opened.append(name)
        aside += [key for key, value in content.items() if key != name and _is_network(key, value)]
        extra |= _plain({key: value for key, value in content.items() if key != name})
        content = content[name]
    if isinstance(content, PickledModule):
        extra |= {**_plain(content.plain), "class": content.kind}
    tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    for name, value in content.items():
        if _is_network(name, value):
            tensors |= {f"{name}.{key}": item for key, item in value.items() if isinstance(item, Tensor)}
    if not tensors:
        raise CheckpointError("holds no tensors", where=path, fix=_WHOLE)
    if len(tensors) > _MOST:
        raise CheckpointError(f"holds {len(tensors):,} tensors, more than any network", where=path, fix=_WHOLE)
    if odd := next((key for key in tensors if len(key) > _LONGEST or not key.isprintable()), None):
        what = f"holds a tensor with a name as no network has it: {odd[:60]!r}"
        raise CheckpointError(what, where=path, fix=_WHOLE)
    return Content(tensors, ".".join(opened), extra | _plain(content), tuple(aside))


def stripped(key: str) -> str:
    """A key without the prefixes of wrappers."""
    while key.startswith(_PREFIXES):
        key = key.split(".", 1)[1]
    return key


def _is_network(name: str, value: Any) -> bool:
    return _holds_tensors(value) and not name.startswith(_NO_NETWORK)


def _holds_tensors(value: Any, depth: int = 2) -> bool:
    """Whether a value is a dictionary with a tensor, or with such a dictionary one or two levels down."""
    if not isinstance(value, Mapping):
        return False
    if any(isinstance(item, Tensor) for item in value.values()):
        return True
    return depth > 0 and any(_holds_tensors(item, depth - 1) for item in value.values())


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that hold no tensor at any depth."""
    return {key: value for key, value in values.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(item) for item in value.values())
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return not isinstance(value, Tensor)
