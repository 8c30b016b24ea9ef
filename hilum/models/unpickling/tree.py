"""The content of a checkpoint as JSON, its tensors put aside: what the child hands back beside the numbers.

* `{"map": {key: node}}`: a dictionary, a Namespace, an omegaconf dictionary;
* `{"module": class, "map": ..., "plain": ...}`: a pickled network, its state dict and its other attributes;
* `{"list": [node]}`: a list, tuple or set;
* `{"tensor": name}`: a tensor of the safetensors file;
* anything else: a plain value; the text `<module.Class>` in place of other objects.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, Final

from hilum.models.unpickling.layout import Tensors
from hilum.models.unpickling.modules import is_module, plain_attributes, state_dict
from hilum.models.unpickling.records import Array, Name, Object, RefusedError, Storage, Tensor

_DEPTH: Final = 100
_VALUES: Final = 500_000
_TEXT: Final = 64 << 20  # characters
_OPENED: Final = ("argparse.Namespace", "types.SimpleNamespace")  # objects that are dictionaries in all but name


class Describer:
    """Walks through records once, under limits on depth, number and length."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors
        self.values = self.text = 0
        self.open: set[int] = set()  # containers that the walk is inside of

    def node(self, value: Any, depth: int = 0) -> Any:
        """A value as a node.

        Raises:
            RefusedError: deeper or larger than any checkpoint, or a container inside itself.
        """
        self.values += 1
        if self.values > _VALUES:
            raise RefusedError(f"it holds more than {_VALUES:,} values")
        if depth > _DEPTH:
            raise RefusedError(f"it is nested more than {_DEPTH} deep")
        value = _opened(value)
        if isinstance(value, dict | list | tuple | Object):
            return self._container(value, depth)
        if isinstance(value, Tensor):
            name = self.tensors.name(value)
            return f"<tensor of {value.dtype}>" if name is None else {"tensor": name}
        return self._plain(value)

    def _container(self, value: Any, depth: int) -> Any:
        if id(value) in self.open:
            if isinstance(value, Object):  # objects may know their owner
                return self._plain(value.kind)
            raise RefusedError("a container in it holds itself")
        self.open.add(id(value))
        try:
            if is_module(value):
                names: dict[str, Any] = state_dict(value)
                plain = self._map(plain_attributes(value), depth + 1)
                return {"module": self._key(str(value.kind)), "map": self._map(names, depth + 1), "plain": plain}
            if isinstance(value, dict):
                return {"map": self._map(value, depth + 1)}
            if isinstance(value, list | tuple):
                return {"list": [self.node(item, depth + 1) for item in value]}
            return self._object(value, depth)
        finally:
            self.open.discard(id(value))

    def _object(self, value: Object, depth: int) -> Any:
        if value.items or str(value.kind) in _OPENED:
            state = value.state if isinstance(value.state, dict) and not value.items else {}
            return {"map": self._map({**state, **value.items}, depth + 1)}
        if value.members:
            return {"list": [self.node(item, depth + 1) for item in value.members]}
        return self._plain(value.kind)

    def _map(self, values: dict[str, Any], depth: int) -> dict[str, Any]:
        return {self._key(key): self.node(value, depth) for key, value in values.items()}

    def _key(self, text: str) -> str:
        self.text += len(text)
        if self.text > _TEXT:
            raise RefusedError("it holds more text than any checkpoint")
        return text

    def _plain(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._key(value)
        if isinstance(value, Name):
            return self._key(f"<{value}>")
        if isinstance(value, int) and value.bit_length() > 64:
            return f"<integer of {value.bit_length():,} bits>"
        if isinstance(value, bytes | bytearray):
            return f"<{len(value):,} bytes>"
        if isinstance(value, Storage):
            return f"<storage of {value.count:,} {value.dtype}>"
        return value


def describe(content: Any, skip: Collection[str], tensors: Tensors) -> str:
    """The JSON of a content.

    Args:
        content: as the machine made it.
        skip: keys of the outermost dictionary to leave out.
        tensors: takes the tensors met.
    """
    if isinstance(content, dict):
        content = {key: value for key, value in content.items() if key not in skip}
    return json.dumps(Describer(tensors).node(content), separators=(",", ":"))


def _opened(value: Any) -> Any:
    """A value out of the wrappers that only carry it: arrays, and omegaconf's nodes."""
    for _ in range(_DEPTH):
        if isinstance(value, Array):
            value = value.content
        elif isinstance(value, Object) and value.kind.module.startswith("omegaconf.") and isinstance(value.state, dict):
            inner = next((name for name in ("_val", "_content") if name in value.state), None)
            if inner is None:
                return value
            value = value.state[inner]
        else:
            return value
    raise RefusedError(f"it is nested more than {_DEPTH} deep")
