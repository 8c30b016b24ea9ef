"""The HTML page: one file with its style and plots inside, no script, and nothing loaded from anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import CodeType
from typing import Any, Final

import jinja2
import pandas as pd
from jinja2.bccache import Bucket

from hilum.metrics.estimate import interval_text
from hilum.results.decision_panel import decision_panel
from hilum.results.panels import Panel, calibration_panel, forest, precision_recall_panel, roc_panel
from hilum.results.predictions import check_predictions

TEMPLATES: Final = Path(__file__).parent / "templates"
PANELS: Final = {  # heading -> how its panel is drawn
    "ROC": roc_panel,
    "Precision and recall": precision_recall_panel,
    "Calibration": calibration_panel,
    "Net benefit": decision_panel,
}
UNTOLD: Final = ("training_counts",)  # of the context: long, and told elsewhere on the page
FOLDED: Final = 8  # more findings than these, and tables by finding are folded away
METRIC_NAMES: Final = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f1": "F1",
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
}


class _Compiled(jinja2.BytecodeCache):
    """Templates as code, kept in memory: each is compiled once a process, for all environments.

    The code asks its environment for filters when it runs; only a constant put through a filter would be worked out
    once for all, and no template has one.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], CodeType] = {}  # by file and content

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._kept.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        assert bucket.code is not None
        self._kept[bucket.key, bucket.checksum] = bucket.code


COMPILED: Final = _Compiled()


def page(results: Mapping[str, Any], predictions: pd.DataFrame) -> str:
    """Render the page.

    Args:
        results: what `classification_results` returned, with optional `notes`, `comparisons` and `baselines`.
        predictions: the table it was made from; the curves are drawn from it.

    Raises:
        UserError: `predictions` is not a table of predictions.
    """
    table = check_predictions(predictions)
    curves: dict[str, list[Panel]] = {}
    for heading, draw in PANELS.items():
        drawn = [
            draw(name, table.labels[:, k], table.scores[:, k], results["findings"][name])
            for k, name in enumerate(table.findings)
            if not results["findings"][name]["reason"]
        ]
        curves[heading] = [panel for panel in drawn if panel is not None]
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            results=results,
            context=results["context"],
            findings=results["findings"],
            macro=results["macro"],
            cohort=results["cohort"],
            curves=curves,
            forest=forest(results["findings"], results["macro"]),
            metric_names=METRIC_NAMES,
            untold=("title", "command", *UNTOLD),
            folded=len(results["findings"]) > FOLDED,
            gaps=widest_gaps(results["subgroups"]),
            notes=results.get("notes", []),
            comparisons=results.get("comparisons", []),
            baselines=results.get("baselines", {}),
        )
    )


def widest_gaps(subgroups: Mapping[str, Any] | None) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Attribute -> (finding, its row) with the largest gap, of those attributes that have one."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for name, entry in (subgroups or {"attributes": {}})["attributes"].items():
        rows = [pair for pair in entry["findings"].items() if pair[1]["gap"]["value"] is not None]
        if rows:
            found[name] = max(rows, key=lambda pair: pair[1]["gap"]["value"])
    return found


def environment() -> jinja2.Environment:
    """Where every page's template is rendered: escaping on, unknown names an error, numbers as readers write them.

    A new one each time, so that a caller's own filters, globals and folders are nobody else's.
    """
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=COMPILED,
    )
    made.filters.update(said=said, percent=percent, number=number, text=as_text, p=p_text)
    return made


def said(estimate: Mapping[str, Any], *, signed: bool = False, digits: int = 3) -> str:
    """An estimate or difference as `0.853 [0.812, 0.891]`."""
    return interval_text(estimate["value"], estimate["low"], estimate["high"], signed=signed, digits=digits)


def percent(share: float | None) -> str:
    """A share as `12.5 %`."""
    return "–" if share is None else f"{100 * share:.1f} %"


def number(value: float | None, digits: int = 3) -> str:
    """A number with a fixed number of digits, or a dash."""
    return "–" if value is None else f"{value:,.{digits}f}"


def p_text(p: float | None) -> str:
    """A p-value with three decimals, more where it needs them, or a dash."""
    if p is None:
        return "–"
    return f"{p:.3f}" if p >= 0.0005 else f"{p:.1e}"


def as_text(value: Any) -> str:
    """A context value for a reader: text as it is, anything nested as JSON."""
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
