"""`hilum prepare DIR --out DATA`: a folder of films becomes a data folder at training size."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal


def prepare(
    folder: Path,
    *,
    out: Path,
    size: int = 512,
    fit: Literal["squeeze", "pad", "shortest"] = "squeeze",
    table: Path | None = None,
    labels: tuple[str, ...] = (),
    workers: int = 0,
    seed: int = 0,
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2),
    key: Path | None = None,
    quiet: bool = False,
) -> Path:
    """Decode every film of a folder once and store it at training size, with a manifest and a split by patient.

    PNG, JPEG and DICOM are found by content. Killed runs go on when the same command is given again.

    Args:
        folder: where the films are; a manifest.csv in it that names images is used as the table.
        out: the data folder to write: images/, manifest.parquet, split.json, refused.csv, prepare.json.
        size: pixels a side of the stored 8-bit images.
        fit: squeeze fills the square (default; borders then say nothing about a film's shape), pad adds black bars,
            shortest keeps the shape and brings the shorter side to size.
        table: CSV or Parquet with labels, reports, patients or splits; its key column is file (or image: paths
            relative to the folder), sop_instance_uid, study_instance_uid, accession_number or patient_id.
        labels: columns of the table that are findings, as column=Finding, comma-separated.
        workers: decoding processes; 0 is one a core.
        seed: of the split; splits given by the table are kept.
        fractions: shares of train, val and test in patients.
        key: file with the secret that DICOM ids are hashed with; made on first use, by default hilum.key beside out.
        quiet: print nothing.

    Returns:
        The data folder.
    """
    from hilum.ingest import prepare_folder

    done = prepare_folder(
        folder,
        out,
        size=size,
        fit=fit,
        table=table,
        labels=labels,
        workers=workers,
        seed=seed,
        fractions=fractions,
        key=key,
        quiet=quiet,
    )
    if not quiet:
        sys.stdout.write("\n".join(done.lines()) + "\n")
    return done.manifest.root
