"""CheXFound: DINOv2 on chest films, GLoRI on the frozen encoder; what more films, a larger model and more pixels buy.

Paper: https://arxiv.org/abs/2502.05142 (CheXFound; table V is `part=scaling`, Fig. 6 is `part=resolution`).
Command: python recipes/chexfound.py --data DATA --out RUNS --judged CHEXPERT,SHENZHEN [--part scaling] [--devices 8];
    on films that it draws itself: python recipes/chexfound.py --out RUNS --scale phantom [--part scaling]
Hardware: the paper used 8 A100 of 40 GB; here any number, the global batch stays 112. The phantom: 2 CPU cores.
Hours: on one H200 at 45 % of its bf16 rate, computed from the arithmetic, not measured: ViT-L 28 at 224 px, 59 at 336,
    94 at 448, 125 at 512 (7.2 TFLOP a film); ViT-B 8 and 38 at 224 and 512. Table V is 600 together, Fig. 6 is 450.
    The paper's took 48 to 96 each on its 8 GPUs. Phantom, one core, from the measured time of a step: pretraining 1.4
    for scaling and 0.8 for resolution, heads about 0.1 each.
Expect: table V, macro AUROC of 207K / 744K / 1M films: CXR-LT ViT-B .775 / .803 / .815 and ViT-L .795 / .813 / .830;
    CheXpert .854 / .869 / .877 and .874 / .887 / .908; Shenzhen .909 / .925 / .947 and .940 / .956 / .978. Fig. 6, from
    224 to 512 px: 3.3, 3.5 and 3.7 points more on these; 512 px from scratch gave it no
    useful encoder. Its tests on Montgomery (28 films) and JSRT (50) are within noise.

Departures: our shares are nested shares of the patients, where the paper adds whole data sets, so more films here are
more of the same kind; 512 px from scratch gets the steps that both stages together cost, counted in pixels, so that it
cannot fail for want of compute; the paper does not say at which size table V was trained, here it is the first and
last size in turn, as the model of its table II.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

import hilum
from hilum.datasets.phantom import write_phantom
from hilum.errors import ConfigError
from hilum.lookup import unknown_name
from hilum.metrics.bootstrap import Bootstrap, bootstrap, difference
from hilum.metrics.estimate import interval_text
from hilum.metrics.over_runs import mean_over_runs, spread
from hilum.results.markdown import table
from hilum.results.predictions import check_predictions
from hilum.run_folder import write_atomic

METRICS: Final = {"auprc": "AUPRC", "auroc": "AUROC"}
COLOURS: Final = ("#0f6b7a", "#c2571a", "#5b6a78", "#7a3f8f")


@dataclass(frozen=True)
class Scale:
    """How large everything is."""

    preset: str
    models: Mapping[str, Mapping[str, Any]]  # name in the table -> options of the method, the smallest first
    sizes: tuple[int, ...]  # pixels a side, rising
    fractions: tuple[float, ...]  # of the training patients, rising
    steps: int  # of every stage
    batch_size: int
    training: Mapping[str, Any] = field(default_factory=dict)  # more arguments of hilum.pretrain
    adapting: Mapping[str, Any] = field(default_factory=dict)  # more arguments of hilum.adapt


_FEW: Final = {"prototypes": 128, "hidden": 128, "bottleneck": 8}
SMALL: Final[dict[str, Any]] = {  # what lets a small network learn in so few steps, as in phantom_dinov2.py
    "dino_head": _FEW,
    "ibot_head": _FEW,
    "local_crops": 4,
    "global_scale": (0.4, 1.0),
    "local_scale": (0.15, 0.4),
    "teacher_temperature": (0.02, 0.02),
    "ibot_weight": 1.0,
    "vit": {"patch_size": 8, "depth": 4, "mlp": "gelu", "registers": 0, "layer_scale": None, "init": "xavier"},
}
SCALES: Final = {
    "paper": Scale(
        preset="dinov2",
        models={"ViT-B": {"model": "vit_base_patch16"}, "ViT-L": {"model": "vit_large_patch16"}},
        sizes=(224, 336, 448, 512),
        fractions=(0.206, 0.740, 1.0),  # 207,096 and 744,692 of 1,005,733 films
        steps=250_000,  # 100 epochs of 2,500
        batch_size=112,
        training={"precision": "bf16", "compile": True, "workers": 12},
        adapting={"epochs": 10},
    ),
    "phantom": Scale(
        preset="phantom",
        models={
            "small": {**SMALL, "vit": {**SMALL["vit"], "width": 48, "heads": 2}},
            "large": {**SMALL, "vit": {**SMALL["vit"], "width": 96, "heads": 3}},
        },
        sizes=(48, 72, 96),
        fractions=(0.2, 0.74, 1.0),
        steps=1200,
        batch_size=32,
        training={"lr": 1e-3, "probe": False, "keep_checkpoints": 1},
        adapting={"epochs": 12, "fraction": 0.1, "lrs": (3e-4, 1e-3)},
    ),
}
GLORI: Final[dict[str, dict[str, Any]]] = {  # how the head is trained, by variant
    "hilum": {},
    "paper": {"head_variant": "paper", "grid": "chexfound-paper", "loss_sum": True, "second_round": "fresh"},
    "released": {"head_variant": "released", "grid": "chexfound-released", "loss_sum": True, "second_round": "warm"},
}


@dataclass(frozen=True)
class Stage:
    """One pretraining run of a chain."""

    size: int  # pixels a side
    steps: int


@dataclass(frozen=True)
class Piece:
    """One encoder to judge: a row of the table, a point of the figure."""

    line: str  # the curve it lies on
    x: float  # where on it
    model: str
    fraction: float
    stages: tuple[Stage, ...]  # each starts from the one before
    against: int | None = None  # place in the list of the piece it is compared with

    def run(self, stages: int, seed: int) -> str:
        """Name of the run after so many stages: pieces of both parts that share a run share it by name."""
        chain = "-".join(f"{stage.size}px{stage.steps}" for stage in self.stages[:stages])
        return f"{self.model}-{self.fraction:g}-{chain}-seed{seed}"


def scaling(scale: Scale) -> list[Piece]:
    """Table V: every model on every share of the patients, through the first and the last size."""
    ends = sorted({scale.sizes[0], scale.sizes[-1]})
    stages = tuple(Stage(size, scale.steps) for size in ends)
    few = len(scale.fractions)
    return [
        Piece(model, fraction, model, fraction, stages, against=row * few if column else None)
        for row, model in enumerate(scale.models)
        for column, fraction in enumerate(scale.fractions)
    ]


def resolution(scale: Scale) -> list[Piece]:
    """Fig. 6: the largest model at every size, each started from the first; and the last size from scratch."""
    model, fraction = list(scale.models)[-1], scale.fractions[-1]
    first, last = scale.sizes[0], scale.sizes[-1]
    low = Stage(first, scale.steps)
    staged = f"from {first} px"
    pieces = [Piece(staged, first, model, fraction, (low,))] + [
        Piece(staged, size, model, fraction, (low, Stage(size, scale.steps)), against=0) for size in scale.sizes[1:]
    ]
    saved = round(scale.steps * (first / last) ** 2)  # what the first stage costs, in steps at the last size
    scratch = Piece("from scratch", last, model, fraction, (Stage(last, scale.steps + saved),), against=len(pieces) - 1)
    return [*pieces, scratch]


PARTS: Final = {"scaling": scaling, "resolution": resolution}
AXES: Final = {"scaling": "share of the patients", "resolution": "pixels a side"}


@dataclass(frozen=True)
class Work:
    """Where everything lies and how it is judged."""

    data: str
    judged: tuple[str, ...]  # folders with labelled films
    out: Path
    scale: Scale
    variant: str = "hilum"
    head: str = "glori"
    labels: tuple[str, ...] = ()  # () takes all findings of a folder
    seeds: tuple[int, ...] = (0,)
    devices: int = 1
    draws: int = 1000


def pretrain(work: Work, piece: Piece, seed: int) -> Path:
    """Run the stages that are not finished; returns the run of the last."""
    before: Path | None = None
    for number, stage in enumerate(piece.stages, start=1):
        run = work.out / "pretrained" / piece.run(number, seed)
        if not (run / "encoder").is_dir():
            hilum.pretrain(
                "dinov2",
                data=work.data,
                out=str(run),
                preset=work.scale.preset,
                variant=work.variant,
                size=stage.size,
                init=None if before is None else str(before),
                data_fraction=piece.fraction,
                epochs=float(stage.steps * work.scale.batch_size),  # enough for any share: the steps decide
                max_steps=stage.steps,
                batch_size=work.scale.batch_size,
                devices=work.devices,
                seed=seed,
                resume=(run / "config.json").is_file(),
                set=dict(work.scale.models[piece.model]),
                **work.scale.training,
            )
        before = run
    assert before is not None
    return before


def judge(work: Work, encoder: Path, data: str, seed: int) -> Bootstrap:
    """Train the head on the frozen encoder and judge it on the test patients, unless that is done."""
    folder = work.out / "judged" / f"{encoder.name}-{work.head}-{Path(data).resolve().name}"
    judged = folder / "evaluated"
    if not (judged / "predictions.parquet").is_file():
        findings = work.labels or tuple(name for name in hilum.Manifest.read(data).findings if name != "NoFinding")
        hilum.adapt(
            "classify",
            encoder=str(encoder),
            data=data,
            labels=findings,
            out=str(folder),
            head=work.head,
            seed=seed,
            resume=(folder / "config.json").is_file(),
            **work.scale.adapting,
            **(GLORI[work.variant] if work.head == "glori" else {}),
        )
        hilum.evaluate(str(folder), data=data, out=str(judged), draws=work.draws)
    predictions = check_predictions(pd.read_parquet(judged / "predictions.parquet"))
    if work.labels and set(work.labels) != set(predictions.findings):
        known = ", ".join(predictions.findings)
        raise ConfigError(f"was judged on {known} before", where=folder, fix="Give the same --labels, or another --out")
    order = np.argsort(predictions.table["image_id"].to_numpy(dtype=str))
    return bootstrap(
        predictions.labels[order],
        predictions.scores[order],
        predictions.patients[order],
        findings=predictions.findings,
        draws=work.draws,
    )


def measure(work: Work, pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    """Pretrain and judge every piece; one record for each piece and judged folder, means over seeds."""
    found: dict[tuple[int, str], list[Bootstrap]] = {}
    for seed in work.seeds:
        for place, piece in enumerate(pieces):
            encoder = pretrain(work, piece, seed)
            for data in work.judged:
                found.setdefault((place, data), []).append(judge(work, encoder, data, seed))
    means = {key: mean_over_runs(runs) for key, runs in found.items()}
    records = []
    for (place, data), mean in sorted(means.items(), key=lambda item: (work.judged.index(item[0][1]), item[0][0])):
        piece = pieces[place]
        record: dict[str, Any] = {
            "judged": Path(data).resolve().name,
            "line": piece.line,
            "x": piece.x,
            "stages": [vars(stage) for stage in piece.stages],
            "spread": spread(found[place, data], "auroc"),
        }
        for metric in METRICS:
            record[metric] = mean.macro(metric).to_json()
            if piece.against is not None:
                record[f"{metric}_gain"] = difference(mean, means[piece.against, data], metric).to_json()
        records.append(record)
    return records


def as_markdown(part: str, records: Sequence[Mapping[str, Any]]) -> str:
    """The table: a row for each piece and judged folder."""
    rows = []
    for record in records:
        gain = record.get("auroc_gain")
        rows.append(
            (
                record["judged"],
                record["line"],
                f"{record['x']:g}",
                *(interval_text(*(record[metric][key] for key in ("value", "low", "high"))) for metric in METRICS),
                "" if gain is None else interval_text(gain["value"], gain["low"], gain["high"], signed=True),
                "–" if record["spread"] is None else f"{record['spread']:.3f}",
            )
        )
    gained = (
        "AUROC minus the line's first" if part == "scaling" else "AUROC minus the first; from scratch: minus staged"
    )
    return table(("judged on", "line", AXES[part], "macro AUPRC", "macro AUROC", gained, "sd over seeds"), rows)


def as_svg(part: str, records: Sequence[Mapping[str, Any]]) -> str:
    """The figure: a row of panels for each judged folder, a curve a line; bars are 95 % intervals over patients."""
    folders = list(dict.fromkeys(record["judged"] for record in records))
    lines = list(dict.fromkeys(record["line"] for record in records))
    colours = dict(zip(lines, itertools.cycle(COLOURS), strict=False))
    drawn = []
    for row, folder in enumerate(folders):
        here = [record for record in records if record["judged"] == folder]
        for column, (metric, title) in enumerate(METRICS.items()):
            panel = _panel(part, here, metric, f"{folder}: macro {title}", colours)
            drawn.append(f'<g transform="translate({60 + 410 * column},{30 + 270 * row})">{panel}</g>')
    low = 270 * len(folders)
    keys = "".join(
        f'<text x="{60 + 170 * place}" y="{low + 20}" fill="{colour}">{escape(line)}</text>'
        for place, (line, colour) in enumerate(colours.items())
    )
    style = "text { font: 13px sans-serif; } path { fill: none; stroke-width: 2; }"
    note = f'<text x="800" y="{low + 20}" text-anchor="end">bars: 95 % intervals over patients</text>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 840 {low + 30}"><rect width="840" height="100%" '
    return f'{head} fill="#fff"/><style>{style}</style>{"".join(drawn)}{keys}{note}</svg>\n'


def _panel(part: str, records: Sequence[Mapping[str, Any]], metric: str, title: str, colours: Mapping[str, str]) -> str:
    """One panel, 340 x 190, from the lowest to the highest end of an interval."""
    points = [record for record in records if None not in (record[metric][key] for key in ("value", "low", "high"))]
    ends = [record[metric][key] for record in points for key in ("low", "high")] or [0.0]
    bottom, top = min(ends), max(max(ends), min(ends) + 1e-3)
    places = sorted({record["x"] for record in records})
    across = np.interp([record["x"] for record in points], [places[0], places[-1] + 1e-9], [20, 320])
    shift = {line: 5 * (number - (len(colours) - 1) / 2) for number, line in enumerate(colours)}
    parts = [f'<text y="-10" font-weight="bold">{escape(title)}</text><path d="M0 0V190H340" stroke="#5b6a78"/>']
    for share in (0.0, 0.5, 1.0):
        value = bottom + share * (top - bottom)
        parts.append(f'<text x="-6" y="{194 - 180 * share:.1f}" text-anchor="end">{value:.3f}</text>')
    for x in places:
        at = np.interp(x, [places[0], places[-1] + 1e-9], [20, 320])
        parts.append(f'<text x="{at:.1f}" y="208" text-anchor="middle">{x:g}</text>')
    parts.append(f'<text x="170" y="226" text-anchor="middle">{AXES[part]}</text>')
    for line, colour in colours.items():
        curve = []
        for at, record in zip(across, points, strict=True):
            if record["line"] == line:
                x = at + shift[line]  # beside each other, or intervals hide intervals
                y, low, high = (
                    190 - 180 * (record[metric][key] - bottom) / (top - bottom) for key in ("value", "low", "high")
                )
                parts.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{colour}"/>')
                parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
                curve.append(f"{x:.1f} {y:.1f}")
        if curve:
            parts.append(f'<path d="M{" L".join(curve)}" stroke="{colour}"/>')
    return "".join(parts)


def chexfound(
    *,
    out: str,
    data: str | None = None,
    judged: tuple[str, ...] = (),
    part: Literal["scaling", "resolution"] = "scaling",
    scale: Literal["paper", "phantom"] = "paper",
    variant: Literal["hilum", "paper", "released"] = "hilum",
    head: str = "glori",
    fractions: tuple[float, ...] = (),
    sizes: tuple[int, ...] = (),
    models: tuple[str, ...] = (),
    steps: int | None = None,
    labels: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (0,),
    patients: int = 6000,
    devices: int = 1,
    draws: int = 1000,
) -> str:
    """Pretrain, adapt and judge every piece of a part; writes PART.md, PART.json and PART.svg into OUT/VARIANT.

    Args:
        out: a folder; what is finished in it is kept, and pieces that both parts need are trained once.
        data: a prepared folder to pretrain on, films at 512 px; the phantom draws its own if omitted.
        judged: prepared folders with labels; the one of `data` if omitted.
        part: scaling is table V, resolution is Fig. 6.
        scale: the paper's size, or hours on two CPU cores.
        variant: our choices, the paper's or the released code's, where these disagree.
        head: what is trained on the frozen encoder, a name of hilum adapt.
        fractions: shares of the training patients, rising; the scale's if omitted.
        sizes: pixels a side, rising; the scale's if omitted.
        models: of the scale's, smallest first; all if omitted.
        steps: of every stage; the scale's if omitted.
        labels: findings to judge; all of a folder if omitted.
        seeds: of pretraining and heads; numbers are means over them.
        patients: that the phantom draws.
        devices: GPUs of this machine.
        draws: patients are drawn this often for the intervals.
    """
    chosen = SCALES[scale]
    for name in models:
        if name not in chosen.models:
            raise unknown_name(name, list(chosen.models), kind="model of this scale", where="--models")
    chosen = replace(
        chosen,
        models={name: chosen.models[name] for name in models or chosen.models},
        fractions=tuple(sorted(fractions or chosen.fractions)),
        sizes=tuple(sorted(sizes or chosen.sizes)),
        steps=steps or chosen.steps,
    )
    folder = Path(out)
    if data is None:
        if scale != "phantom":
            raise ConfigError("names no films to pretrain on", where="--data", fix="Give a folder of hilum prepare")
        data = str(folder / "phantom")
        if not Path(data).is_dir():
            write_phantom(data, patients=patients, size=256, seed=3, workers=2)
    names = [Path(other).resolve().name for other in judged]
    if len(set(names)) < len(names):
        raise ConfigError(
            f"{len(names)} folders share the names {sorted(set(names))}", where="--judged", fix="Rename one"
        )
    work = Work(
        data=data, judged=judged or (data,), out=folder / variant, scale=chosen, variant=variant, head=head,
        labels=labels, seeds=seeds, devices=devices, draws=draws,
    )  # fmt: skip
    return str(report(work, part))


def report(work: Work, part: str) -> Path:
    """Measure a part and write its record, table and figure; returns the table."""
    records = measure(work, PARTS[part](work.scale))
    write_atomic(work.out / f"{part}.json", json.dumps(records, indent=1) + "\n")
    write_atomic(work.out / f"{part}.svg", as_svg(part, records))
    text = as_markdown(part, records)
    write_atomic(work.out / f"{part}.md", text + "\n")
    print(text, flush=True)
    return work.out / f"{part}.md"


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(chexfound)
