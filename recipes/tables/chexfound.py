"""CheXFound: its result tables, filled again beside the published numbers.

Paper: https://arxiv.org/abs/2502.05142 (tables II to V, section V-B).
    Data, splits, protocols and flags are in hilum/tables/chexfound.py.
Command: python recipes/tables/chexfound.py table-2 --data ROOT --out RUN --encoders chexfound=RUN,rad-dino=FILE
    first say what is missing: python recipes/tables/chexfound.py table-2 --data ROOT --dry-run
    and try it on stand-ins of the data: python recipes/tables/chexfound.py table-2 --out RUN --miniature
Hardware: one GPU of 40 GB for ViT-L at 512 px; heads alone learn.
Hours: about 13 on one H200 for one encoder in table 2, computed at a quarter of its bf16 rate, not measured: two rounds
    of 10 epochs over CXR-LT and CheXpert for each of two heads, 16 million films at 512 px of 0.73 TFLOP.
Expect: the numbers beside ours on the page; the splits were not released, and Montgomery (28 films) and JSRT (50) are
    within noise.
"""

from __future__ import annotations

from typing import Literal


def chexfound(
    table: Literal["table-2", "table-3", "table-4", "table-5", "mortality"],
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

    return fill_table(f"chexfound-{given.pop('table')}", **given)


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(chexfound)
