"""Scan, decode once, store small, and write the manifest: the run behind `hilum prepare`.

Written under the output folder: `images/<image_id>.png`, `manifest.parquet`, `split.json`, `refused.csv` (file, reason)
and `prepare.json` (settings, versions, counts). Until the manifest is there, images have working names; a run that is
killed at any moment is taken up by the same command.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hilum import __version__
from hilum.dicom.decode_worker import Request, decode_all
from hilum.dicom.deidentify import KEY_NAME, load_key, pseudonym
from hilum.dicom.scan import Candidate, scan
from hilum.dicom.store import FITS, Fit
from hilum.errors import ConfigError, ImageError, UserError
from hilum.ingest.journal import NAME, Journal
from hilum.ingest.rows import IMAGES, Row, split_column, table_of, without_doubles
from hilum.ingest.table import FilmTable, read_table
from hilum.lookup import unknown_name
from hilum.manifest import FILE_NAMES, Manifest, assign_splits
from hilum.progress import ProgressBar
from hilum.run_folder import write_atomic
from hilum.schema import SPLITS

TASK = "hilum.dicom.store:store_film"
VERSIONS = (
    "numpy",
    "pillow",
    "pydicom",
    "pylibjpeg-openjpeg",
    "pylibjpeg-rle",
    "pyjpegls",
    "python-gdcm",
    "simplejpeg",
)


@dataclass(frozen=True)
class Prepared:
    """What a run did: the manifest, the refused files with their reasons, and remarks in words."""

    manifest: Manifest
    refused: dict[str, str]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """The outcome in words, for a person."""
        table = self.manifest.table
        lines = [f"{len(table)} films of {table['patient_id'].nunique()} patients in {self.manifest.root}"]
        for split in SPLITS:
            rows = table[table["split"] == split]
            lines.append(f"  {split:5} {len(rows):7} films  {rows['patient_id'].nunique():7} patients")
        if self.refused:
            file, reason = next(iter(self.refused.items()))
            lines.append(f"{len(self.refused)} files were refused, listed in refused.csv; the first: {file}: {reason}")
        return [*lines, *self.notes]


def prepare_folder(
    folder: Path,
    out: Path,
    *,
    size: int = 512,
    fit: Fit = "squeeze",
    table: Path | None = None,
    labels: tuple[str, ...] = (),
    workers: int = 0,
    seed: int = 0,
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2),
    key: Path | None = None,
    quiet: bool = False,
) -> Prepared:
    """Prepare a folder of films; see `hilum.commands.prepare.prepare` for the arguments.

    Raises:
        UserError: bad arguments, no films, a table that does not fit, an output folder that is not this run's, or not
            one film that could be read (then nothing stays written).
    """
    folder, out = Path(folder), Path(out)
    _check_arguments(folder, out, size, fit, workers)
    assign_splits([], seed=seed, fractions=fractions)  # objects to bad fractions now, not after the decoding
    table = table or _own_table(folder)
    rows = read_table(Path(table), labels) if table else None
    if labels and rows is None:
        raise ConfigError(
            "--labels names columns of a table, and there is none", where="--labels", fix="Add --table FILE"
        )
    films, missing, unlisted = _choose(folder, out, rows)
    Journal.check_folder(out)
    key_file = Path(key) if key else out.resolve().parent / KEY_NAME
    new_key, new_out = not key_file.exists(), not out.exists()
    key_file.parent.mkdir(parents=True, exist_ok=True)
    secret = load_key(key_file) if any(film.kind == "dicom" for film in films) else b""
    journal = Journal.open(out, _settings(folder, size, fit, seed, fractions, secret))
    _decode(_Job(folder, out, films, journal, secret), size=size, fit=fit, workers=workers, quiet=quiet)

    reports = [(film, journal.entries[_name(film, secret)]) for film in films]
    refused = {film.file: str(entry["refused"]) for film, entry in reports if "refused" in entry} | missing
    done = [
        Row(film.file, _name(film, secret), film.kind == "dicom", entry["done"])
        for film, entry in reports
        if "refused" not in entry
    ]
    if not done:
        _forget(out, new_out, key_file if new_key else None)
        reasons = "; ".join(f"{reason} ({count} files)" for reason, count in Counter(refused.values()).most_common(3))
        raise UserError(f"no film could be read: {reasons}", where=folder, fix="Nothing was written")
    names = {row.file: row.name for row in done}
    done, doubles = without_doubles(done)
    refused |= doubles
    journal.add(*({**journal.entries[names[file]], "refused": reason} for file, reason in doubles.items()))
    frame, notes = table_of(done, rows, secret)
    frame["split"] = split_column(frame, seed=seed, fractions=fractions)
    manifest = Manifest.from_table(frame, out)
    _name_images(out, journal, {row.name: image for row, image in zip(done, frame["image"], strict=True)})
    notes = [*(rows.notes if rows else ()), *notes, *_split_notes(out, manifest)]
    if unlisted:
        notes.append(f"{unlisted} picture files of the folder are not in the table and were left out.")
    settings = {"size": size, "fit": fit, "seed": seed, "fractions": list(fractions), "voi": "first"}
    _write(out, manifest, dict(sorted(refused.items())), settings, [row.facts for row in done])
    return Prepared(Manifest.read(out), dict(sorted(refused.items())), tuple(notes))


@dataclass(frozen=True)
class _Job:
    folder: Path
    out: Path
    films: list[Candidate]
    journal: Journal
    key: bytes


def _check_arguments(folder: Path, out: Path, size: int, fit: str, workers: int) -> None:
    if not folder.is_dir():
        raise UserError("no such folder", where=folder, fix="Give the folder that holds the films")
    if folder.resolve() == out.resolve() or folder.resolve().is_relative_to(out.resolve()):
        raise ConfigError("the output would lie over the films", where=f"--out {out}", fix="Give another folder")
    if not 16 <= size <= 4096:
        raise ConfigError(f"{size} pixels is no size for a film", where="--size", fix="Give 16 to 4096, e.g. 512")
    if fit not in FITS:
        raise unknown_name(fit, list(FITS), kind="fit", where="--fit")
    if workers < 0:
        raise ConfigError(
            f"{workers} is no number of workers", where="--workers", fix="Give 1 or more, or 0 for all cores"
        )


def _own_table(folder: Path) -> Path | None:
    """A manifest that lies in the folder, if it names images: the folder is then a set in itself."""
    for name in FILE_NAMES:
        path = folder / name
        if path.suffix == ".parquet" and path.is_file():
            return path
        if path.is_file():
            with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
                if "image" in next(csv.reader(file), []):
                    return path
    return None


def _choose(folder: Path, out: Path, rows: FilmTable | None) -> tuple[list[Candidate], dict[str, str], int]:
    """The films to decode, refusals for listed files that are not there, and how many files are not listed."""
    found = list(scan(folder, skip=out))
    if rows is None or not rows.by_path:
        if not found:
            fix = "Give the folder that holds the films"
            raise UserError("no PNG, JPEG or DICOM file in this folder", where=folder, fix=fix)
        return found, {}, 0
    films = [film for film in found if film.file in rows.rows]
    have = {film.file for film in films}
    if not films:
        raise UserError(
            f"none of the table's files is in the folder (the first is {next(iter(rows.rows))!r})",
            where=folder,
            fix=f"The column {rows.key!r} must hold paths relative to the folder",
        )
    missing = {
        file: "neither PNG, JPEG nor DICOM" if (folder / file).is_file() else "in the table, but not in the folder"
        for file in rows.rows
        if file not in have
    }
    return films, missing, len(found) - len(films)


def _settings(folder: Path, size: int, fit: str, seed: int, fractions: Sequence[float], key: bytes) -> dict[str, Any]:
    """What must be the same to continue an output folder. Folder and key are told apart by hashes."""
    return {
        "folder": hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16],
        "key": hashlib.sha256(b"fingerprint" + key).hexdigest()[:16] if key else "",
        "size": size,
        "fit": fit,
        "seed": seed,
        "fractions": list(fractions),
    }


def _name(film: Candidate, key: bytes) -> str:
    """What the journal calls a film; file names of DICOM archives are often patients' names or UIDs."""
    return pseudonym(key, "file", film.file) if film.kind == "dicom" else film.file


def _working_image(name: str) -> str:
    return f"{IMAGES}/.{hashlib.sha256(name.encode()).hexdigest()[:24]}.png"


def _decode(job: _Job, *, size: int, fit: str, workers: int, quiet: bool) -> None:
    """Decode every film that has no valid entry yet; each is entered in the journal when its image is on disk."""
    (job.out / IMAGES).mkdir(exist_ok=True)
    todo = [film for film in job.films if not _is_done(job, film)]

    def requests() -> Iterator[Request]:
        for number, film in enumerate(todo):
            yield {
                "number": number,
                "path": str(job.folder / film.file),
                "target": str(job.out / _working_image(_name(film, job.key))),
                "size": size,
                "fit": fit,
                "key": job.key.hex(),
            }

    workers = workers or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else [0])
    total = len(job.films)
    with ProgressBar("preparing", total, start=total - len(todo), quiet=quiet) as bar:
        for request, answer in decode_all(TASK, requests(), workers=min(workers, max(len(todo), 1))):
            film = todo[request["number"]]
            entry: dict[str, Any] = {"name": _name(film, job.key), "stamp": [film.bytes, film.modified_ns]}
            if isinstance(answer, ImageError):
                entry["refused"] = answer.what
            else:
                entry["done"] = answer
            job.journal.add(entry)
            bar.advance()


def _is_done(job: _Job, film: Candidate) -> bool:
    entry = job.journal.entries.get(_name(film, job.key))
    if entry is None or entry.get("stamp") != [film.bytes, film.modified_ns]:
        return False
    return "refused" in entry or _stored(job.out, entry) is not None


def _stored(out: Path, entry: dict[str, Any]) -> Path | None:
    """Where the image of a journal entry lies: under its final name or still under its working name."""
    names = (entry.get("image"), _working_image(entry["name"]))
    return next((out / name for name in names if name and (out / name).is_file()), None)


def _name_images(out: Path, journal: Journal, images: dict[str, str]) -> None:
    """Give stored images their final names. In two steps, because a changed table may swap two names."""
    moves = []
    for name, image in images.items():
        entry = journal.entries[name]
        stored = _stored(out, entry)
        if stored is not None and stored != out / image:
            working = out / _working_image(name)
            os.replace(stored, working)
            moves.append((working, image, {**entry, "image": image}))
    journal.add(*(entry for _, _, entry in moves))
    for working, image, _ in moves:
        os.replace(working, out / image)
    for leftover in (out / IMAGES).glob(".*"):  # second files of one SOP instance, and what a kill cut off
        leftover.unlink()


def _split_notes(out: Path, manifest: Manifest) -> list[str]:
    sizes = manifest.table["split"].value_counts()
    notes = [f"The split {name!r} is empty." for name in SPLITS if name not in sizes.index]
    path = out / "split.json"
    if path.is_file() and json.loads(path.read_text(encoding="utf-8"))["digest"] != manifest.split_digest:
        notes.append("The split is not that of the last run: films or patient ids have changed.")
    return notes


def _write(
    out: Path, manifest: Manifest, refused: dict[str, str], settings: dict[str, Any], facts: Sequence[dict[str, Any]]
) -> None:
    """The small files first, the manifest last: where it is, everything is."""
    groups = manifest.table.groupby("split")
    counts = {
        str(split): {
            "images": len(rows),
            "studies": rows["study_id"].nunique(),
            "patients": rows["patient_id"].nunique(),
        }
        for split, rows in groups
    }
    split = {
        "seed": settings["seed"],
        "fractions": settings["fractions"],
        "digest": manifest.split_digest,
        "counts": counts,
    }
    write_atomic(out / "split.json", json.dumps(split, indent=1))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("file", "reason"), *refused.items()])
    write_atomic(out / "refused.csv", text.getvalue())
    record = {
        "settings": settings,
        "versions": {"hilum": __version__} | {name: version(name) for name in VERSIONS},
        "counts": {
            "films": len(manifest),
            "refused": len(refused),
            "voi": dict(Counter(str(one["voi"]) for one in facts if "voi" in one)),
        },
        "manifest_digest": manifest.digest,
    }
    write_atomic(out / "prepare.json", json.dumps(record, indent=1))
    manifest.write(out)


def _forget(out: Path, new_out: bool, new_key: Path | None) -> None:
    """Take back everything that this run wrote."""
    if new_out:
        shutil.rmtree(out)
    else:
        shutil.rmtree(out / IMAGES)
        (out / NAME).unlink()
    if new_key is not None:
        new_key.unlink(missing_ok=True)
