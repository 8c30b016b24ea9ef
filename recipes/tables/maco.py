"""MaCo: its result tables, filled again beside the published numbers.

Paper: https://arxiv.org/abs/2309.05904 (tables 1 to 5).
    Data, splits, protocols and flags are in hilum/tables/maco.py.
Command: python recipes/tables/maco.py table-1 --data ROOT --out RUN --encoders maco=RUN
    first say what is missing: python recipes/tables/maco.py table-1 --data ROOT --dry-run
    and try it on stand-ins of the data: python recipes/tables/maco.py table-1 --out RUN --miniature
Hardware: as MRM's, whose scripts it shares; grounding takes minutes on any GPU.
Hours: about 6 on one H200 for table 1 and 5 for table 3, one encoder and seed, computed at a quarter of its bf16 rate,
    not measured: 53 million films at 224 px of 0.1 TFLOP, and 1.3 million at 512 px with UPerNet of 3.4 TFLOP.
Expect: the numbers beside ours on the page; the rows of MaCo in table 2 are corrupt in print.
"""

from __future__ import annotations

from typing import Literal


def maco(
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

    return fill_table(f"maco-{given.pop('table')}", **given)


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(maco)
