"""The whole road on synthetic films: archive, prepare, audit, pretrain, adapt, evaluate, in minutes on two CPU cores.

Each part is a verb, called through its Python twin; the command a user would type is printed before it runs. The films
are the phantom's: what this shows is that the software works, not that a model would work on people.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hilum
from hilum.datasets.phantom import write_phantom
from hilum.run_folder import RunFolder, write_atomic
from hilum.study import Answer, Question, as_markdown, run_study

KEY = "00" * 32  # ids of people are hashed with a secret key; the phantom's are nobody's, and the demo repeats itself


@dataclass(frozen=True)
class Recipe:
    """Sizes of the demo, chosen on validation films and by the clock; docs/log.md says which test results were seen."""

    patients: int = 800
    size: int = 128  # pixels a side of the stored films
    labels: tuple[str, ...] = ("Cardiomegaly", "Effusion", "Edema", "Consolidation", "SupportDevice")
    epochs: float = 22.0  # of pretraining
    base_lr: float = 2e-3
    batch_size: int = 32
    frozen_epochs: int = 50
    finetune_epochs: int = 2
    seed: int = 0


def run_demo(out: str | Path, recipe: Recipe | None = None) -> Path:
    """Run everything and write `results.html`.

    Args:
        out: a new folder.
        recipe: sizes; the default takes about five minutes on two CPU cores.

    Returns:
        The results page.
    """
    recipe = recipe or Recipe()
    out = RunFolder(out).path
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    _say(f"drawing {recipe.patients} synthetic patients as a DICOM archive in {out / 'archive'}")
    write_phantom(
        out / "archive", patients=recipe.patients, size=recipe.size, seed=recipe.seed, form="dicom", workers=2
    )
    archive, data, run = str(out / "archive"), str(out / "data"), str(out / "pretrained")
    write_atomic(out / "hilum.key", KEY + "\n")
    _verb("prepare", archive, out=data, size=recipe.size, table=f"{archive}/labels.csv", key=str(out / "hilum.key"))
    if _verb("audit", (data,)):
        _say("the audit found something to look at (two synthetic patients may look alike); going on")
    settings = {"epochs": recipe.epochs, "batch_size": recipe.batch_size, "base_lr": recipe.base_lr}
    _verb("pretrain", "mae", data=data, out=run, preset="phantom", seed=recipe.seed, **settings)

    _say("adapt and evaluate, pretrained against random weights")
    question = Question(
        encoder=run,
        data=data,
        labels=recipe.labels,
        options={"frozen": {"epochs": recipe.frozen_epochs}, "finetune": {"epochs": recipe.finetune_epochs}},
        seed=recipe.seed,
    )
    answers = run_study(question, out / "study", say=_say)
    page = out / "study" / "results.html"
    sys.stdout.write(f"\nMacro AUROC on the test patients [95 % patient-level interval]\n\n{as_markdown(answers)}\n\n")
    sys.stdout.write(
        f"{verdict(answers)}\nDone in {(time.monotonic() - began) / 60:.1f} minutes. Results page: {page}\n"
    )
    write_atomic(out / "verdict.txt", verdict(answers) + "\n")
    return page


def verdict(answers: Sequence[Answer]) -> str:
    """One sentence on the frozen protocol with all labels: is pretrained better than random, by how much, how sure."""
    answer = next(a for a in answers if a.mode == "frozen" and a.fraction == 1.0)
    difference = answer.macro["difference"]
    interval = f"{difference['value']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}]"
    sure = "the interval excludes 0" if difference["low"] > 0 else "NOT shown: the interval includes 0"
    return f"Frozen encoder, pretrained minus random weights: {interval} macro AUROC; {sure}."


def _verb(name: str, first: Any, **options: Any) -> Any:
    """Print a verb's command line, then call its Python twin."""
    words = [*((first,) if isinstance(first, str) else first)]
    words += [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    _say(f"hilum {name} {shlex.join(words)}")
    return getattr(hilum, name)(first, **options)


def _say(line: str) -> None:
    sys.stdout.write(f"\n=== {line}\n")
    sys.stdout.flush()
