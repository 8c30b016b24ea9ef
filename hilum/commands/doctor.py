"""`hilum doctor`: what on this machine, or in a data folder, would fail later."""

from __future__ import annotations

import json as json_format
import sys
from dataclasses import asdict
from pathlib import Path


def doctor(*, data: Path | None = None, json: bool = False) -> int:
    """Check Python, packages, torch and its device, every image codec, memory, disk, and a data folder if given.

    Args:
        data: a data folder or manifest to look at as well.
        json: print the checks as JSON.

    Returns:
        The exit code: 1 if something will fail later, else 0.
    """
    from hilum.checkup import examine

    checks = examine(data)
    if json:
        text = json_format.dumps([asdict(check) for check in checks], indent=1)
    else:
        text = "\n".join(f"{check.status:8} {check.name:28} {check.detail}" for check in checks)
    sys.stdout.write(text + "\n")
    return 1 if any(check.status == "FAULT" for check in checks) else 0
