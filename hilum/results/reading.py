"""Write what reading out a model gave: numbers, page, tables and pictures, each whole or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hilum.run_folder import write_atomic


def write_reading(
    folder: str | Path,
    results: Mapping[str, Any],
    *,
    html: str,
    markdown: str,
    tables: Mapping[str, pd.DataFrame],
    pictures: Mapping[str, bytes] | None = None,
) -> Path:
    """Write `results.json`, `results.md`, `results.html`, a Parquet file a table and the pictures.

    Everything is rendered before the first file is written, so a fault leaves the folder as it was.

    Args:
        folder: created where absent.
        results: plain JSON values without NaN.
        html: the page.
        markdown: the same as text.
        tables: name -> table, written as NAME.parquet.
        pictures: file name -> content.

    Returns:
        The path of the page.

    Raises:
        UserError: a file cannot be written.
    """
    content: dict[str, str | bytes] = {
        "results.json": json.dumps(results, indent=2, allow_nan=False, ensure_ascii=False) + "\n",
        "results.md": markdown,
        "results.html": html,
    }
    for name, table in tables.items():
        parquet = io.BytesIO()
        table.to_parquet(parquet, index=False)
        content[f"{name}.parquet"] = parquet.getvalue()
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    for name, data in {**content, **(pictures or {})}.items():
        write_atomic(place / name, data)
    return place / "results.html"
