"""MedIM Fig. 2: where the words of a report and one of its sentences look on its film, and what is hidden for them.

Paper: https://doi.org/10.1007/978-3-031-43907-0_2 (MedIM, MICCAI 2023), Fig. 2.
Command: python recipes/medim_attention.py --run RUN --data DATA --out OUT [--boxes boxes.json] [--split val]
Hardware: 2 CPU cores.
Hours: 0.01 for a few hundred films of the phantom.
Expect: the paper shows pictures alone. With boxes, attention inside them is reported as a multiple of their share of
    the film's area (1 without aim), beside that of the mean map of all films, which looks at no film in particular.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from PIL import Image

from hilum.errors import CheckpointError
from hilum.evaluation.boxes import match_films, read_boxes
from hilum.evaluation.joint_space import films_to_read
from hilum.evaluation.report_looks import NAMES, Look, boxes_of, lifts, look_at
from hilum.manifest import Manifest, same_patient
from hilum.methods.medim import MedIM
from hilum.metrics.resample import Resample
from hilum.pretraining.load import load_method
from hilum.reports import reports_of
from hilum.results.markdown import table
from hilum.results.pictures import overlay, png, sheet
from hilum.run_folder import RunFolder, write_atomic

SIDE = 192  # pixels of a picture


def medim_attention(
    *,
    run: str,
    data: str,
    out: str,
    boxes: str | None = None,
    split: Literal["train", "val", "test"] = "test",
    films: int = 500,
    examples: int = 8,
    draws: int = 1000,
    seed: int = 0,
) -> str:
    """Draw and measure; writes attention.png and, with boxes, attention.json and attention.md.

    Args:
        run: the folder of a `hilum pretrain medim` run, or one of its checkpoints.
        data: folder with a manifest that has reports.
        out: a new folder.
        boxes: COCO JSON or a table; boxes.json of the data folder where it is there.
        split: whose films are looked at.
        films: at most this many, frontal ones with a report, drawn by the seed.
        examples: films on the sheet, those with boxes first.
        draws: patients are drawn this often for the intervals.
        seed: of films, sentences, masks and draws.
    """
    RunFolder(out)
    method = load_method(run)
    if not isinstance(method, MedIM) or not method.config.restores:
        raise CheckpointError("has no report-guided mask", where=run, fix="Give a run of medim with kwm or sdm")
    manifest = films_to_read(Manifest.read(data), split, ("PA", "AP"))
    texts = reports_of(manifest, method.config.sections).texts
    told = np.array([row for row, text in enumerate(texts) if text], dtype=np.int64)
    rows = np.random.default_rng(seed).permutation(told)[:films].tolist()
    looks = look_at(method, manifest, texts, rows, seed=seed)
    place = Path(boxes) if boxes else manifest.root / "boxes.json"
    known = match_films(read_boxes(place), manifest)[0] if boxes or place.is_file() else None
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    if known is not None:
        found = lifts(looks, known, manifest, method.preprocessing.resize)
        results = {str(name): _summary(part, draws, seed) for name, part in found.groupby("mask")}
        write_atomic(folder / "attention.json", json.dumps(results, indent=2, allow_nan=False) + "\n")
        write_atomic(folder / "attention.md", _markdown(results))
    boxed = set() if known is None else set(known["row"])
    shown = sorted(looks, key=lambda look: look.row not in boxed)[:examples]
    pictures = [_row(look, known, method.preprocessing.resize) for look in shown]
    write_atomic(folder / "attention.png", png(sheet(pictures, SIDE)))
    return str(folder)


def _summary(part: pd.DataFrame, draws: int, seed: int) -> dict[str, object]:
    """Mean lifts over films with patient-level intervals, and their paired difference."""
    resample = Resample([same_patient(patient) for patient in part["patient_id"]], draws=draws, seed=seed)
    return {
        "films": len(part),
        "lift": resample.mean(part["lift"]).to_json(),
        "lift_of_mean_map": resample.mean(part["lift_of_mean_map"]).to_json(),
        "difference": resample.difference(part["lift"], part["lift_of_mean_map"]).to_json(),
    }


def _markdown(results: dict[str, dict[str, object]]) -> str:
    """The numbers as a table."""

    def told(estimate: object) -> str:
        assert isinstance(estimate, dict)
        return f"{estimate['value']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"

    rows = [
        [name, str(found["films"]), told(found["lift"]), told(found["lift_of_mean_map"]), told(found["difference"])]
        for name, found in results.items()
    ]
    return (
        "Attention inside the boxes, as a multiple of their share of the film (1 without aim)\n\n"
        + table(["mask", "films", "attention", "mean map of all films", "difference"], rows)
        + "\n"
    )


def _row(look: Look, known: pd.DataFrame | None, resize: str) -> list[tuple[Image.Image, str]]:
    """Film, then attention, mask and restoration of each head."""
    mine = None if known is None else known[known["row"] == look.row]
    boxes = np.zeros((0, 4)) if mine is None or mine.empty else boxes_of(mine, look, resize)
    side = look.film.shape[0]
    row = [(overlay(look.film, None, boxes, SIDE), "film")]
    for head, name in NAMES.items():
        if head not in look.attention:
            continue
        attention, hidden = look.attention[head], look.hidden[head]
        cell = side // attention.shape[0]
        heat = attention.repeat(cell, axis=0).repeat(cell, axis=1) / max(attention.max(), 1e-12)
        film = look.film[: heat.shape[0], : heat.shape[1]]
        kept = film * ~hidden.repeat(cell, axis=0).repeat(cell, axis=1)
        words = look.terms if head == "word" else look.sentence
        row += [
            (overlay(film, heat, boxes, SIDE), f"{name}: {words}"),
            (overlay(kept.astype(np.uint8), None, boxes, SIDE), f"{name} mask"),
            (overlay(look.drawn[head], None, boxes, SIDE), f"{name} restored"),
        ]
    return row


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(medim_attention)
