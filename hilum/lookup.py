"""Explicit tables `name -> "module:Attribute"`, loaded on first use; a wrong name lists the right ones."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from hilum.errors import ConfigError


def lookup(table: Mapping[str, str], name: str, *, kind: str) -> Any:
    """Import and return the object that `table` lists under `name`.

    Args:
        table: name -> "package.module:Attribute".
        name: the user's spelling.
        kind: what the table lists, for the message ("method", "head").

    Raises:
        ConfigError: `name` is not in the table; the message lists all names.
    """
    if name not in table:
        raise unknown_name(name, list(table), kind=kind)
    module, attribute = table[name].split(":")
    return getattr(import_module(module), attribute)


def unknown_name(name: str, known: list[str], *, kind: str, where: str | None = None) -> ConfigError:
    """The error for a name that is not among the `known` ones: nearest match first, then all of them."""
    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return ConfigError(
        f"unknown {kind} {name!r}", where=where, fix=f"{hint}Known: {', '.join(sorted(known)) or 'none'}"
    )
