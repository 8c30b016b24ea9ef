"""The model card of a model of risk: what its score means, where high risk begins, what it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hilum.schema import ENDPOINTS, Preprocessing

if TYPE_CHECKING:
    from hilum.evaluation.survival.model import RiskRecord

SCORES: Final = {
    "cox": "the linear predictor of a Cox model, a log hazard ratio up to a constant",
    "discrete": "1 - S({horizon:g} days) of a discrete-time model: the chance of the event by then, if no other cause "
    "came first",
    "binary": "the probability of the event within {horizon:g} days",
}


def score_meaning(record: RiskRecord) -> str:
    """What a score is, in a line; higher always means an earlier event."""
    return SCORES[record.form].format(horizon=record.horizon)


def risk_card(record: RiskRecord, preprocessing: Preprocessing) -> str:
    """Markdown for README.md of the checkpoint folder."""
    rows = [
        f"| {endpoint} | {ENDPOINTS.get(endpoint, 'as the data set defines it')} "
        f"| {_number(record.thresholds.get(endpoint))} | {record.threshold_notes.get(endpoint, '')} |"
        for endpoint in record.endpoints
    ]
    origin = [f"| {key} | {value} |" for key, value in record.origin.items() if not isinstance(value, dict | list)]
    covariates = ", ".join(column["name"] for column in record.covariates) or "none: the film alone"
    return "\n".join(
        [
            "# Risk from a chest X-ray",
            "",
            f"A {record.head} head on a frozen encoder. The score is {score_meaning(record)}; higher means earlier.",
            f"{record.validation.get('name', 'value')} on the validation films that chose it: "
            f"{_number(record.validation.get('value'))}. It is too favourable for that reason; the number to quote is",
            "that of `hilum evaluate` on test patients.",
            "",
            "| endpoint | which is | high risk from | chosen by |",
            "|---|---|---|---|",
            *rows,
            "",
            "| | |",
            "|---|---|",
            *origin,
            f"| covariates beside the film | {covariates} |",
            f"| findings learned beside the endpoints | {', '.join(record.findings) or 'none'} |",
            f"| several films of a person | {record.reduce} |",
            "",
            f"**Preprocessing**: `{preprocessing.to_json()}`",
            "",
            "**Intended use.** Research on groups of people like those it was trained on. Not a medical device; not",
            "for telling one person what is to come. No score is a calibrated probability elsewhere or later.",
            "",
            "**Licence of the weights.** They follow the terms of the films and of the encoder they were trained from.",
            "",
        ]
    )


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "–"
