"""Whose films a model learned from and was chosen by: kept with every run, asked before anyone is judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from hilum.manifest import Manifest
from hilum.run_folder import RunFolder, write_atomic

PATIENTS: Final = "fraction.json"  # in a run of `hilum adapt`


def write_patients(
    run: RunFolder, learned: dict[str, Any], val: Manifest, *, sources: list[str], second_round: bool = False
) -> None:
    """Keep the patients of a training.

    Args:
        run: its folder.
        learned: `fraction_record` of the training films.
        val: the films that chose.
        sources: collections of the training films.
        second_round: the films that chose were learned from as well.
    """
    chosen_by = sorted(set(val.table["patient_id"]))
    if second_round:
        learned = {**learned, "patients": sorted({*learned["patients"], *chosen_by})}
    record = {**learned, "val_patients": chosen_by, "sources": sources}
    write_atomic(run.path / PATIENTS, json.dumps(record, indent=2) + "\n")


def trained_patients(run: str | Path) -> dict[str, Any] | None:
    """The patients a run learned from and chose by, as stored; None where the file is not there."""
    path = Path(run) / PATIENTS
    if not path.is_file():
        return None
    stored: dict[str, Any] = json.loads(path.read_text())
    return stored
