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
import torch

import hilum
from hilum.errors import ConfigError
from hilum.evaluation.adaptation import Options, Plan, make_plan
from hilum.evaluation.features import Runner, extract_features
from hilum.evaluation.judge import judge
from hilum.evaluation.predict import films_to_judge, prediction_table
from hilum.evaluation.run import run_adaptation
from hilum.heads.knn import knn_scores
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
KNN: Final = "knn"  # the probe that trains nothing
JUDGED: Final = Path("judged", "predictions.parquet")  # of a probe
MIN_POSITIVES: Final = 50  # a finding with fewer in the labelled share says little about a probe
Say = Callable[[str], None]


@dataclass(frozen=True)
class Contest:
    """Who runs, on what, for how long."""

    data: str
    methods: tuple[str, ...] = ("mae", "mrm", "maco", "medim")  # the first is what the others are compared with
    kinds: Mapping[str, str] = field(default_factory=dict)  # name -> method, for several runs of one method
    seeds: tuple[int, ...] = (0, 1, 2)
    preset: str = "phantom"
    training: Mapping[str, Any] = field(default_factory=dict)  # arguments of hilum.pretrain, the same for all
    reading: Mapping[str, Any] = field(default_factory=dict)  # more of them for the methods that read reports
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # arguments of single methods; {seed} is filled
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # --set of single methods
    probes: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"probe": {}})  # name -> fields of Options
    neighbours: int = 0  # also judge k nearest neighbours, as "knn"; 0: do not
    labels: tuple[str, ...] = ()  # findings to probe; () takes those with enough positives in the share
    fraction: float = 0.01  # of the training patients' labels
    draws: int = 1000

    def kind(self, name: str) -> str:
        """The pretraining method that goes by a name here."""
        return self.kinds.get(name, name)

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
            kind = contest.kind(method)
            reading = contest.reading if reads_reports(kind) else {}
            single = {
                key: value.format(seed=seed) if isinstance(value, str) else value
                for key, value in contest.own.get(method, {}).items()
            }
            hilum.pretrain(
                kind,
                data=contest.data,
                out=str(run),
                preset=contest.preset,
                seed=seed,
                resume=resume,
                **{**contest.training, **reading, **single, "set": own},
            )


def probe_all(contest: Contest, out: Path, say: Say) -> None:
    """Train and judge every probe on every encoder; finished ones are left as they are."""
    labels = contest.probed()
    say(f"probe on {contest.fraction:.0%} of the labels: {', '.join(labels)}")
    for seed in contest.seeds:
        for method in contest.methods:
            encoder = str(out / f"{method}-{seed}")
            asked: dict[str, Any] = {
                "encoder": encoder, "data": contest.data, "labels": labels, "fraction": contest.fraction,
            }  # fmt: skip
            for probe, more in contest.probes.items():
                folder = out / f"{method}-{seed}-{probe}"
                if not (folder / JUDGED).is_file():
                    say(f"{probe} {method}, seed {seed}")
                    plan = make_plan(Options(**{**asked, "seed": seed, **more}))
                    run_adaptation(plan, folder, resume=(folder / "config.json").is_file())
                    judge(
                        str(folder), contest.data, out=str((folder / JUDGED).parent), draws=contest.draws, baselines=()
                    )
            neighbours = out / f"{method}-{seed}-{KNN}" / JUDGED
            if contest.neighbours and not neighbours.is_file():
                say(f"{KNN} {method}, seed {seed}")
                plan = make_plan(Options(**{**asked, "seed": seed}))
                neighbours.parent.mkdir(parents=True, exist_ok=True)
                nearest_scores(plan, contest.neighbours).to_parquet(neighbours, index=False)


def nearest_scores(plan: Plan, k: int) -> pd.DataFrame:
    """Test films scored by the labelled training films nearest to them: a table as `predictions.parquet`."""
    encoder, record = plan.encoder, plan.record
    films = films_to_judge(record, Manifest.read(plan.options.data), "test", patients=None)
    train, test = (
        torch.from_numpy(np.array(extract_features(encoder, manifest, record.pool, runner=Runner(quiet=True))))
        for manifest in (plan.train.manifest, films.manifest)
    )
    scores = knn_scores(train, torch.from_numpy(plan.train.targets), test, k=k).double().numpy()
    return prediction_table(record, films, scores)


def read_out_all(contest: Contest, out: Path, say: Say) -> None:
    """Sentences, places and words of the methods that learned them; finished folders are left as they are."""
    places = (Path(contest.data) / "boxes.json").is_file()
    for seed in contest.seeds:
        for method in contest.methods:
            run = str(out / f"{method}-{seed}")
            kind = contest.kind(method)
            verbs = (["zero_shot", "retrieve", *(["ground"] if places else [])] if kind in ALIGNED else []) + (
                ["restore"] if kind == "mrm" else []
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


def standings(contest: Contest, out: Path, probe: str = "probe") -> list[Standing]:
    """Every method's macro AUROC under one probe, mean over seeds, with its paired difference to the first method."""
    judged = {
        method: [judged_probe(out / f"{method}-{seed}-{probe}", contest.draws) for seed in contest.seeds]
        for method in contest.methods
    }
    first = mean_over_runs(judged[contest.methods[0]])
    rows = []
    for method, runs in judged.items():
        mean = mean_over_runs(runs)
        gap = None if method == contest.methods[0] else difference(mean, first, "auroc").to_json()
        rows.append(Standing(method, mean.macro("auroc").to_json(), spread(runs, "auroc"), gap))
    return rows


def run_contest(
    contest: Contest, out: str | Path, *, name: str = "standings", say: Say = lambda line: None
) -> list[Standing]:
    """Train, probe, read out; writes `NAME.json` and `NAME.md` and returns what they say of the first probe."""
    out, began = Path(out), time.monotonic()
    train_all(contest, out, say)
    probe_all(contest, out, say)
    read_out_all(contest, out, say)
    found = {probe: standings(contest, out, probe) for probe in (*contest.probes, *[KNN] * bool(contest.neighbours))}
    plain = {probe: [vars(row) for row in rows] for probe, rows in found.items()}
    write_atomic(out / f"{name}.json", json.dumps(plain, indent=2) + "\n")
    told = [f"## {probe}\n\n{as_markdown(rows)}\n" for probe, rows in found.items()]
    write_atomic(out / f"{name}.md", "\n".join(told))
    say(f"done in {(time.monotonic() - began) / 60:.1f} minutes: {out / f'{name}.md'}")
    return next(iter(found.values()))


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


def judged_probe(folder: Path, draws: int) -> Bootstrap:
    """The bootstrap of one probe's test predictions, films in the order of their ids, so that probes are paired."""
    predictions = check_predictions(pd.read_parquet(folder / JUDGED))
    order = np.argsort(predictions.table["image_id"].to_numpy(dtype=str))
    return bootstrap(
        predictions.labels[order],
        predictions.scores[order],
        predictions.patients[order],
        findings=predictions.findings,
        draws=draws,
    )
