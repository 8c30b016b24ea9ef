"""`hilum audit DATA [DATA2 ...]`: leaks between splits and sets, blank films, missing files, label faults."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def audit(data: tuple[Path, ...], *, out: Path | None = None, workers: int = 0, quiet: bool = False) -> int:
    """Look for what makes a test number too good: patients or pictures on two sides of a split, or in two sets.

    Prints a report and the prevalence of each finding by split; writes nothing unless asked.

    Args:
        data: one or more data folders or manifests.
        out: file for the whole report as JSON.
        workers: decoding processes; 0 is one a core.
        quiet: print nothing.

    Returns:
        The exit code: 1 if there are leaks, else 0.
    """
    from hilum.auditing import audit_sets

    report = audit_sets([Path(folder) for folder in data], workers=workers, quiet=quiet)
    if not quiet:
        sys.stdout.write("\n".join(report.lines()) + "\n")
    if out is not None:
        Path(out).write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
    return 1 if report.leaks else 0
