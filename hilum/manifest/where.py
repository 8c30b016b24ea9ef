"""Which films to use, said on the command line: `--where view_position=PA,AP --where "age>=18"`.

A condition names a column; films must meet all conditions. Every condition says how many films it leaves, and a column
or value that the manifest does not have is an error, not an empty result.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hilum.errors import ConfigError
from hilum.lookup import unknown_name
from hilum.manifest.table import Manifest

_CONDITION = re.compile(r"\s*(?P<column>[^=!<>]+?)\s*(?P<sign>!=|>=|<=|=|>|<)\s*(?P<values>.*?)\s*")
_ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_FIX = "Write column=value, column=value,value, column!=value, or for numbers column>=value"


def select_where(manifest: Manifest, conditions: str | Sequence[str]) -> tuple[Manifest, list[str]]:
    """The films that meet all conditions.

    Args:
        manifest: the films.
        conditions: "view_position=PA,AP" (one of these), "sex!=F" (none of these; films whose cell is blank stay),
            "age>=18" (numbers only; a blank cell meets no order). An empty value stands for a blank cell:
            "view_position=".

    Returns:
        The films left, and one line for each condition: "view_position=PA,AP: 812 of 1,000 films".

    Raises:
        ConfigError: not a condition, an unknown column, a value that does not occur, or no film is left.
    """
    conditions = [conditions] if isinstance(conditions, str) else conditions
    keep = np.ones(len(manifest), dtype=bool)
    lines = []
    for condition in conditions:
        before = int(keep.sum())
        keep &= _meets(manifest.table, condition)
        lines.append(f"{condition}: {int(keep.sum()):,} of {before:,} films")
    if not keep.any():
        counts = "; ".join(lines)
        raise ConfigError(f"no film meets the conditions ({counts})", where="--where", fix="Loosen one of them")
    return Manifest(manifest.table.loc[keep].reset_index(drop=True), manifest.root), lines


def _meets(table: pd.DataFrame, condition: str) -> npt.NDArray[np.bool_]:
    """(N,) bool: the rows that meet one condition."""
    parsed = _CONDITION.fullmatch(condition)
    if parsed is None:
        raise ConfigError(f"{condition!r} is not a condition", where="--where", fix=_FIX)
    name, sign = parsed["column"], parsed["sign"]
    if name not in table:
        raise unknown_name(name, [str(column) for column in table.columns], kind="column", where="--where")
    column = table[name]
    if pd.api.types.is_numeric_dtype(column.dtype):
        wanted = [_number(value, condition) for value in parsed["values"].split(",")]
        cells = column.to_numpy(dtype=np.float64)
        if sign in _ORDERS:
            if len(wanted) != 1 or np.isnan(wanted[0]):
                raise ConfigError(f"{condition!r} needs one number", where="--where", fix=_FIX)
            return np.asarray(_ORDERS[sign](cells, wanted[0]), dtype=bool)  # NaN meets no order
        member = np.isin(cells, wanted) | (np.isnan(cells) & bool(np.isnan(wanted).any()))
    else:
        if sign in _ORDERS:
            raise ConfigError(f"{condition!r} orders a column of text", where="--where", fix=_FIX)
        values = [value.strip() for value in parsed["values"].split(",")]
        _check_values(column, values, name)
        member = column.isin(values).to_numpy(dtype=bool)
    met: npt.NDArray[np.bool_] = member if sign == "=" else ~member
    return met


def _number(value: str, condition: str) -> float:
    """A number; NaN for the empty value."""
    try:
        return float(value) if value.strip() else float("nan")
    except ValueError as error:
        what = f"{value.strip()!r} in {condition!r} is not a number, and the column holds numbers"
        raise ConfigError(what, where="--where", fix=_FIX) from error


def _check_values(column: pd.Series[str], values: Sequence[str], name: str) -> None:
    """Refuse a value that no film has: it is a slip of the pen more often than a wish."""
    known = list(dict.fromkeys(column))
    for value in values:
        if value not in known:
            near = get_close_matches(value, known, n=1, cutoff=0.3)
            shown = ", ".join(repr(cell) for cell in sorted(known)[:20]) + (", ..." if len(known) > 20 else "")
            hint = f"Did you mean {near[0]!r}? " if near and near[0] else ""
            raise ConfigError(
                f"no film has {value!r} in the column {name!r}", where="--where", fix=f"{hint}It holds: {shown}"
            )
