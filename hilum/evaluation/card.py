"""The model card of a classifier: what it scores, what it was chosen by, what it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum.schema import Preprocessing

if TYPE_CHECKING:
    from hilum.evaluation.classifier import Record


def classifier_card(record: Record, preprocessing: Preprocessing) -> str:
    """Markdown for README.md of the checkpoint folder."""
    rows = [
        f"| {finding} | {_number(record.thresholds.get(finding))} | {record.threshold_notes.get(finding, '')} |"
        for finding in record.findings
    ]
    origin = [f"| {key} | {value} |" for key, value in record.origin.items() if not isinstance(value, dict | list)]
    kind = "one probability a finding" if record.targets == "multilabel" else "one probability a class, summing to 1"
    return "\n".join(
        [
            "# Chest X-ray classifier",
            "",
            f"A {_head(record)} head on {record.reading} of an encoder, {_mode(record)}; {kind}.",
            f"Macro AUROC on the validation films that chose it: {_number(record.validation.get('auroc'))}. It is too",
            "favourable for that reason; the number to quote is that of `hilum evaluate` on test patients.",
            f"Chosen on {record.chosen_on}.",
            "",
            f"| finding | threshold ({record.how_chosen} on validation) | |",
            "|---|---|---|",
            *rows,
            "",
            "| | |",
            "|---|---|",
            *origin,
            f"| calibration | {record.calibration.get('kind', 'none')} |",
            f"| uncertain labels | {record.policy.get('default', 'ignore')} {record.policy.get('rules') or ''} |",
            "",
            f"**Preprocessing**: `{preprocessing.to_json()}`",
            "",
            "**Intended use.** Research on chest radiographs like those it was trained on. Not a medical device;",
            "not for diagnosis. Scores are not calibrated for another hospital, machine or prevalence.",
            "",
            "**Licence of the weights.** They follow the terms of the films and of the encoder they were trained from.",
            "",
        ]
    )


def _mode(record: Record) -> str:
    return "the encoder frozen" if record.mode == "frozen" else "encoder and head fine-tuned together"


def _head(record: Record) -> str:
    return record.head if record.head_variant is None else f"{record.head} ({record.head_variant})"


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "–"
