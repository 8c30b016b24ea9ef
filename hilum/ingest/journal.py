"""What has been done so far, one JSON line a file, so that a killed `prepare` goes on where it was.

The first line is the settings; a folder is only continued under the same ones. A line that was cut off by a kill is
ignored: its file is decoded again. Names of DICOM files often are ids, so the caller hands in hashes for them.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hilum.errors import UserError

NAME = ".prepare.jsonl"
Settings = dict[str, Any]


@dataclass
class Journal:
    """The journal of one output folder.

    Args:
        path: the file.
        entries: name -> the last line about it: `stamp` (size and time of the source) and `done` or `refused`.
    """

    path: Path
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, settings: Settings) -> Journal:
        """Start the journal of a new folder, or take up that of an unfinished or finished one.

        Raises:
            UserError: the folder holds something else, or was prepared with other settings; names them.
        """
        path = folder / NAME
        cls.check_folder(folder)
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            journal = cls(path)
            journal._write([{"settings": settings}])
            return journal
        lines = _lines(path)
        before = lines[0].get("settings", {}) if lines else {}
        for name, value in settings.items():
            if before.get(name) != value:
                shown = "" if name in ("folder", "key") else f" ({before.get(name)!r}, now {value!r})"
                raise UserError(
                    f"the output folder was prepared with another {name}{shown}",
                    where=folder,
                    fix="Repeat the first settings to continue it, or give a new folder with --out",
                )
        journal = cls(path, {line["name"]: line for line in lines[1:] if "name" in line})
        journal._write([])  # closes a line that a kill cut off
        return journal

    @staticmethod
    def check_folder(folder: Path) -> None:
        """Refuse an output folder that holds something else than a prepared or half-prepared set.

        Raises:
            UserError: it is a file, or not empty and without a journal.
        """
        if folder.exists() and not folder.is_dir():
            raise UserError("the output is a file", where=folder, fix="Give a folder with --out")
        if folder.is_dir() and any(folder.iterdir()) and not (folder / NAME).is_file():
            raise UserError("the output folder is not empty", where=folder, fix="Give an empty or new one with --out")

    def add(self, *entries: dict[str, Any]) -> None:
        """Append entries (each with a `name`)."""
        self.entries.update({entry["name"]: entry for entry in entries})
        self._write(list(entries))

    def _write(self, lines: list[dict[str, Any]]) -> None:
        cut = self.path.is_file() and self.path.stat().st_size > 0 and not _ends_with_newline(self.path)
        text = "\n" * cut + "".join(json.dumps(line) + "\n" for line in lines)
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            fix = "Make room or give permission, then run it again"
            raise UserError(f"cannot be written ({error.strerror})", where=self.path, fix=fix) from error


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            lines.append(line)
    return lines
