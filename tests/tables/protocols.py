"""The resolved options of a cell, as a run would have them."""

from __future__ import annotations

from typing import Any

from hilum.lookup import lookup
from hilum.models.vit import ViTConfig
from hilum.schema import Preprocessing
from hilum.tables import TABLES
from hilum.tables.jobs import options_of
from hilum.tables.record import Job, PaperTable

VIT_B = ViTConfig()
IMAGENET = Preprocessing()


def table(name: str) -> PaperTable:
    found = lookup(TABLES, name, kind="table")()
    assert isinstance(found, PaperTable)
    return found


def job(name: str, column: str, setting: str = "") -> Job:
    paper = table(name)
    found = paper.cell(setting, next(one for one in paper.columns if one.key == column))
    assert found is not None
    return found[0]


def resolved(name: str, column: str, setting: str = "", seed: int = 0) -> Any:
    """Options of the job behind a cell, with every default filled in."""
    one = job(name, column, setting)
    options = options_of(one, "ENCODER", "DATA", seed)
    if one.task == "segment":
        return options.resolved(VIT_B, IMAGENET)
    return options.resolved() if one.task in ("classify", "detect") else options


def differing(options: Any, expected: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Field -> (what it is, what the sheet says), of those that differ."""
    return {
        name: (getattr(options, name), value) for name, value in expected.items() if getattr(options, name) != value
    }
