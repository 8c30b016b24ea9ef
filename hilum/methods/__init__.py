"""Training objectives, one a file, and the table that names them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from hilum.lookup import lookup

METHODS: Final[dict[str, str]] = {
    "mae": "hilum.methods.mae:MAE",
    "mrm": "hilum.methods.mrm:MRM",
    "maco": "hilum.methods.maco:MaCo",
    "medim": "hilum.methods.medim:MedIM",
    "dinov2": "hilum.methods.dinov2:DINOv2",
}


def reads_reports(name: str) -> bool:
    """Whether a method learns from reports, and so is built with a tokenizer."""
    return bool(getattr(lookup(METHODS, name, kind="method"), "reads_reports", False))


def table_of(name: str, table: str) -> Mapping[str, Any]:
    """PRESETS, VARIANTS or SETTINGS of the file of a method; empty where it has none."""
    lookup(METHODS, name, kind="method")  # a wrong name is told here
    found: Mapping[str, Any] = getattr(import_module(METHODS[name].partition(":")[0]), table, {})
    return found


def build(name: str, config: Any, tokenizer: Any = None) -> Any:
    """A method from its configuration and, where it reads reports, its tokenizer."""
    method = lookup(METHODS, name, kind="method")
    return method(config, tokenizer) if reads_reports(name) else method(config)
