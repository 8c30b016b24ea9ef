"""From the words of a shell to a filled table: what `hilum benchmark --table` and the recipes of the papers share."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hilum.errors import ConfigError
from hilum.lookup import lookup
from hilum.tables import TABLES
from hilum.tables.check import dry_run as said_dry_run
from hilum.tables.record import PaperTable


def fill_table(
    name: str,
    *,
    data: str | None = None,
    out: str | None = None,
    encoders: Sequence[str] = (),
    miniature: bool = False,
    dry_run: bool = False,
    resume: bool = False,
    device: str = "auto",
    workers: int = 0,
    draws: int = 1000,
    command: str = "",
) -> str:
    """Say what a table needs, or fill it; writes to the standard output what a person wants to know.

    Args:
        name: of `hilum.tables.TABLES`.
        data: folder of the data sets, one prepared folder each.
        out: folder for the filled table; new, or with `resume` the one to go on with.
        encoders: NAME=PATH; a name of a row fills that row, another gets rows of its own.
        miniature: run on stand-ins of the data with a tiny encoder.
        dry_run: only say what is needed and what of it is missing.
        resume: go on with what is there.
        device: cpu, cuda, or auto.
        workers: loader processes.
        draws: of patients, for the intervals.
        command: shown on the page.

    Returns:
        The folder, or "" for a dry run.

    Raises:
        ConfigError: no such table, no data, no encoder, or no folder to write to.
    """
    table: PaperTable = lookup(TABLES, name, kind="table")()
    given = named_encoders(encoders)
    if dry_run:
        sys.stdout.write(said_dry_run(table, Path(data or "."), given))
        return ""
    if out is None:
        raise ConfigError("no folder to write to is named", where="out", fix="Give --out FOLDER, or --dry-run")
    if data is None and not miniature:
        raise ConfigError(
            "no folder of data sets is named", where="data", fix="Give --data ROOT, or --miniature for a trial"
        )
    from hilum.evaluation.features import Runner  # torch, which a dry run does without
    from hilum.tables.run import run_table

    filled = run_table(
        table,
        data,
        out,
        encoders=given,
        miniature=miniature,
        resume=resume,
        draws=draws,
        runner=Runner(device=device, workers=workers),  # type: ignore[arg-type]  # the command line has checked it
        command=command or shlex.join(sys.argv),
    )
    sys.stdout.write("\n".join([*filled.lines, str(filled.page)]) + "\n")
    return str(filled.folder)


def named_encoders(given: Sequence[str]) -> Mapping[str, str]:
    """`NAME=PATH` words as a mapping.

    Raises:
        ConfigError: a word without a name, or a name given twice.
    """
    found: dict[str, str] = {}
    for word in given:
        name, equals, path = word.partition("=")
        if not equals or not name or not path:
            raise ConfigError(f"{word!r} is not NAME=PATH", where="encoders", fix="Write e.g. --encoders mrm=RUN")
        if name in found:
            raise ConfigError(f"{name} is named twice", where="encoders", fix="Give each encoder its own name")
        found[name] = path
    return found
