"""Results of a score of risk: what `hilum evaluate` writes about people who were followed for an event.

`subjects` is the door (one row a person), `judge` computes the numbers, `curves` what is drawn, `plots` where it is
drawn, `page` writes HTML, Markdown and lines for the terminal. Curves are ours and equal lifelines to 1e-9, so that the
base install does without it.
"""

from __future__ import annotations

from hilum.results.survival.curves import Curves, curves_table, survival_curves
from hilum.results.survival.judge import survival_results, together
from hilum.results.survival.page import summary_lines, survival_markdown, survival_page

__all__ = [
    "Curves",
    "curves_table",
    "summary_lines",
    "survival_curves",
    "survival_markdown",
    "survival_page",
    "survival_results",
    "together",
]
