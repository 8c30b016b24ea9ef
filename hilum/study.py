"""Does pretraining help? The same network, pretrained and from random weights, under every protocol asked for.

For each mode (frozen, finetune) and label fraction two classifiers learn from the same patients and are judged on the
same test patients; their paired, patient-level difference is the answer. Beside it stand the baselines that need no
network.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from hilum.evaluation.adaptation import Options, make_plan
from hilum.evaluation.judge import judge
from hilum.evaluation.judged import Judged
from hilum.evaluation.run import run_adaptation
from hilum.results import compare, write_results
from hilum.results.markdown import table
from hilum.results.page import said
from hilum.run_folder import write_atomic

Mode = Literal["frozen", "finetune"]
Weights = Literal["pretrained", "random"]
WEIGHTS: tuple[Weights, Weights] = ("pretrained", "random")


@dataclass(frozen=True)
class Question:
    """What is asked of an encoder on one data set."""

    encoder: str
    data: str
    labels: tuple[str, ...]
    modes: tuple[Mode, ...] = ("frozen", "finetune")
    fractions: tuple[float, ...] = (0.1, 1.0)  # shares of the training patients
    baselines: tuple[str, ...] = ("metadata", "hog")  # beside the page's main result
    options: Mapping[Mode, Mapping[str, Any]] = field(default_factory=dict)  # more fields of Options, by mode
    draws: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Answer:
    """One protocol: pretrained against random weights, as `results.compare` gives it."""

    mode: Mode
    fraction: float
    comparison: Mapping[str, Any]
    seconds: float  # to train and judge both

    @property
    def macro(self) -> Mapping[str, Any]:
        """Macro AUROC of the pretrained (`first`) and the random network (`second`), and their `difference`."""
        macro: Mapping[str, Any] = self.comparison["auroc"]["macro"]
        return macro


def run_study(question: Question, out: str | Path, *, say: Callable[[str], None] = lambda line: None) -> list[Answer]:
    """Train and judge every classifier of a question.

    Writes a run folder per classifier, `answers.json`, `answers.md`, and `results.html`: the page of the first mode
    with all its labels, pretrained, with the baselines and every comparison on it.

    Args:
        question: what is asked.
        out: a new folder.
        say: is given a line of text before each classifier.
    """
    out = Path(out)
    answers: list[Answer] = []
    main: Judged | None = None
    for mode in question.modes:
        for fraction in sorted(question.fractions, reverse=True):
            began = time.monotonic()
            pair: dict[Weights, Judged] = {}
            for weights in WEIGHTS:
                say(f"{mode}, {fraction:.0%} of the training patients, {weights} weights")
                pair[weights] = _train_and_judge(question, mode, fraction, weights, out, with_baselines=main is None)
                main = main or pair[weights]
            names = [f"{mode}, {fraction:.0%} of the labels, {weights} weights" for weights in WEIGHTS]
            comparison = compare(
                names[0],
                pair["pretrained"].table,
                names[1],
                pair["random"].table,
                draws=question.draws,
                seed=question.seed,
            )
            answers.append(Answer(mode, fraction, comparison, time.monotonic() - began))
    assert main is not None
    results = {**main.results, "comparisons": [answer.comparison for answer in answers]}
    write_results(out, results, main.table)
    write_atomic(out / "answers.json", json.dumps([asdict(answer) for answer in answers], indent=2) + "\n")
    write_atomic(out / "answers.md", as_markdown(answers) + "\n")
    return answers


def as_markdown(answers: Sequence[Answer]) -> str:
    """The answers as one table: macro AUROC [95 % interval] of both, and the paired difference."""
    rows = [
        (
            answer.mode,
            f"{answer.fraction:.0%}",
            said(answer.macro["first"]),
            said(answer.macro["second"]),
            said(answer.macro["difference"], signed=True),
        )
        for answer in answers
    ]
    return table(("protocol", "labels", "pretrained", "random weights", "paired difference"), rows)


def _train_and_judge(
    question: Question, mode: Mode, fraction: float, weights: Weights, out: Path, *, with_baselines: bool
) -> Judged:
    options = Options(
        encoder=question.encoder,
        data=question.data,
        labels=question.labels,
        mode=mode,
        fraction=fraction,
        weights=weights,
        seed=question.seed,
        **question.options.get(mode, {}),
    )
    run = out / f"{mode}-{fraction:g}-{weights}"
    run_adaptation(make_plan(options), run)
    return judge(
        str(run),
        question.data,
        draws=question.draws,
        seed=question.seed,
        baselines=question.baselines if with_baselines else (),
    )
