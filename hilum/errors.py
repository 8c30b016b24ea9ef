"""Errors for people: what is wrong, where, and how to put it right.

Every fault a user can cause or meet ends in one of these few classes; the command line prints it as one line, without
a traceback, and exits with `exit_code`. Anything else that escapes is a fault of ours and keeps its traceback.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_LONGEST: Final = 2000  # characters of a sentence; of a longer one its beginning and its end


class UserError(Exception):
    """A fault that its reader can mend.

    Args:
        what: the rule that was broken and the value received.
        where: the file, row, column or option concerned.
        fix: what to do about it.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str | Path | None = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        parts = [what if where is None else f"{where}: {what}", fix]
        super().__init__(" ".join(_sentence(part) for part in parts if part))


class ConfigError(UserError):
    """An option or configuration field has a wrong name or value."""


class ManifestError(UserError):
    """A manifest breaks the schema; names the row and the column."""


class ImageError(UserError):
    """One file cannot be read as a chest film; names the file and the reason."""


class CheckpointError(UserError):
    """A checkpoint is damaged, of another architecture, or not one of ours."""


class MissingDependencyError(UserError):
    """An optional package is needed and absent; names the install line."""


class DivergedError(UserError):
    """Training stopped because loss or gradients stayed non-finite."""

    exit_code = 1


class PreemptedError(UserError):
    """Training was asked to stop (SIGTERM), saved, and can be resumed."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: "try again later", which is what a scheduler should do


def _sentence(text: str) -> str:
    """One sentence on one line; what a stranger's file names itself neither drives a terminal nor fills it."""
    if len(text) > _LONGEST:  # what a loader process says ends in the reason
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    text = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return text if text.endswith((".", "!", "?", ":")) else text + "."
