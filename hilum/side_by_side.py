"""Several pretraining methods on the same films at one budget, over several seeds: what do reports buy?

Every method gets the same backbone, films, batch and number of steps. A frozen probe on a small share of the labels is
judged on the same test patients, and each method's paired, patient-level difference to the first one is the answer.
What the others have learned besides (sentences, places, words) is read out by their own verbs.
Everything that is finished is kept: the same call goes on where it was stopped, and several calls may share the work.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

import hilum
from hilum.errors import ConfigError
from hilum.evaluation.adaptation import Options, make_plan
from hilum.evaluation.judge import judge
from hilum.evaluation.run import run_adaptation
from hilum.labels import nested_fraction
from hilum.manifest import Manifest
from hilum.methods import reads_reports
from hilum.metrics.bootstrap import Bootstrap, bootstrap, difference
from hilum.metrics.estimate import interval_text
from hilum.metrics.over_runs import mean_over_runs, spread
from hilum.results.markdown import table
from hilum.results.predictions import check_predictions
from hilum.run_folder import write_atomic

ALIGNED: Final = ("maco", "medim")  # methods that leave a text tower
MIN_POSITIVES: Final = 50  # a finding with fewer in the labelled share says little about a probe
Say = Callable[[str], None]


@dataclass(frozen=True)
class Contest:
    """Who runs, on what, for how long."""

    data: str
    methods: tuple[str, ...] = ("mae", "mrm", "maco", "medim")  # the first is what the others are compared with
    seeds: tuple[int, ...] = (0, 1, 2)
    preset: str = "phantom"
    training: Mapping[str, Any] = field(default_factory=dict)  # arguments of hilum.pretrain, the same for all
    reading: Mapping[str, Any] = field(default_factory=dict)  # more of them for the methods that read reports
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # --set of single methods
    labels: tuple[str, ...] = ()  # findings to probe; () takes those with enough positives in the share
    fraction: float = 0.01  # of the training patients' labels
    draws: int = 1000

    def probed(self) -> tuple[str, ...]:
        """The findings to probe: those named, or those with enough positives in the labelled share of every seed.

        Raises:
            ConfigError: no finding has enough.
        """
        if self.labels:
            return self.labels
        films = Manifest.read(self.data)
        found = tuple(name for name in films.findings if name != "NoFinding")
        for seed in self.seeds:
            share = nested_fraction(films, self.fraction, seed).select(split="train")
            enough = (share.labels(found) == 1).sum(axis=0) >= MIN_POSITIVES
            found = tuple(name for name, fine in zip(found, enough, strict=True) if fine)
        if not found:
            what = f"no finding has {MIN_POSITIVES} positives in {self.fraction:.0%} of the training patients"
            raise ConfigError(what, where=self.data, fix="Name --labels, or take a larger share or more patients")
        return found


def train_all(contest: Contest, out: Path, say: Say) -> None:
    """Pretrain every method with every seed into `out/METHOD-SEED`; finished runs are left as they are."""
    for seed in contest.seeds:
        for method in contest.methods:
            run = out / f"{method}-{seed}"
            if (run / "encoder").is_dir():
                continue
            say(f"pretrain {method}, seed {seed}")
            own = {**contest.training.get("set", {}), **contest.options.get(method, {})}
            resume = (run / "config.json").is_file()
            hilum.pretrain(
                method,
                data=contest.data,
                out=str(run),
                preset=contest.preset,
                seed=seed,
                resume=resume,
                **{**contest.training, **(contest.reading if reads_reports(method) else {}), "set": own},
            )


def probe_all(contest: Contest, out: Path, say: Say) -> None:
    """Train and judge a frozen probe on every encoder; finished ones are left as they are."""
    labels = contest.probed()
    say(f"probe on {contest.fraction:.0%} of the labels: {', '.join(labels)}")
    for seed in contest.seeds:
        for method in contest.methods:
            folder = out / f"{method}-{seed}-probe"
            if (folder / "judged" / "predictions.parquet").is_file():
                continue
            say(f"probe {method}, seed {seed}")
            encoder = str(out / f"{method}-{seed}")
            options = Options(encoder=encoder, data=contest.data, labels=labels, fraction=contest.fraction, seed=seed)
            run_adaptation(make_plan(options), folder, resume=(folder / "config.json").is_file())
            judge(str(folder), contest.data, out=str(folder / "judged"), draws=contest.draws)


def read_out_all(contest: Contest, out: Path, say: Say) -> None:
    """Sentences, places and words of the methods that learned them; finished folders are left as they are."""
    places = (Path(contest.data) / "boxes.json").is_file()
    for seed in contest.seeds:
        for method in contest.methods:
            run = str(out / f"{method}-{seed}")
            verbs = (["zero_shot", "retrieve", *(["ground"] if places else [])] if method in ALIGNED else []) + (
                ["restore"] if method == "mrm" else []
            )
            for verb in verbs:
                folder = out / f"{method}-{seed}-{verb}"
                if not (folder / "results.json").is_file():
                    say(f"{verb} {method}, seed {seed}")
                    getattr(hilum, verb)(run, data=contest.data, out=str(folder), draws=contest.draws)


@dataclass(frozen=True)
class Standing:
    """One method's probe over its seeds."""

    method: str
    macro: Mapping[str, Any]  # estimate of the mean over seeds
    spread: float | None  # standard deviation over seeds
    against_first: Mapping[str, Any] | None  # paired difference of means over seeds; None for the first method


def standings(contest: Contest, out: Path) -> list[Standing]:
    """Every method's macro AUROC, mean over seeds, with its paired difference to the first method."""
    judged = {
        method: [_judged(out, method, seed, contest.draws) for seed in contest.seeds] for method in contest.methods
    }
    first = mean_over_runs(judged[contest.methods[0]])
    rows = []
    for method, runs in judged.items():
        mean = mean_over_runs(runs)
        gap = None if method == contest.methods[0] else difference(mean, first, "auroc").to_json()
        rows.append(Standing(method, mean.macro("auroc").to_json(), spread(runs, "auroc"), gap))
    return rows


def run_contest(contest: Contest, out: str | Path, *, say: Say = lambda line: None) -> list[Standing]:
    """Train, probe, read out; writes `standings.json` and `standings.md` and returns what they say."""
    out, began = Path(out), time.monotonic()
    train_all(contest, out, say)
    probe_all(contest, out, say)
    read_out_all(contest, out, say)
    rows = standings(contest, out)
    write_atomic(out / "standings.json", json.dumps([vars(row) for row in rows], indent=2) + "\n")
    write_atomic(out / "standings.md", as_markdown(rows) + "\n")
    say(f"done in {(time.monotonic() - began) / 60:.1f} minutes: {out / 'standings.md'}")
    return rows


def as_markdown(rows: Sequence[Standing]) -> str:
    """The standings as one table."""
    cells = []
    for row in rows:
        macro, gap = row.macro, row.against_first
        shown = interval_text(macro["value"], macro["low"], macro["high"])
        spread_text = "–" if row.spread is None else f"{row.spread:.3f}"
        against = "" if gap is None else interval_text(gap["value"], gap["low"], gap["high"], signed=True)
        cells.append((row.method, shown, spread_text, against))
    return table(("method", "macro AUROC, mean over seeds", "sd over seeds", f"minus {rows[0].method}, paired"), cells)


def _judged(out: Path, method: str, seed: int, draws: int) -> Bootstrap:
    predictions = check_predictions(pd.read_parquet(out / f"{method}-{seed}-probe" / "judged" / "predictions.parquet"))
    order = np.argsort(predictions.table["image_id"].to_numpy(dtype=str))
    return bootstrap(
        predictions.labels[order],
        predictions.scores[order],
        predictions.patients[order],
        findings=predictions.findings,
        draws=draws,
    )
