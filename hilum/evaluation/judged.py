"""What judging a run gives, whatever its task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Judged:
    """The numbers, what the shell prints, and where everything was written."""

    folder: Path
    page: Path
    results: dict[str, Any]
    lines: list[str]
    table: pd.DataFrame  # what the numbers were computed from: a row a film, a mask, a found box
