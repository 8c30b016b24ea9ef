"""A masked autoencoder on real public films, judged on tuberculosis and on four findings of ChestX-ray14.

Paper: https://arxiv.org/abs/2111.06377 (MAE) at a size for two CPU cores; the protocol of adapting follows CXRBase.
Command: python recipes/real_films.py --films ../shared/data --out RUNS
Hardware: 2 CPU cores.
Hours: about 1 (43 minutes of pretraining on one shared core, 12 for both studies on two).
Expect: HOG with logistic regression gives AUROC 0.92 [0.86, 0.97] on the shenzhen_tb test split; a network of this size
    on so few films is not expected to beat it. docs/real_films.md says by how much it does not.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

import hilum
from hilum.study import Question, as_markdown, run_study

# set -> columns of its manifest that become label.<Finding>; the splits are the publisher's, never drawn again
SETS = {
    "shenzhen_tb": "tuberculosis=Tuberculosis",
    "nih_subset": "Cardiomegaly,Effusion,Infiltration,Atelectasis,Consolidation,Pneumonia,No_Finding=NoFinding",
    "cohen_covid": "covid19=COVID19,pneumonia=Pneumonia",
    "hannover_covid": "",
    "kermany_paediatric": "pneumonia=Pneumonia",
    "kermany_pool_224": "pneumonia=Pneumonia",
}
TASKS = {"shenzhen_tb": ("Tuberculosis",), "nih_subset": ("Pneumonia", "Infiltration", "Effusion", "Atelectasis")}


def real_films(*, films: str, out: str, size: int = 160, epochs: float = 60.0, seed: int = 0) -> str:
    """Prepare every set, pretrain on all training splits together, and judge each task.

    Args:
        films: the folder that holds the sets.
        out: a new folder.
        size: pixels a side.
        epochs: of pretraining.
        seed: of everything.
    """
    root = Path(out)
    data = prepare_sets(Path(films), root / "data", size)
    hilum.audit((str(data),), out=str(root / "audit.json"))
    encoder = root / "pretrained"
    if not (encoder / "encoder").is_dir():
        hilum.pretrain(
            "mae",
            data=str(data),
            out=str(encoder),
            model="vit_tiny_patch16",
            size=size,
            epochs=epochs,
            batch_size=64,
            base_lr=1e-3,
            seed=seed,
            resume=(encoder / "config.json").is_file(),
            set={"decoder_width": 128, "decoder_depth": 2, "decoder_heads": 4, "flip": 0.0},
        )
    for name, labels in TASKS.items():
        question = Question(
            encoder=str(encoder), data=str(root / "data" / name), labels=labels, fractions=(1.0,), seed=seed,
            options={"finetune": {"epochs": 20}},
        )  # fmt: skip
        answers = run_study(question, root / name, say=lambda line: print(line, file=sys.stderr))
        print(f"\n## {name}: {', '.join(labels)}\n\n{as_markdown(answers)}")
    return out


def prepare_sets(films: Path, out: Path, size: int) -> Path:
    """Prepare each set into its own folder, and write one manifest over all of them; returns its folder."""
    tables = []
    for name, labels in SETS.items():
        folder = out / name
        if not (folder / "manifest.parquet").is_file():
            source = films / name
            columns = tuple(labels.split(",")) if labels else ()
            hilum.prepare(str(source), out=str(folder), size=size, table=str(source / "manifest.csv"), labels=columns)
        table = hilum.Manifest.read(folder).table
        keep = ["image", "image_id", "study_id", "patient_id", "view_position", "split", "width", "height"]
        tables.append(table[keep].assign(image=f"{name}/" + table["image"], source=name))
    pd.concat(tables, ignore_index=True).to_csv(out / "manifest.csv", index=False)
    return out


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(real_films)
