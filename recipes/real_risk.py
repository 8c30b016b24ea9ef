"""Risk on real public films, in the plain binary form: intensive care or death within N days, death as a class.

Paper: https://arxiv.org/abs/2502.05142 (CheXFound, mortality and cardiovascular risk). No public set at hand tells when
    its survivors were last seen, so neither curves nor concordance can be had here: only the yes or no, which is also
    all that the code released with the paper has.
Command: python recipes/real_risk.py --films ../shared/data --encoder RUN --out RUNS [--days 7]
Hardware: 2 CPU cores.
Hours: 0.1 (3 minutes with a small encoder on a shared core).
Expect: the test splits have 7 and 19 patients, so intervals reach from chance to 1; docs/real_risk.md has the numbers
    that came out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

import hilum
from hilum.results.markdown import table
from hilum.results.page import said
from hilum.study import Question, run_study

FRONTAL = ("PA", "AP")


def real_risk(*, films: str, encoder: str, out: str, days: int = 7, size: int = 224, seed: int = 0) -> str:
    """Prepare both sets, probe the frozen encoder and the same network with random weights, and judge the baselines.

    Args:
        films: the folder that holds the sets; their splits are the publisher's, never drawn again.
        encoder: a pretraining run or an encoder folder.
        out: a new folder.
        days: after the film, within which intensive care or death counts.
        size: pixels a side of the stored films.
        seed: of heads, random weights and bootstrap draws.
    """
    root, source = Path(out), Path(films)
    sets = {"hannover_covid": intensive_care_or_death(source, days), "cohen_covid": death(source)}
    for name, rows in sets.items():
        finding = next(column for column in rows if column.startswith("label.")).removeprefix("label.")
        data = prepared(rows, source / name, root / "data" / name, size)
        question = Question(
            encoder=encoder, data=str(data), labels=(finding,), modes=("frozen",), fractions=(1.0,), seed=seed,
            options={"frozen": {"views": FRONTAL}},
        )  # fmt: skip
        run_study(question, root / name, say=lambda line: print(line, file=sys.stderr))
        results = json.loads((root / name / "results.json").read_text())
        counts = counted(hilum.Manifest.read(data).select(views=FRONTAL).table, finding)
        print(f"\n## {finding} ({name})\n\n{counts}\n\n{as_table(results)}")
    return out


def intensive_care_or_death(films: Path, days: int) -> pd.DataFrame:
    """hannover_covid: was the patient brought to intensive care, or did he die, within `days` of the film?

    Films taken after the first of the two are left out: their answer is known. No film without either says for how
    long its patient was watched, so such a film counts as "no", which is wrong where he left the hospital too early.
    """
    rows = pd.read_csv(films / "hannover_covid" / "manifest.csv")
    first = rows[["icu_admission_offset", "death_offset"]].min(axis=1)  # days from the film; blank: not known of
    ahead = ~(first < 0)
    print(f"hannover_covid: {len(rows)} films, {int((~ahead).sum())} taken after the event left out", file=sys.stderr)
    return rows[ahead].assign(**{f"label.IntensiveCareOrDeath{days}d": (first[ahead] <= days).astype(int)})


def death(films: Path) -> pd.DataFrame:
    """cohen_covid: did the patient of the film die (`survival` is N)? Films of unknown outcome are left out."""
    rows = pd.read_csv(films / "cohen_covid" / "manifest.csv")
    known = rows["survival"].isin(["Y", "N"])
    print(f"cohen_covid: {len(rows)} films, {int((~known).sum())} of unknown outcome left out", file=sys.stderr)
    return rows[known].assign(**{"label.Death": (rows.loc[known, "survival"] == "N").astype(int)})


def prepared(rows: pd.DataFrame, source: Path, folder: Path, size: int) -> Path:
    """The films of `rows` as a prepared set."""
    if not (folder / "manifest.parquet").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        chosen = folder.with_suffix(".csv")
        rows.to_csv(chosen, index=False)
        hilum.prepare(str(source), out=str(folder), size=size, table=str(chosen))
    return folder


def counted(rows: pd.DataFrame, finding: str) -> str:
    """Films and patients of each split, with the event and without."""
    lines = []
    for split in ("train", "val", "test"):
        part = rows[rows["split"] == split]
        with_event = part[part[f"label.{finding}"] == 1]
        cells = [split, str(len(part)), str(part["patient_id"].nunique())]
        lines.append([*cells, str(len(with_event)), str(with_event["patient_id"].nunique())])
    return table(("split", "films", "patients", "films with the event", "patients with it"), lines)


def as_table(results: Mapping[str, Any]) -> str:
    """AUROC and AUPRC on the test films with intervals by patient, and paired differences from the baselines."""
    pair, baselines = results["comparisons"][0], results["baselines"]
    gaps = {name: said(entry["macro"]["difference"], signed=True) for name, entry in baselines.items()}
    lines = [
        [
            f"frozen, {weights}",
            said(pair["auroc"]["macro"][side]),
            said(pair["auprc"]["macro"][side]),
            *(gaps.values() if side == "first" else [""] * len(gaps)),
        ]
        for side, weights in (("first", "pretrained"), ("second", "random weights"))
    ]
    lines += [[name, said(entry["macro"]["auroc"]), *[""] * (1 + len(gaps))] for name, entry in baselines.items()]
    text = table(("classifier", "AUROC", "AUPRC", *(f"minus {name}" for name in gaps)), lines)
    gap = said(pair["auroc"]["macro"]["difference"], signed=True)
    return f"{text}\n\nPretrained minus random weights, AUROC: {gap}."


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(real_risk)
