"""The model card of a detector: what its boxes say, from which score on, what it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum.schema import Preprocessing

if TYPE_CHECKING:
    from hilum.evaluation.detection.model import DetectorRecord

SHOWN_RATE = 0.5  # false positives an image on validation films, at which a box is shown


def detector_card(record: DetectorRecord, preprocessing: Preprocessing) -> str:
    """Markdown for README.md of the checkpoint folder."""
    rows = [
        f"| {finding} | {_number(record.thresholds.get(finding))} | {record.threshold_notes.get(finding, '')} |"
        for finding in record.findings
    ]
    origin = [f"| {key} | {value} |" for key, value in record.origin.items() if not isinstance(value, dict | list)]
    return "\n".join(
        [
            "# Chest X-ray detector",
            "",
            "An encoder with LW-DETR's projector and decoder: boxes with a score a finding, at most "
            f"{record.most_found} a film.",
            f"Macro AP50 on the validation films that chose it: {_number(record.validation.get('ap50'))}. It is too",
            "favourable for that reason; the number to quote is that of `hilum evaluate` on test patients.",
            "",
            f"| finding | shown from this score ({SHOWN_RATE:g} false positives an image on validation) | |",
            "|---|---|---|",
            *rows,
            "",
            "| | |",
            "|---|---|",
            *origin,
            "",
            f"**Preprocessing**: `{preprocessing.to_json()}`",
            "",
            "**Intended use.** Research on chest radiographs like those it was trained on. Not a medical device;",
            "not for diagnosis. No box does not mean no finding.",
            "",
            "**Licence of the weights.** They follow the terms of the films and of the encoder they were trained from.",
            "",
        ]
    )


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "–"
