"""What a call of an allowed name stands for: containers, tensors, arrays, paths; else an `Object` that keeps it all."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from hilum.models.unpickling.names import DTYPES
from hilum.models.unpickling.records import SIZES, Array, Name, Object, RefusedError, Storage, Tensor, key_of

# NumPy's kinds: safetensors' name, struct's letter
_KINDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType({
    "f8": ("F64", "d"), "f4": ("F32", "f"), "f2": ("F16", "e"), "b1": ("BOOL", "?"),
    "i8": ("I64", "q"), "i4": ("I32", "i"), "i2": ("I16", "h"), "i1": ("I8", "b"),
    "u8": ("U64", "Q"), "u4": ("U32", "I"), "u2": ("U16", "H"), "u1": ("U8", "B"),
})  # fmt: skip


def call(name: Name, args: tuple[Any, ...]) -> Any:
    """The record of `name(*args)`; nothing is called.

    Raises:
        RefusedError: a tensor or array whose parts contradict each other.
    """
    text = str(name)
    builder = _BUILDERS.get(text)
    if builder is not None:
        try:
            return builder(*args)
        except TypeError:
            raise RefusedError(f"it calls {text} with other arguments than its writer does") from None
    if text.startswith("torch._utils._rebuild_"):
        return f"<tensor of {text.removeprefix('torch._utils._rebuild_')}>"
    if text.startswith("pathlib.") and all(isinstance(part, str) for part in args):
        return "/".join(args).replace("//", "/")
    return Object(name, args)


def array(state: Any) -> Any:
    """The content of a NumPy array from its state (version, shape, type, Fortran order, bytes).

    Returns:
        A Tensor over the bytes, the list of an array of objects, or text in place of other types.
    """
    _, shape, dtype, fortran, raw = state
    return _tensor_of_bytes(dtype, _integers(shape), raw, fortran=bool(fortran))


def _integers(values: Any) -> tuple[int, ...]:
    """A shape or strides: whole numbers, none of them a bool in disguise."""
    if isinstance(values, int):
        values = (values,)
    if not isinstance(values, list | tuple) or not all(type(value) is int for value in values):
        raise RefusedError("a tensor in it has a shape that is no row of whole numbers")
    if len(values) > 64:
        raise RefusedError(f"a tensor in it has {len(values):,} dimensions")
    return tuple(values)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Any:
    """`torch._utils._rebuild_tensor` and `_rebuild_tensor_v2`."""
    if not isinstance(storage, Storage) or type(offset) is not int:
        raise RefusedError("a tensor in it has no storage of numbers")
    return Tensor(storage, storage.dtype, offset, _integers(shape), _integers(strides))


def _typed_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, grad: Any, hooks: Any, dtype: Any, *rest: Any
) -> Any:
    """`torch._utils._rebuild_tensor_v3`: untyped bytes seen as numbers of a type."""
    plain = _tensor(storage, offset, shape, strides)
    kind = DTYPES.get(dtype.name) if isinstance(dtype, Name) and dtype.module == "torch" else None
    if kind is None:
        return f"<tensor of {dtype}>" if isinstance(dtype, Name) else "<tensor of no type>"
    return Tensor(plain.storage, kind, plain.offset, plain.shape, plain.strides)


def _from_type(function: Any, kind: Any, args: Any, *rest: Any) -> Any:
    """`torch._tensor._rebuild_from_type_v2`: a subclass of tensor, of which the tensor remains."""
    if not isinstance(function, Name) or not isinstance(args, tuple):
        raise RefusedError("a tensor in it is made by what is no name")
    return call(function, args)


def _scalar(dtype: Any, raw: Any = b"") -> Any:
    """A NumPy scalar as a number; text for other types."""
    kind, order = _kind(dtype)
    if kind not in _KINDS:
        return raw if isinstance(raw, str) else f"<numpy scalar of {kind}>"
    name, letter = _KINDS[kind]
    if len(_bytes(raw)) != SIZES[name]:
        raise RefusedError("a number in it has too few or too many bytes")
    return struct.unpack(order + letter, _bytes(raw))[0]


def _kind(dtype: Any) -> tuple[str, str]:
    """The letters of a NumPy type and its byte order."""
    if isinstance(dtype, Name):
        return dtype.name, "<"
    if not isinstance(dtype, Object) or not dtype.args or not isinstance(dtype.args[0], str):
        raise RefusedError("an array in it has no type")
    kind = dtype.args[0]
    order = dtype.state[1] if isinstance(dtype.state, tuple) and len(dtype.state) > 1 else "<"
    return kind.lstrip("<>|="), ">" if ">" in (order, kind[:1]) else "<"


def _bytes(raw: Any) -> bytes:
    """Bytes as Python 3 writes them, or as the text that Python 2's strings are read as."""
    if isinstance(raw, str):
        return raw.encode("latin-1")
    if isinstance(raw, bytes | bytearray):
        return bytes(raw)
    raise RefusedError("an array in it has no bytes")


def _tensor_of_bytes(dtype: Any, shape: tuple[int, ...], raw: Any, *, fortran: bool) -> Any:
    kind, order = _kind(dtype)
    if kind not in _KINDS:
        return raw if isinstance(raw, list) else f"<numpy array of {kind}>"
    name, content = _KINDS[kind][0], _bytes(raw)
    storage = Storage("numpy", name, len(content) // SIZES[name], memoryview(content), swapped=order == ">")
    strides, step = [0] * len(shape), 1
    for axis in range(len(shape)) if fortran else reversed(range(len(shape))):
        strides[axis] = step
        step *= shape[axis]
    return Tensor(storage, name, 0, shape, tuple(strides))


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any = "C") -> Any:
    """`numpy.core.numeric._frombuffer`: arrays of pickle protocol 5."""
    return Array(_tensor_of_bytes(dtype, _integers(shape), raw, fortran=order == "F"))


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    """`_codecs.encode`: how protocol 2 writes the bytes of Python 3."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise RefusedError("it encodes text in a way that no checkpoint needs")
    return text.encode("latin-1")


def _plain_bytes(raw: Any = b"", encoding: Any = "latin-1") -> bytes:
    """`bytes` and `bytearray` of the protocols that have no opcode for them."""
    return bytes(raw) if isinstance(raw, bytes | bytearray) else _encoded(raw, encoding)


def _pairs(pairs: Any = ()) -> dict[str, Any]:
    """`collections.OrderedDict`, empty or with a list of pairs (Python 2)."""
    if isinstance(pairs, dict):
        return dict(pairs)
    return {key_of(key): value for key, value in pairs}


def _members(members: Any = (), *rest: Any) -> list[Any]:
    if not isinstance(members, list | tuple):
        raise RefusedError("a set in it has no members")
    return list(members)


def _object(kind: Any, *args: Any) -> Any:
    """`copyreg.__newobj__`: a class and what its `__new__` is given."""
    if not isinstance(kind, Name):
        raise RefusedError("it makes an object of what is no class")
    return call(kind, args)


def _reconstructed(kind: Any, base: Any, state: Any) -> Any:
    """`copyreg._reconstructor`: an instance in protocols 0 and 1, filled afterwards."""
    return _object(kind)


def _data(data: Any = None, *rest: Any) -> Any:
    """What a parameter or a tensor of another device wraps."""
    return data.content if isinstance(data, Array) else data


_BUILTINS: Final = ("builtins", "__builtin__")  # of Python 3 and 2
_COPYREG: Final = ("copyreg", "copy_reg")
_NUMPY: Final = ("numpy._core", "numpy.core")  # of NumPy 2 and 1
_WRAPPED: Final = (
    *(f"torch._utils._rebuild_{kind}" for kind in ("parameter", "parameter_with_state", "xla_tensor")),
    *("torch._utils._rebuild_device_tensor_from_numpy", "torch._utils._rebuild_device_tensor_from_cpu_tensor"),
    *("torch.nn.parameter.Parameter", "torch.nn.Parameter"),
)

_BUILDERS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        **dict.fromkeys(("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"), _tensor),
        "torch._utils._rebuild_tensor_v3": _typed_tensor,
        **dict.fromkeys(_WRAPPED, _data),
        "torch._tensor._rebuild_from_type_v2": _from_type,
        **{f"torch.jit._pickle.build_{kind}list": _members for kind in ("int", "tensor", "double", "bool", "")},
        "torch.jit._pickle.restore_type_tag": lambda value, tag: value,
        "torch.Size": lambda sizes=(): list(sizes),
        "torch.device": lambda *parts: ":".join(key_of(part) for part in parts),
        "torch.torch_version.TorchVersion": lambda version="", *rest: version,
        **{f"{module}.multiarray._reconstruct": lambda *args: Array() for module in _NUMPY},
        **{f"{module}.multiarray.scalar": _scalar for module in _NUMPY},
        **{f"{module}.numeric._frombuffer": _from_buffer for module in _NUMPY},
        "_codecs.encode": _encoded,
        **dict.fromkeys(("collections.OrderedDict", "collections.Counter"), _pairs),
        "collections.defaultdict": lambda factory=None, *rest: {},
        **{f"{module}.{name}": _members for module in _BUILTINS for name in ("set", "frozenset")},
        **{f"{module}.{name}": _plain_bytes for module in _BUILTINS for name in ("bytes", "bytearray")},
        "collections.deque": _members,
        **{f"{module}._reconstructor": _reconstructed for module in _COPYREG},
        **{f"{module}.{name}": _object for module in _COPYREG for name in ("__newobj__", "__newobj_ex__")},
    }
)
