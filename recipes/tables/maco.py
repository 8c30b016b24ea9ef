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

from hilum.commands.arguments import run_script
from hilum.tables.script import paper_script

maco = paper_script("maco")

if __name__ == "__main__":
    run_script(maco)
