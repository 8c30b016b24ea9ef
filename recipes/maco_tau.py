"""MaCo Fig. 5: mIoU and CNR of phrase grounding against the temperature of the position prior.

Paper: https://arxiv.org/abs/2309.05904 (MaCo), section 2.3 and Fig. 5.
Command: python recipes/maco_tau.py --encoder RUN --data DATA --out OUT [--boxes MS_CXR.json] [--taus 0.02,0.1,1]
Hardware: 2 CPU cores, or one GPU for the maps of a full-size encoder.
Hours: 0.02 for a few hundred questions; films are encoded once, every tau after that is arithmetic on 14 x 14 maps.
Expect: the paper's full-size model on MS-CXR peaks at tau 0.1 with mIoU 0.267 and CNR 1.176. The prior does not look at
    the film: where its curve without the film ("prior alone") lies as high, the gain is not understanding.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

import hilum
from hilum.errors import ConfigError
from hilum.evaluation.features import Runner
from hilum.evaluation.ground import Grounding, find_questions, similarities_of
from hilum.evaluation.grounding import score_questions, summarise
from hilum.evaluation.joint_space import films_to_read
from hilum.results.markdown import table
from hilum.results.page import said
from hilum.run_folder import RunFolder, write_atomic

TAUS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
CURVES = {"with_prior": "#0f6b7a", "without_prior": "#5b6a78", "prior_alone": "#c2571a", "centre": "#b8c2cb"}


def maco_tau(
    *,
    encoder: str,
    data: str,
    out: str,
    boxes: str | None = None,
    taus: tuple[float, ...] = TAUS,
    sentences: Literal["auto", "phrase", "prompts", "report"] = "auto",
    split: Literal["train", "val", "test"] = "test",
    preset: str = "maco-paper",
    draws: int = 1000,
    seed: int = 0,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> str:
    """Score the same questions at every tau; writes tau.json, tau.md and tau.svg.

    Args:
        encoder: a run or encoder folder that learned an importance of positions (maco).
        data: folder with a manifest.
        out: a new folder.
        boxes: as of hilum ground.
        taus: temperatures, each more than 0.
        sentences: as of hilum ground.
        split: whose films are asked.
        preset: as of hilum ground.
        draws: patients are drawn this often for the intervals.
        seed: of the draws.
        device: cpu, cuda, or whichever is there.
    """
    RunFolder(out)
    options = Grounding(preset=preset, boxes=boxes, sentences=sentences, split=split)
    rules = {tau: replace(options.rule(), tau=tau) for tau in taus}  # refuses tau <= 0 before anything is computed
    loaded = hilum.load(encoder)
    loaded.require_towers()
    if loaded.position_prior is None:
        raise ConfigError("learned no importance of positions", where=encoder, fix="Give an encoder pretrained by maco")
    manifest = films_to_read(hilum.Manifest.read(data), options.split, options.views)
    questions = find_questions(manifest, options)
    runner = Runner(device=device)
    asked, notes = similarities_of(loaded, manifest, questions, options, rule=options.rule(), runner=runner)
    found: dict[float, Any] = {}
    for tau, rule in rules.items():
        scores = score_questions(asked, rule, loaded.position_prior, loaded.preprocessing, manifest)
        found[tau] = summarise(scores, draws=draws, seed=seed)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    record = {"questions": len(asked), "notes": [*questions.notes, *notes], "taus": list(taus), "ways": found}
    write_atomic(folder / "tau.json", json.dumps(record, indent=1) + "\n")
    text = as_markdown(found)
    write_atomic(folder / "tau.md", text + "\n")
    write_atomic(folder / "tau.svg", as_svg(found))
    print(f"{len(asked)} questions\n\n{text}\n\n{folder / 'tau.svg'}")
    return out


def as_markdown(found: dict[float, Any]) -> str:
    """A row a tau and way: mIoU, CNR, pointing, mean over questions with interval."""
    rows = [
        (f"{tau:g}", way.replace("_", " "), *(said(entry[m]["micro"]) for m in ("miou", "cnr", "pointing")))
        for tau, ways in found.items()
        for way, entry in ways.items()
    ]
    return table(("tau", "map", "mIoU", "CNR", "Pointing"), rows)


def as_svg(found: dict[float, Any]) -> str:
    """Two panels, mIoU and CNR, over tau on a logarithmic axis; a curve a way."""
    panels = [_panel(found, metric, title, 40 + 400 * place) for place, (metric, title) in enumerate(
        (("miou", "mIoU"), ("cnr", "CNR")))]  # fmt: skip
    keys = "".join(
        f'<text x="{60 + 150 * place}" y="294" fill="{colour}">{way.replace("_", " ")}</text>'
        for place, (way, colour) in enumerate(CURVES.items())
    )
    style = "text { font: 13px sans-serif; } polyline { fill: none; stroke-width: 2; }"
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 820 304"><rect width="820" height="304" fill="#fff"/>'
    return f"{head}<style>{style}</style>{''.join(panels)}{keys}</svg>\n"


def _panel(found: dict[float, Any], metric: str, title: str, left: int) -> str:
    """One panel, 340 x 200, its axis from the smallest to the largest value drawn."""
    taus = sorted(found)
    curves = {way: [found[tau][way][metric]["micro"]["value"] for tau in taus] for way in next(iter(found.values()))}
    values = np.array([value for curve in curves.values() for value in curve if value is not None] or [0.0])
    low, high = float(values.min()), float(max(values.max(), values.min() + 1e-9))
    across = np.interp(np.log(taus), [np.log(taus[0]), np.log(taus[-1]) + 1e-9], [left, left + 340])
    parts = [f'<text x="{left}" y="22" font-weight="bold">{title}</text>']
    parts += [
        f'<text x="{x:.0f}" y="264" text-anchor="middle">{tau:g}</text>' for x, tau in zip(across, taus, strict=True)
    ]
    for level in (low, high):
        y = 240 - 200 * (level - low) / (high - low)
        parts.append(f'<line x1="{left}" x2="{left + 340}" y1="{y:.0f}" y2="{y:.0f}" stroke="#dfe5ea"/>')
        parts.append(f'<text x="{left - 4}" y="{y + 4:.0f}" text-anchor="end" fill="#5b6a78">{level:.2f}</text>')
    for way, curve in curves.items():
        pairs = [(x, 240 - 200 * (v - low) / (high - low)) for x, v in zip(across, curve, strict=True) if v is not None]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs)
        parts.append(f'<polyline points="{points}" stroke="{CURVES[way]}"/>')
    return "".join(parts)


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(maco_tau)
