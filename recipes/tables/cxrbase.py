"""CXRBase: its results, filled again beside the published numbers as far as the data are public.

Paper: https://arxiv.org/abs/2410.08861 (tables 1 and 2, section 2.2).
    Data, splits, protocols and flags are in hilum/tables/cxrbase.py.
Command: python recipes/tables/cxrbase.py table-1 --data ROOT --out RUN --encoders cxrbase=RUN
    first say what is missing: python recipes/tables/cxrbase.py table-1 --data ROOT --dry-run
    and try it on stand-ins of the data: python recipes/tables/cxrbase.py table-1 --out RUN --miniature
Hardware: one GPU of 24 GB for fine-tuning a ViT-L with 16 films a step.
Hours: about 12 on one H200 for negative screening, computed at a quarter of its bf16 rate, not measured: 50 epochs over
    570,000 films through ViT-L, 0.37 TFLOP each. The few-shot tables take minutes a set.
Expect: no number can be expected: half of the sets are private, no split and no number of shots was released.
"""

from __future__ import annotations

from typing import Literal


def cxrbase(
    table: Literal["table-1", "table-2", "negative-screening", "covid-screening"],
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

    return fill_table(f"cxrbase-{given.pop('table')}", **given)


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(cxrbase)
