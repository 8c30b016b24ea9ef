"""A pickled network as its state dict: torch.nn modules, and the modules of TorchScript archives.

The names are those that `Module.state_dict()` would give, found in what the pickle sets on each module: `_parameters`,
`_buffers` (without those that the module does not keep) and `_modules`; a TorchScript module holds its tensors and its
submodules as attributes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from hilum.models.unpickling.records import Object, RefusedError, Tensor

_DEPTH: Final = 60
_TENSORS: Final = 200_000
_HIDDEN: Final = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_backend")


def is_module(value: Any) -> bool:
    """Whether an object is a network."""
    if not isinstance(value, Object) or not isinstance(value.state, dict):
        return False
    return _is_script(value) or {"_parameters", "_buffers", "_modules"} <= value.state.keys()


def state_dict(module: Object) -> dict[str, Tensor]:
    """The tensors of a network under their names.

    Raises:
        RefusedError: nested too deeply, or too many.
    """
    tensors = {}
    for count, (name, tensor) in enumerate(_walk(module, "", 0)):
        if count >= _TENSORS:
            raise RefusedError(f"the network in it has more than {_TENSORS:,} tensors")
        tensors[name] = tensor
    return tensors


def plain_attributes(module: Object) -> dict[str, Any]:
    """What a network holds beside its tensors and submodules: class names, sizes, thresholds."""
    return {
        name: value
        for name, value in module.state.items()
        if name not in _HIDDEN
        and not name.endswith("_hooks")
        and not isinstance(value, Tensor)
        and not is_module(value)
    }


def _is_script(value: Any) -> bool:
    return isinstance(value, Object) and value.kind.module.startswith("__torch__") and isinstance(value.state, dict)


def _walk(module: Object, prefix: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    if depth > _DEPTH:
        raise RefusedError(f"the network in it is nested more than {_DEPTH} deep")
    if _is_script(module):
        own = below = module.state
        passing: list[str] = []
    else:
        own = {**_dict(module.state["_parameters"]), **_dict(module.state["_buffers"])}
        below = _dict(module.state["_modules"])
        passing = module.state.get("_non_persistent_buffers_set") or []
    for name, value in own.items():
        if isinstance(value, Tensor) and not (isinstance(passing, list) and name in passing):
            yield prefix + name, value
    for name, value in below.items():
        if is_module(value):
            yield from _walk(value, f"{prefix}{name}.", depth + 1)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
