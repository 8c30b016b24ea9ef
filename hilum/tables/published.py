"""Read the published numbers, which lie beside this file as tables of the shape the paper prints.

A cell is `88.5`, `88.5±0.7` (standard deviation over runs), `0.830 (.826-.834)` (95 % interval), or empty for a dash.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from hilum.tables.record import Published, Row

FOLDER: Final = Path(__file__).with_name("published")
_NUMBER: Final = r"\d*\.?\d+"
_CELL: Final = re.compile(rf"^({_NUMBER})(?:±({_NUMBER})| \(({_NUMBER})-({_NUMBER})\))?$")
Flags = Mapping[tuple[str, str, str], str]  # (setting, method, column), "*" for any -> why not to chase it


def parse_cell(text: str, flag: str | None = None) -> Published:
    """One cell as printed.

    Raises:
        ValueError: the file is not in the form above.
    """
    if not text:
        return Published()
    found = _CELL.match(text)
    if found is None:
        raise ValueError(f"not a published number: {text!r}")
    value, spread, low, high = (None if part is None else float(part) for part in found.groups())
    return Published(value, low, high, spread, flag, text.replace("±", " ± ").replace("-", "–"))


def read_rows(
    name: str,
    columns: Sequence[str],
    flags: Flags | None = None,
    encoder: Callable[[str, str], str] | None = None,
    pretrain: Callable[[str, str], str] | None = None,
) -> tuple[Row, ...]:
    """The rows of one table.

    Args:
        name: of the file, without `.csv`.
        columns: keys of the columns, which must be the file's.
        flags: reasons by setting, method and column.
        encoder: (setting, method) -> the name under which a user gives the encoder; default the method's short name.
        pretrain: (setting, method) -> the command that makes it.
    """
    with (FOLDER / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        head, *lines = csv.reader(file)
    assert head == ["setting", "method", *columns], (name, head, columns)
    rows = []
    for setting, method, *cells in lines:
        numbers = tuple(
            parse_cell(cell, _flag(flags or {}, setting, method, column))
            for cell, column in zip(cells, columns, strict=True)
        )
        given = short_name(method) if encoder is None else encoder(setting, method)
        rows.append(Row(setting, method, numbers, given, "" if pretrain is None else pretrain(setting, method)))
    return tuple(rows)


def short_name(method: str) -> str:
    """A name for the shell: `GLoRIA (ViT-B/16)` becomes `gloria-vit-b-16`."""
    return re.sub(r"[^a-z0-9.]+", "-", method.lower()).strip("-")


def _flag(flags: Flags, *place: str) -> str | None:
    for key, reason in flags.items():
        if all(wanted in ("*", there) for wanted, there in zip(key, place, strict=True)):
            return reason
    return None
