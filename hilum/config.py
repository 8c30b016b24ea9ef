"""The settings of a training run: one frozen dataclass, its checks, and how it is written and read.

A method's own options live beside the method (`methods/mae.py: Config`); what every run shares lives here. Both travel
as JSON in the run folder, so that `--resume` needs no other argument.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from typing import Any, Literal, TypeVar

from hilum.errors import ConfigError
from hilum.lookup import unknown_name

T = TypeVar("T")


@dataclass(frozen=True)
class TrainSettings:
    """Everything the loop needs that is not the method's business."""

    epochs: float = 100.0  # passes over the training films; fractions are allowed
    max_steps: int | None = None  # stop the run after this many optimizer steps whatever `epochs` says
    batch_size: int = 256  # films per optimizer step over ALL devices
    micro_batch: int | None = None  # films per device per forward pass; None: batch_size / devices
    lr: float | None = None  # peak learning rate; None: by `base_lr` and `lr_rule`
    base_lr: float = 1.5e-4  # per 256 films, linear rule (MAE's value); per 1,024 films, square-root rule
    lr_rule: Literal["linear", "sqrt"] = "linear"  # base_lr * batch / 256, or base_lr * sqrt(batch / 1024) (DINOv2)
    decay: Literal["cosine", "poly", "constant"] = "cosine"  # after warm-up; poly: a straight line (power 1)
    min_lr: float = 0.0  # learning rate at the end of the decay
    warmup: float = 0.05  # share of the run with linearly rising learning rate
    weight_decay: float = 0.05  # AdamW; 0 for 1-d tensors and biases
    weight_decay_end: float | None = None  # reached at the end of the run along a cosine; None: constant
    optimizer: Literal["adamw", "sgd"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.95)  # AdamW
    momentum: float = 0.9  # SGD
    layer_decay: float | None = None  # learning rate times this per layer below the head; None: off
    clip_norm: float | None = None  # gradient norm is clipped to this; None: measured, not clipped
    ema_decay: float | None = None  # moving average of the backbone, exported instead of it; None: off
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False  # torch.compile; worth it on GPUs only
    seed: int = 0
    workers: int = 0  # loader processes per device; the order of films does not depend on it
    devices: int = 1
    nodes: int = 1
    strategy: Literal["ddp", "fsdp2"] = "ddp"
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    save_every: int | None = None  # optimizer steps between checkpoints; None: twenty a run, at least 50 apart
    keep_checkpoints: int = 2  # newest ones kept

    def __post_init__(self) -> None:
        _check(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        _check(self.epochs > 0, "epochs", self.epochs, "more than 0")
        _check(self.max_steps is None or self.max_steps >= 1, "max_steps", self.max_steps, "at least 1")
        _check(0 <= self.warmup < 1, "warmup", self.warmup, "in [0, 1), a share of the run")
        _check(self.keep_checkpoints >= 1, "keep_checkpoints", self.keep_checkpoints, "at least 1")
        _check(self.devices >= 1 and self.nodes >= 1, "devices", self.devices, "at least 1")
        _check(self.save_every is None or self.save_every >= 1, "save_every", self.save_every, "at least 1")
        world = self.devices * self.nodes
        _check(
            self.batch_size % world == 0,
            "batch_size",
            self.batch_size,
            f"a multiple of the {world} devices in use",
        )
        micro = self.batch_size // world if self.micro_batch is None else self.micro_batch
        _check(
            micro >= 1 and self.batch_size % (micro * world) == 0,
            "micro_batch",
            self.micro_batch,
            f"a divisor of batch_size / devices = {self.batch_size // world}",
        )

    @property
    def peak_lr(self) -> float:
        """The learning rate after warm-up: given, or by the rule that `lr_rule` names."""
        if self.lr is not None:
            return self.lr
        if self.lr_rule == "sqrt":
            return self.base_lr * math.sqrt(self.batch_size / 1024)
        return self.base_lr * self.batch_size / 256


# What may differ between a run and its resumption: where and how it runs, never what it computes.
FREE_ON_RESUME = frozenset(
    {"devices", "nodes", "strategy", "accelerator", "workers", "micro_batch", "compile", "keep_checkpoints"}
)


def override(config: T, values: Mapping[str, Any], *, where: str) -> T:
    """`config` with some fields replaced; a wrong name or type is an error that lists the right ones.

    Args:
        config: a frozen dataclass instance.
        values: field name -> new value, as parsed from the command line or JSON (lists for tuples, a dictionary of
            fields for a dataclass inside).
        where: the option or file the values come from, for the message.
    """
    assert is_dataclass(config)
    assert not isinstance(config, type)
    hints = typing.get_type_hints(type(config))
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name not in {field.name for field in fields(config)}:
            raise unknown_name(name, [field.name for field in fields(config)], kind="option", where=where)
        held = getattr(config, name)
        nested = is_dataclass(held) and not isinstance(held, type) and isinstance(value, Mapping)
        at = f"{where}.{name}"
        changes[name] = override(held, value, where=at) if nested else _coerce(value, hints[name], where=at)
    try:
        return replace(config, **changes)
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error), where=where, fix="Check the value") from error


def to_json(config: Any) -> dict[str, Any]:
    """A dataclass as plain JSON values (tuples become lists)."""
    plain: dict[str, Any] = _plain(asdict(config))
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _coerce(value: Any, hint: Any, *, where: str) -> Any:
    """`value` as the type `hint` asks for: int -> float, list -> tuple; anything else must already fit."""
    options = typing.get_args(hint) if _is_union(hint) else (hint,)
    for option in options:
        origin = typing.get_origin(option)
        if option is type(None) and value is None:
            return None
        if origin is Literal and value in typing.get_args(option):
            return value
        if option is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if option is int and isinstance(value, int) and not isinstance(value, bool):
            return value
        if option in (str, bool) and isinstance(value, option):
            return value
        if origin is tuple and isinstance(value, list | tuple):
            inner = typing.get_args(option)
            kinds = [inner[0]] * len(value) if len(inner) == 2 and inner[1] is Ellipsis else list(inner)
            if len(kinds) == len(value):
                return tuple(_coerce(part, kind, where=where) for part, kind in zip(value, kinds, strict=True))
        if origin is dict and isinstance(value, dict):
            return value
        if isinstance(option, type) and is_dataclass(option) and isinstance(value, option):
            return value
    raise ConfigError(f"value {value!r} does not fit", where=where, fix=f"Give {_describe(hint)}")


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, type(int | None))


def _describe(hint: Any) -> str:
    if _is_union(hint):
        return " or ".join(_describe(part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    return {
        int: "a whole number",
        float: "a number",
        str: "text",
        bool: "true or false",
        type(None): "null",
    }.get(hint, str(hint))


def _check(fine: bool, name: str, value: Any, rule: str) -> None:
    if not fine:
        raise ConfigError(f"{value!r} is not allowed", where=name, fix=f"It must be {rule}")
