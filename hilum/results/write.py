"""Write results: JSON for programs, Markdown for text, HTML for people, predictions as Parquet beside them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hilum.results.markdown import markdown
from hilum.results.page import page
from hilum.run_folder import write_atomic


def write_results(folder: str | Path, results: Mapping[str, Any], predictions: pd.DataFrame) -> dict[str, Path]:
    """Write `results.json`, `results.md`, `results.html` and `predictions.parquet`, each whole or not at all.

    Everything is rendered before the first file is written, so a fault leaves the folder as it was.

    Args:
        folder: created where absent; files of these names are replaced.
        results: what `classification_results` returned, with optional `notes`, `comparisons` and `baselines`.
        predictions: the table it was made from.

    Returns:
        The paths, under "json", "markdown", "html" and "predictions".

    Raises:
        UserError: `predictions` is not a table of predictions, or a file cannot be written.
    """
    parquet = io.BytesIO()
    predictions.to_parquet(parquet, index=False)
    content: dict[str, tuple[str, str | bytes]] = {
        "json": ("results.json", json.dumps(results, indent=2, allow_nan=False, ensure_ascii=False) + "\n"),
        "markdown": ("results.md", markdown(results)),
        "html": ("results.html", page(results, predictions)),
        "predictions": ("predictions.parquet", parquet.getvalue()),
    }
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    for name, data in content.values():
        write_atomic(place / name, data)
    return {kind: place / name for kind, (name, _) in content.items()}
