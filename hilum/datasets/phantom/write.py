"""Write a phantom population to disk: as films with a manifest, or as a DICOM archive with a table of labels.

Everything is written into a hidden folder beside the target and renamed at the end, so that the target is whole
or absent. Patients are independent, so any number of workers writes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from PIL import Image

from hilum.datasets.phantom.dicom_files import write_dicom
from hilum.datasets.phantom.findings import PHANTOM_FINDINGS
from hilum.datasets.phantom.patient import Patient, Study, View, phantom_patient
from hilum.datasets.phantom.project import Camera
from hilum.datasets.phantom.render import render
from hilum.datasets.phantom.reports import report_of
from hilum.datasets.phantom.survival import outcomes
from hilum.datasets.phantom.truth import truth_of
from hilum.errors import ConfigError, UserError
from hilum.manifest import assign_splits
from hilum.progress import ProgressBar
from hilum.schema import EVENT_PREFIX, TIME_PREFIX, label_column

Form = Literal["png", "dicom"]
SIZES = (32, 4096)  # smallest and largest side, pixels
RISK_PREFIX = "risk."  # risk.<Endpoint>: the true log hazard ratio the times were drawn from


@dataclass(frozen=True)
class _Job:
    """One patient to write."""

    root: Path
    seed: int
    index: int
    size: int
    form: Form


def write_phantom(
    out: str | Path,
    *,
    patients: int,
    size: int = 256,
    seed: int = 0,
    form: Form = "png",
    workers: int = 0,
    progress: bool = True,
) -> Path:
    """Write a population of phantom patients.

    `form="png"`: `images/*.png` (8 bit), `manifest.parquet`, `boxes.json` (COCO, keyed by `image_id`) and
    `masks/<image_id>.<Name>.png` for Lungs, Heart and every finding. The manifest's `risk.<Endpoint>` is the
    true linear predictor of the survival times. `form="dicom"`: `PATIENT/STUDY/*.dcm` and `labels.csv`, whose
    `file` column is relative to `out`; splits are left to `hilum prepare`.

    Args:
        out: folder to make; may exist if it is empty.
        patients: how many, from number 0 of the population.
        size: pixels a side.
        seed: names the population.
        form: "png" or "dicom".
        workers: processes; 0 draws in this one. The result does not depend on it.
        progress: show a bar.

    Returns:
        `out`.

    Raises:
        UserError: `out` holds something.
        ConfigError: an argument is out of range.
    """
    out = Path(out)
    _check(out, patients, size, seed, form, workers)
    with _folder_or_nothing(out) as root:
        jobs = [_Job(root, seed, index, size, form) for index in range(patients)]
        rows: list[dict[str, Any]] = []
        boxes: list[dict[str, Any]] = []
        with ProgressBar("phantom patients", patients, quiet=not progress) as bar:
            for new_rows, new_boxes in _results(jobs, workers):
                rows += new_rows
                boxes += new_boxes
                bar.advance(1, f"{len(rows)} films")
        table = pd.DataFrame(rows)
        if form == "png":
            _write_boxes(root / "boxes.json", rows, boxes)
            table.insert(5, "split", assign_splits(table["patient_id"], seed=seed))
            table.to_parquet(root / "manifest.parquet", index=False)
        else:
            table.to_csv(root / "labels.csv", index=False)
    return out


def _check(out: Path, patients: int, size: int, seed: int, form: str, workers: int) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError("the output folder is not empty", where=out, fix="Name a new folder or empty this one")
    if patients < 1:
        raise ConfigError(f"{patients} patients cannot be drawn", where="--patients", fix="Ask for 1 or more")
    if not SIZES[0] <= size <= SIZES[1]:
        raise ConfigError(f"{size} pixels a side", where="--size", fix=f"Choose from {SIZES[0]} to {SIZES[1]}")
    if seed < 0:
        raise ConfigError(f"the seed {seed} is negative", where="--seed", fix="Choose 0 or more")
    if workers < 0:
        raise ConfigError(f"{workers} workers", where="--workers", fix="Choose 0 (this process) or more")
    if form not in ("png", "dicom"):
        raise ConfigError(f"unknown form {form!r}", where="--form", fix="Choose png or dicom")


@contextmanager
def _folder_or_nothing(out: Path) -> Iterator[Path]:
    """A hidden folder that becomes `out` if the block ends well, and is removed if it does not."""
    out.parent.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield root
        root.chmod(0o755)
        if out.exists():
            out.rmdir()
        root.rename(out)
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise


def _results(jobs: list[_Job], workers: int) -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """What each patient's films are listed as, in the order of the patients."""
    for name in ("images", "masks") if jobs[0].form == "png" else ():
        (jobs[0].root / name).mkdir()
    if workers == 0:
        yield from map(_write_patient, jobs)
        return
    with get_context("spawn").Pool(workers) as pool:  # not fork: callers may have threads
        yield from pool.imap(_write_patient, jobs, chunksize=max(1, min(16, len(jobs) // (4 * workers))))


def _write_patient(job: _Job) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Write all films of one patient; returns table rows and COCO annotations (still without numbers)."""
    patient = phantom_patient(job.seed, job.index)
    rows, boxes = [], []
    for study in patient.studies:
        for number, view in enumerate(study.views):
            film = render(patient, study, view, job.size)
            if job.form == "png":
                row, found = _write_png(job.root, patient, study, view, film)
                boxes += found
            else:
                path = write_dicom(job.root, patient, study, view, number, film)
                row = {"file": path.relative_to(job.root).as_posix()}
            rows.append(row | _facts(patient, study, risk=job.form == "png"))
    return rows, boxes


def _write_png(
    root: Path, patient: Patient, study: Study, view: View, film: np.ndarray
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    size = film.shape[0]
    image_id = f"{study.study_id}-{view}"
    path = root / "images" / f"{image_id}.png"
    Image.fromarray(np.rint(film * 255.0).astype(np.uint8)).save(path, compress_level=1)
    truth = truth_of(patient, study, view, size)
    for name, mask in truth.masks.items():
        Image.fromarray(mask).save(root / "masks" / f"{image_id}.{name}.png")
    spacing = Camera.of(patient, study, view, size).pixel_mm
    row = {
        "image": f"images/{image_id}.png",
        "image_id": image_id,
        "study_id": study.study_id,
        "patient_id": patient.patient_id,
        "view_position": view,
        "width": size,
        "height": size,
        "spacing_mm": f"{spacing:.5g},{spacing:.5g}",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "source": "phantom",
        "device": f"{patient.site.manufacturer} {patient.site.model}",
    }
    boxes = [
        {
            "image_id": image_id,
            "category_id": PHANTOM_FINDINGS.index(box.finding) + 1,
            "bbox": [box.x, box.y, box.width, box.height],
            "area": box.area,
            "iscrowd": 0,
            "side": box.side,
            "severity": round(box.severity, 4),
            "mask": f"masks/{image_id}.{box.finding}.png",
        }
        for box in truth.boxes
    ]
    return row, boxes


def _facts(patient: Patient, study: Study, *, risk: bool) -> dict[str, Any]:
    """What is true of a study, as table cells."""
    report = report_of(patient, study)
    row: dict[str, Any] = {
        "age": int(study.age),
        "sex": patient.sex,
        "site": patient.site.name,
        "report": report.text,
        "findings": report.findings,
        "impression": report.impression,
    }
    row |= {label_column(name): int(state) for name, state in study.labels().items()}
    for name, outcome in outcomes(patient, study).items():
        row |= {TIME_PREFIX + name: int(outcome.days), EVENT_PREFIX + name: outcome.event}
        if risk:
            row[RISK_PREFIX + name] = round(outcome.risk, 6)
    return row


def _write_boxes(path: Path, rows: list[dict[str, Any]], boxes: list[dict[str, Any]]) -> None:
    coco = {
        "info": {"description": "Hilum phantom: synthetic films, boxes around the projected shapes"},
        "images": [
            {"id": row["image_id"], "file_name": row["image"], "width": row["width"], "height": row["height"]}
            for row in rows
        ],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(PHANTOM_FINDINGS)],
        "annotations": [{"id": i + 1} | box for i, box in enumerate(boxes)],
    }
    path.write_text(json.dumps(coco))
