"""Walk a folder for candidate films: deterministic order, by content not by name, never outside the folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hilum.dicom.read import HEAD, Kind, kind_of
from hilum.errors import UserError


@dataclass(frozen=True)
class Candidate:
    """A file that announces itself as PNG, JPEG or DICOM."""

    file: str  # POSIX path relative to the scanned folder
    kind: Kind
    bytes: int
    modified_ns: int


def scan(folder: Path, *, skip: Path | None = None) -> Iterator[Candidate]:
    """Candidate films below `folder`, sorted by path.

    Hidden files and folders, links that lead out of `folder`, links to folders, and files of any other content are
    passed over.

    Args:
        folder: where to look.
        skip: a folder to leave out (the output, when it lies inside).

    Raises:
        UserError: no such folder, or it cannot be listed.
    """
    if not folder.is_dir():
        raise UserError("no such folder", where=folder, fix="Give the folder that holds the films")
    root = folder.resolve()
    skipped = skip.resolve() if skip is not None else None
    yield from _walk(root, "", root, skipped)


def _walk(folder: Path, prefix: str, root: Path, skip: Path | None) -> Iterator[Candidate]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        fix = "Make it readable, or move it away"
        raise UserError(f"cannot be listed ({error.strerror})", where=folder, fix=fix) from error
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith(".") or path == skip:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(path, f"{prefix}{entry.name}/", root, skip)
            continue
        if entry.is_symlink() and not path.resolve().is_relative_to(root):
            continue
        if entry.is_file() and (kind := _kind(path)) is not None:
            status = entry.stat()
            yield Candidate(f"{prefix}{entry.name}", kind, status.st_size, status.st_mtime_ns)


def _kind(path: Path) -> Kind | None:
    try:
        with path.open("rb") as file:
            return kind_of(file.read(HEAD))
    except OSError:
        return None
