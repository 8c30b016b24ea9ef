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

from hilum.commands.arguments import run_script
from hilum.tables.script import paper_script

medim = paper_script("medim")

if __name__ == "__main__":
    run_script(medim)
