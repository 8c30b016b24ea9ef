"""One line of what `hilum doctor` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "FAULT"]
GIB = 2**30


@dataclass(frozen=True)
class Check:
    """A FAULT will fail later, a warning may."""

    name: str
    status: Status
    detail: str
