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

from hilum.commands.arguments import run_script
from hilum.tables.script import paper_script

cxrbase = paper_script("cxrbase")

if __name__ == "__main__":
    run_script(cxrbase)
