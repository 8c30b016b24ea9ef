"""Films from anywhere to a manifest that a model can be run on: a folder, some files, or a prepared data folder.

Pixels go through the same door as in `hilum prepare`: each file is decoded in a child process with limits on memory and
time, so that one bad file is a line in the report and nothing else. A folder or single files are brought to size as the
films were that the model learned from; films of a manifest are taken as they are. DICOM ids are hashed with the same
key, so that a film has the id it would have in the data folder; nothing else of the header is kept but view, age, sex,
site and device, as there.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.dicom.decode_worker import Request, decode_all
from hilum.dicom.deidentify import load_key, pseudonym
from hilum.dicom.read import HEAD, kind_of
from hilum.dicom.scan import scan
from hilum.errors import ConfigError, ImageError, ManifestError, UserError
from hilum.evaluation.prediction.original import Placed
from hilum.evaluation.prepared import Prepared
from hilum.ingest.rows import Row, file_name, table_of, without_doubles
from hilum.ingest.run import TASK
from hilum.manifest import FILE_NAMES, Manifest
from hilum.progress import ProgressBar

SPLIT = "test"  # of films that come without one; a manifest needs the column


@dataclass(frozen=True)
class Given:
    """Films that were named, not yet opened."""

    files: tuple[str, ...]  # how a person knows each of them
    paths: tuple[Path, ...]
    manifest: Manifest | None  # of a prepared folder, row by row
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unread:
    """A film that could not be read."""

    file: str  # as given; may hold a name, so it is shown at the terminal and written only on demand
    film: str  # what the output calls it
    reason: str


@dataclass(frozen=True)
class NewFilms:
    """N films that could be read, at the size the model wants them."""

    manifest: Manifest
    names: tuple[str, ...]  # (N,) the image id as a safe file name
    files: tuple[str, ...]  # (N,) how a person knows them
    stored: NDArray[np.int64]  # (N, 2) height and width of the picture that the model sees
    placed: tuple[Placed, ...]  # (N,) where the film lies in it
    unread: tuple[Unread, ...]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


def gather(films: Sequence[str | Path], *, split: str | None = None, views: Sequence[str] = ()) -> Given:
    """The films that were named.

    Args:
        films: one folder of films, one manifest (its file, or its folder), or one or more files.
        split: only films of this split; of a manifest.
        views: only films of these view positions; of a manifest.

    Raises:
        UserError: nothing there, or nothing named.
        ConfigError: folders among several, or a split or view of films that have none.
        ManifestError: a broken manifest.
    """
    places = [Path(film) for film in films]
    if not places:
        raise ConfigError("no films were named", where="films", fix="Name a folder, a manifest, or files")
    if absent := next((place for place in places if not place.exists()), None):
        raise UserError("no such file or folder", where=absent, fix="Give the films' folder, or the files")
    first = places[0]
    if len(places) == 1 and _is_manifest(first):
        manifest = _read(first).select(split=split, views=tuple(views) or None)
        if not len(manifest):
            raise UserError("no film is left", where=first, fix="Check --split and --views")
        return Given(tuple(manifest.table["image_id"]), tuple(manifest.paths()), manifest)
    if split is not None or views:
        raise ConfigError("only a manifest says splits and views", where="--split, --views", fix="Leave them out")
    if len(places) == 1 and first.is_dir():
        return _of_folder(first)
    if folder := next((place for place in places if place.is_dir()), None):
        raise ConfigError(f"{folder} is a folder among several", where="films", fix="Give one folder, or files alone")
    return Given(_labels(places), tuple(places), None)


def read_films(
    given: Given, place: Path, prepared: Prepared, *, key: Path, workers: int = 0, quiet: bool = False
) -> NewFilms:
    """Decode the films into a folder, and make the manifest of those that could be read.

    Args:
        given: from `gather`.
        place: an empty folder, for the decoded films.
        prepared: how films were brought to size that the model learned from; not asked for films of a manifest.
        key: file with the secret that DICOM ids are hashed with; made where there is none.
        workers: decoding processes; 0 is one a core.
        quiet: no progress bar.

    Raises:
        UserError: not one film could be read, or the disk is full.
    """
    new_key = not key.exists()
    secret = load_key(key) if given.manifest is None and any(map(_is_dicom, given.paths)) else b""
    wanted = Prepared() if given.manifest is not None else prepared
    facts, reasons = _decode(given, place, wanted, secret, workers=workers, quiet=quiet)
    rows = [Row(given.files[n], str(n), "image_id" in facts[n], facts[n]) for n in sorted(facts)]
    if given.manifest is None:
        rows, doubles = without_doubles(rows)
        reasons |= {given.files.index(file): reason for file, reason in doubles.items()}
    if not rows:
        if new_key:
            key.unlink(missing_ok=True)
        said = "; ".join(f"{reason} ({count} files)" for reason, count in Counter(reasons.values()).most_common(3))
        raise UserError(f"no film could be read: {said}", where=given.paths[0], fix="Nothing was written")
    kept = [int(row.name) for row in rows]
    frame = (
        table_of(rows, None, secret)[0].assign(split=SPLIT) if given.manifest is None else _own(given.manifest, rows)
    )
    names = tuple(file_name(str(image_id)) for image_id in frame["image_id"])
    frame["image"] = [_target(number) for number in kept]
    return NewFilms(
        Manifest.from_table(frame, place),
        names,
        tuple(given.files[number] for number in kept),
        np.array([[facts[number][side] for side in ("height", "width")] for number in kept], dtype=np.int64),
        tuple(Placed.of(facts[n]["orig_height"], facts[n]["orig_width"], wanted) for n in kept),
        tuple(Unread(given.files[n], _called(given, n, secret), reasons[n]) for n in sorted(reasons)),
        given.notes,
    )


def _decode(
    given: Given, place: Path, prepared: Prepared, secret: bytes, *, workers: int, quiet: bool
) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
    """Facts of each film that could be read, by its number, and the reason of each that could not."""

    def requests() -> Iterator[Request]:
        for number, path in enumerate(given.paths):
            target = {"path": str(path), "target": str(place / _target(number)), "number": number}
            yield {**target, **prepared.to_json(), "key": secret.hex()}

    facts, reasons = dict[int, dict[str, Any]](), dict[int, str]()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ProgressBar("reading films", len(given.paths), quiet=quiet) as bar:
        for request, answer in decode_all(TASK, requests(), workers=min(workers or cores, len(given.paths))):
            if isinstance(answer, ImageError):
                reasons[request["number"]] = answer.what
            else:
                facts[request["number"]] = answer
            bar.advance()
    return facts, reasons


def _of_folder(folder: Path) -> Given:
    found = list(scan(folder))
    if not found:
        raise UserError("no PNG, JPEG or DICOM file in this folder", where=folder, fix="Give the films' folder")
    others = sum(path.is_file() and not _is_hidden(path, folder) for path in folder.rglob("*")) - len(found)
    note = f"{others} files of the folder are neither PNG, JPEG nor DICOM, or links out of it, and were passed over."
    return Given(
        tuple(one.file for one in found), tuple(folder / one.file for one in found), None, (note,) if others > 0 else ()
    )


def _own(manifest: Manifest, rows: Sequence[Row]) -> pd.DataFrame:
    """The manifest's own rows of films that could be read, with the sizes they really have."""
    frame = manifest.table.iloc[[int(row.name) for row in rows]].reset_index(drop=True)
    return frame.assign(**{side: [row.facts[side] for row in rows] for side in ("width", "height")})


def _read(place: Path) -> Manifest:
    """A manifest; one that is none of ours says how to do without it."""
    try:
        return Manifest.read(place)
    except ManifestError as error:
        fix = f"{error.fix.rstrip('. ')}, or name" if error.fix else "Name"
        raise ManifestError(
            error.what, where=error.where, fix=f"{fix} the films' files themselves, to leave the table aside"
        ) from error


def _is_manifest(place: Path) -> bool:
    if place.is_file():
        return place.suffix.lower() in (".csv", ".parquet")
    for name in FILE_NAMES:
        if (place / name).is_file():
            return name.endswith(".parquet") or "image" in _header(place / name)
    return False


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        return [cell.strip() for cell in next(csv.reader(file), [])]


def _labels(places: Sequence[Path]) -> tuple[str, ...]:
    """The file's name, or as much of its path as tells the files apart."""
    for parts in (1, 2):
        names = ["/".join(place.parts[-parts:]) for place in places]
        if len(set(names)) == len(names):
            return tuple(names)
    return tuple(place.as_posix().lstrip("/") for place in places)


def _called(given: Given, number: int, secret: bytes) -> str:
    """What the output calls a film that has no id: DICOM files are often named after patients."""
    file = given.files[number]
    return pseudonym(secret, "file", file) if given.manifest is None and _is_dicom(given.paths[number]) else file


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return kind_of(file.read(HEAD)) == "dicom"
    except OSError:
        return False


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _target(number: int) -> str:
    return f"{number}.png"
