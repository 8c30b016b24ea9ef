"""A pickle read opcode by opcode into records: the machine has no way to import or call anything.

`pickletools` of the standard library decodes the opcodes and their arguments; the stack, the memo and what each opcode
means are here. Keys of dictionaries become text at once, so that no file can choose keys whose hashes collide; sets
become lists for the same reason. The memo is a dictionary, so that slot 2^31 costs no more than slot 0.

Source: the opcodes' descriptions in Python's own `pickletools`, protocols 0 to 5.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from hilum.models.unpickling import builders
from hilum.models.unpickling.names import allowed
from hilum.models.unpickling.records import Array, Name, Object, RefusedError, Tensor, key_of

_OPCODES: Final = 4_000_000  # a ViT-g with its optimizer has 50,000
_MARK: Final = object()

Persistent = Callable[[Any], Any]


class ByteFile(Protocol):
    """What `pickletools` reads: a file whose `read` gives no more than there is (an mmap, a BytesIO)."""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""

    def readline(self) -> bytes:
        """The rest of the line."""

    def tell(self) -> int:
        """The position."""


def unpickle(file: ByteFile, persistent: Persistent) -> Any:
    """The object of the next pickle in a file; the file then stands behind its STOP.

    Args:
        file: standing at the pickle.
        persistent: what a persistent identity stands for (PyTorch's storages).

    Returns:
        None, numbers, strings, bytes, lists, tuples, dicts with text keys, and records.

    Raises:
        RefusedError: damaged, over the limits, or asking for a name that no checkpoint needs.
    """
    machine = _Machine(persistent)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):  # type: ignore[arg-type]
            if count >= _OPCODES:
                raise RefusedError(f"its pickle runs over {_OPCODES:,} steps")
            if opcode.name == "STOP":
                break
            machine.step(opcode.name, argument)
        return machine.pop()
    except RefusedError:
        raise
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, ArithmeticError) as error:
        told = " ".join(str(error).split())[:80] or type(error).__name__
        raise RefusedError(f"its pickle is damaged ({told})") from None


class _Machine:
    """The stack, with marks on it, and the memo."""

    def __init__(self, persistent: Persistent) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.persistent = persistent

    def step(self, name: str, argument: Any) -> None:
        """Follow one opcode."""
        if name in _NOTHING:
            return
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _LITERALS:
            self.stack.append(argument)
        elif name in _STEPS:
            _STEPS[name](self, argument)
        else:
            raise RefusedError(f"its pickle uses {name}, which no checkpoint needs")

    def pop(self) -> Any:
        """The value on top."""
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value belongs")
        return value

    def pop_to_mark(self) -> list[Any]:
        """The values above the last mark, which goes too."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise ValueError("no mark")

    @property
    def top(self) -> Any:
        """The value on top, left there."""
        if self.stack[-1] is _MARK:
            raise ValueError("a mark where a value belongs")
        return self.stack[-1]


# --- opcodes that need more than a push, in the order of pickletools ---


def _extend(machine: _Machine, values: list[Any]) -> None:
    target = machine.top
    if isinstance(target, Object):
        target = target.members
    if not isinstance(target, list):
        raise ValueError("appends to what is no list")
    target.extend(values)


def _update(machine: _Machine, values: list[Any]) -> None:
    target = machine.top
    if isinstance(target, Object):
        target = target.items
    if not isinstance(target, dict) or len(values) % 2:
        raise ValueError("sets items of what is no dictionary")
    for key, value in zip(values[::2], values[1::2], strict=True):
        target[key_of(key)] = value


def _set_item(machine: _Machine, _: Any) -> None:
    value = machine.pop()
    _update(machine, [machine.pop(), value])


def _put_tuple(count: int) -> Callable[[_Machine, Any], None]:
    def step(machine: _Machine, _: Any) -> None:
        values = [machine.pop() for _ in range(count)]
        machine.stack.append(tuple(reversed(values)))

    return step


def _put_list(machine: _Machine, _: Any) -> None:
    machine.stack.append(machine.pop_to_mark())


def _put_dict(machine: _Machine, _: Any) -> None:
    values = machine.pop_to_mark()
    machine.stack.append({})
    _update(machine, values)


def _pop(machine: _Machine, _: Any) -> None:
    machine.stack.pop()


def _pop_mark(machine: _Machine, _: Any) -> None:
    machine.pop_to_mark()


def _keep(machine: _Machine, slot: Any) -> None:
    if not 0 <= slot <= _OPCODES:  # an honest pickler numbers what it writes
        raise ValueError("a memo slot out of range")
    machine.memo[slot] = machine.top


def _recall(machine: _Machine, slot: Any) -> None:
    if slot not in machine.memo:
        raise ValueError("a memo slot that was never written")
    machine.stack.append(machine.memo[slot])


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    machine.stack.append(allowed(module, name))


def _stack_global(machine: _Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise ValueError("a name that is no text")
    machine.stack.append(allowed(module, name))


def _call(machine: _Machine, called: Any, args: Any) -> None:
    if not isinstance(called, Name) or not isinstance(args, tuple):
        raise RefusedError("it calls what is no name, which no checkpoint needs")
    machine.stack.append(builders.call(called, args))


def _reduce(machine: _Machine, _: Any) -> None:
    args = machine.pop()
    _call(machine, machine.pop(), args)


def _new_with_keywords(machine: _Machine, _: Any) -> None:
    keywords, args = machine.pop(), machine.pop()
    _call(machine, machine.pop(), args)
    if keywords and isinstance(machine.top, Object):
        machine.top.items.update(keywords)


def _inst(machine: _Machine, argument: str) -> None:
    args = tuple(machine.pop_to_mark())
    _global(machine, argument)
    _call(machine, machine.pop(), args)


def _obj(machine: _Machine, _: Any) -> None:
    called, *args = machine.pop_to_mark()
    _call(machine, called, tuple(args))


def _build(machine: _Machine, _: Any) -> None:
    state = machine.pop()
    target = machine.top
    if isinstance(target, Object):
        target.state = state
    elif isinstance(target, Array):
        target.content = builders.array(state)
    elif isinstance(target, Name):
        raise RefusedError(f"it would change {target} itself, which no checkpoint needs")
    elif not isinstance(target, dict | Tensor):  # a dictionary's or tensor's own attributes say nothing that we need
        raise ValueError("a state for what has none")


def _persistent(machine: _Machine, argument: Any) -> None:
    machine.stack.append(machine.persistent(argument))


_NOTHING: Final = frozenset({"PROTO", "FRAME"})
_CONSTANTS: Final[Mapping[str, Callable[[], Any]]] = MappingProxyType({
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "MARK": lambda: _MARK,
    "EMPTY_LIST": list, "EMPTY_SET": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple,
})  # fmt: skip
_LITERALS: Final = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
_STEPS: Final[Mapping[str, Callable[[_Machine, Any], None]]] = MappingProxyType(
    {
        "APPEND": lambda machine, _: _extend(machine, [machine.pop()]),
        **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda machine, _: _extend(machine, machine.pop_to_mark())),
        "SETITEM": _set_item,
        "SETITEMS": lambda machine, _: _update(machine, machine.pop_to_mark()),
        "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.pop_to_mark())),
        "TUPLE1": _put_tuple(1),
        "TUPLE2": _put_tuple(2),
        "TUPLE3": _put_tuple(3),
        **dict.fromkeys(("LIST", "FROZENSET"), _put_list),
        "DICT": _put_dict,
        "POP": _pop,
        "POP_MARK": _pop_mark,
        "DUP": lambda machine, _: machine.stack.append(machine.top),
        **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _recall),
        **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _keep),
        "MEMOIZE": lambda machine, _: _keep(machine, len(machine.memo)),
        "GLOBAL": _global,
        "STACK_GLOBAL": _stack_global,
        **dict.fromkeys(("REDUCE", "NEWOBJ"), _reduce),
        "NEWOBJ_EX": _new_with_keywords,
        "INST": _inst,
        "OBJ": _obj,
        "BUILD": _build,
        "PERSID": _persistent,
        "BINPERSID": lambda machine, _: _persistent(machine, machine.pop()),
    }
)
