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

from hilum.commands.arguments import run_script
from hilum.tables.script import paper_script

mrm = paper_script("mrm")

if __name__ == "__main__":
    run_script(mrm)
