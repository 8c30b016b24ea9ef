"""How `hilum prepare` made the films of a data folder: a model asks that new films are made the same way."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.dicom.store import FITS


@dataclass(frozen=True)
class Prepared:
    """How a film was brought to the size it is stored at."""

    size: int | None = None  # pixels; None: stored as it came
    fit: str = "squeeze"

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return {"size": self.size, "fit": self.fit}

    @classmethod
    def from_json(cls, values: Any) -> Prepared | None:
        """The record of `to_json`; None where it is none."""
        if not isinstance(values, dict) or values.get("fit") not in FITS:
            return None
        size = values.get("size")
        return cls(size, values["fit"]) if size is None or (isinstance(size, int) and size > 0) else None


def prepared_as(root: Path) -> Prepared:
    """What prepare.json of a data folder says; films of a folder without one are used as they are."""
    try:
        settings = json.loads((root / "prepare.json").read_text(encoding="utf-8"))["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        return Prepared()
    return Prepared.from_json(settings) or Prepared()


def prepared_for(run: Path, origin: dict[str, Any]) -> Prepared | None:
    """How the films that a run learned from were made.

    Args:
        run: the run folder.
        origin: of the model's record, which says so since it is kept there; else the data folder is asked.

    Returns:
        None where nobody knows: an old run whose data folder is not at its place.
    """
    if (kept := Prepared.from_json(origin.get("prepared"))) is not None:
        return kept
    try:
        data = Path(json.loads((run / "config.json").read_text(encoding="utf-8"))["data"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return prepared_as(data) if data.is_dir() else None
