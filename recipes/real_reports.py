"""MAE, MRM, MaCo and MedIM on the few public films that come with words: a trend on some 870 pairs, no more.

Paper: https://arxiv.org/abs/2111.06377 (MAE), https://arxiv.org/abs/2301.13155 (MRM), https://arxiv.org/abs/2309.05904
    (MaCo), https://doi.org/10.1007/978-3-031-43907-0_2 (MedIM), all at a size for two CPU cores.
Command: python recipes/real_reports.py --films ../shared/data --out RUNS [--epochs 60] [--seeds 0]
Hardware: 2 CPU cores.
Hours: see docs/real_films.md.
Expect: docs/real_films.md has the table; with this few pairs no method is expected to stand out.
"""

from __future__ import annotations

import re
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd

import hilum
from hilum.side_by_side import Contest, run_contest
from hilum.transforms.text import WordPiece

# set -> columns of its manifest that become label.<Finding>; the splits are the publisher's, never drawn again
SETS = {"shenzhen_tb": "tuberculosis=Tuberculosis", "cohen_covid": "covid19=COVID19,pneumonia=Pneumonia", "iu_xray": ""}
KEEP = ["image", "image_id", "study_id", "patient_id", "view_position", "split", "width", "height", "report"]
SMALL = {"width": 96, "heads": 3, "depth": 4}


def real_reports(*, films: str, out: str, epochs: float = 60.0, seeds: tuple[int, ...] = (0,)) -> str:
    """Prepare the sets, train a tokenizer on Open-i's reports too, pretrain the four at one budget, probe, read out.

    Args:
        films: the folder that holds the sets.
        out: a folder; what is finished in it is kept.
        epochs: of pretraining, the same for all.
        seeds: of pretraining and heads.
    """
    root = Path(out)
    data = pairs(Path(films), root / "data", size=160)
    tokenizer = root / "tokenizer.json"
    if not tokenizer.is_file():
        texts = [
            *open_i(Path(films) / "openi_reports"),
            *hilum.Manifest.read(data).select(split="train").table["report"],
        ]
        WordPiece.train(texts, vocab_size=4000).save(tokenizer)
    training = {"epochs": epochs, "batch_size": 32, "base_lr": 2e-3, "keep_checkpoints": 1, "probe": False}
    contest = Contest(
        data=str(data),
        seeds=seeds,
        training={**training, "set": {"vit": SMALL}},
        reading={"tokenizer": str(tokenizer)},
        labels=("Tuberculosis",),
        fraction=1.0,
    )
    run_contest(contest, root, say=lambda line: print(line, flush=True))
    return str(root / "standings.md")


def pairs(films: Path, out: Path, *, size: int) -> Path:
    """One manifest over the films that have a report; returns its folder."""
    tables = []
    for name, labels in SETS.items():
        folder = out / name
        if not (folder / "manifest.parquet").is_file():
            source = films / name
            columns = tuple(labels.split(",")) if labels else ()
            hilum.prepare(str(source), out=str(folder), size=size, table=str(source / "manifest.csv"), labels=columns)
        table = hilum.Manifest.read(folder).table
        findings = [column for column in table if column.startswith("label.")]
        tables.append(table[[*KEEP, *findings]].assign(image=f"{name}/" + table["image"], source=name))
    every = pd.concat(tables, ignore_index=True)
    every[every["report"] != ""].to_csv(out / "manifest.csv", index=False)
    return out


def open_i(folder: Path) -> list[str]:
    """Findings and impression of every Open-i report."""
    texts = []
    with tarfile.open(folder / "ecgen-radiology.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".xml") else None
            if file is not None:
                sections = ElementTree.parse(file).getroot().iter("AbstractText")
                told = [s.text or "" for s in sections if s.get("Label") in ("FINDINGS", "IMPRESSION")]
                texts.append(re.sub(r"\s+", " ", " ".join(told)).strip())
    return [text for text in texts if text]


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(real_reports)
