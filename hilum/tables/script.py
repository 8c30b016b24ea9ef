"""The command line that the papers' recipes share: `python recipes/tables/mrm.py table-1 --data ROOT --out RUN`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from hilum.tables.fill import fill_table


def paper_script(paper: str) -> Callable[..., str]:
    """The function behind a recipe; its signature is the command line.

    Args:
        paper: the start of its tables' names in `hilum.tables.TABLES`, e.g. mrm.
    """

    def tables(
        table: str,
        *,
        data: str | None = None,
        out: str | None = None,
        encoders: tuple[str, ...] = (),
        miniature: bool = False,
        dry_run: bool = False,
        resume: bool = False,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        workers: int = 0,
        draws: int = 1000,
    ) -> str:
        """Fill one table of the paper.

        Args:
            table: which, e.g. table-1.
            data: folder of the data sets, one prepared folder each.
            out: folder for the filled table.
            encoders: NAME=PATH; a name of a row fills that row, another gets rows of its own.
            miniature: run on stand-ins of the data with a tiny encoder; its numbers mean nothing.
            dry_run: only say what is needed and what of it is missing.
            resume: go on with what is there.
            device: cpu, cuda, or whichever is there.
            workers: loader processes.
            draws: patients are drawn this often for the intervals.
        """
        return fill_table(
            f"{paper}-{table}",
            data=data,
            out=out,
            encoders=encoders,
            miniature=miniature,
            dry_run=dry_run,
            resume=resume,
            device=device,
            workers=workers,
            draws=draws,
        )

    tables.__name__ = paper
    return tables
