"""Results: predictions in, numbers with intervals out, as JSON, Markdown and one self-contained HTML page.

`classification_results` judges a table of predictions, `compare` and `against_baselines` add paired
differences, `write_results` writes everything. *Results* is what we write; a *report* is the radiologist's
text.
"""

from __future__ import annotations

from hilum.results.classification import classification_results
from hilum.results.comparison import against_baselines, compare
from hilum.results.write import write_results

__all__ = ["against_baselines", "classification_results", "compare", "write_results"]
