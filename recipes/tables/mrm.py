"""MRM: its result tables, filled again beside the published numbers.

Paper: https://arxiv.org/abs/2301.13155 (tables 1 to 5).
    Data, splits, protocols and flags are in hilum/tables/mrm.py.
Command: python recipes/tables/mrm.py table-1 --data ROOT --out RUN --encoders mrm=RUN
    first say what is missing: python recipes/tables/mrm.py table-1 --data ROOT --dry-run
    and try it on stand-ins of the data: python recipes/tables/mrm.py table-1 --out RUN --miniature
Hardware: the paper fine-tuned on one GPU of 12 GB and segmented on four; here one GPU or more memory than time.
Hours: about 9 on one H200 for table 1, one encoder and one seed, computed at a quarter of its bf16 rate, not measured:
    31 million films at 224 px of 0.1 TFLOP (3.7 hours) and 1.3 million at 512 px with UPerNet of 3.4 TFLOP (5).
Expect: the numbers beside ours on the page; SIIM's lists leak, so do not chase its 91.4.
"""

from __future__ import annotations

from typing import Literal


def mrm(
    table: Literal["table-1", "table-2", "table-3", "table-4", "table-5"],
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
        table: which.
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
    given = dict(locals())
    from hilum.tables.fill import fill_table

    return fill_table(f"mrm-{given.pop('table')}", **given)


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(mrm)
