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

from hilum.commands.arguments import run_script
from hilum.tables.script import paper_script

chexfound = paper_script("chexfound")

if __name__ == "__main__":
    run_script(chexfound)
