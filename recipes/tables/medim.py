"""MedIM: its result tables, filled again beside the published numbers.

Paper: https://doi.org/10.1007/978-3-031-43907-0_2 (tables 1 to 3).
    Data, splits, protocols and flags are in hilum/tables/medim.py.
Command: python recipes/tables/medim.py table-1 --data ROOT --out RUN --encoders medim=RUN
    first say what is missing: python recipes/tables/medim.py table-1 --data ROOT --dry-run
    and try it on stand-ins of the data: python recipes/tables/medim.py table-1 --out RUN --miniature
Hardware: one GPU; the paper does not say what it used.
Hours: under 1 on one H200 for table 1, one encoder and one seed, computed at a quarter of its bf16 rate, not measured:
    12 million augmented films through a frozen ViT-B of 0.035 TFLOP; reading them takes longer.
Expect: the numbers beside ours on the page; no weights were released, and retrieval has no code.
"""

from __future__ import annotations

from typing import Literal


def medim(
    table: Literal["table-1", "table-2", "table-3"],
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

    return fill_table(f"medim-{given.pop('table')}", **given)


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(medim)
