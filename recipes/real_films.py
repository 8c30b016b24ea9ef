"""MAE and DINOv2 pretrained on real public films, against random weights, on every task that the films' labels allow.

Paper: https://arxiv.org/abs/2410.08861 (CXRBase: screening, diagnosis, external tests) and
    https://arxiv.org/abs/2502.05142 (CheXFound), both at a size for two CPU cores.
Command: python recipes/real_films.py --films ../shared/data --out RUNS
Hardware: 2 CPU cores, 24 GiB; several calls with the same --out share the benchmark.
Hours: see docs/real_films.md.
Expect: HOG with logistic regression gives AUROC 0.92 [0.86, 0.97] on the shenzhen_tb test split; a network of this size
    on so few films is not expected to beat it. docs/real_films.md says by how much it does not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import yaml
from PIL import Image

import hilum

# set -> columns of its manifest that become label.<Finding>; the splits are the publisher's, never drawn again
SETS: Final = {
    "shenzhen_tb": "tuberculosis=Tuberculosis",
    "nih_subset": "Cardiomegaly,Effusion,Infiltration,Atelectasis,Consolidation,Pneumonia,No_Finding=NoFinding",
    "cohen_covid": "covid19=COVID19,pneumonia=Pneumonia",
    "hannover_covid": "",
    "kermany_paediatric": "pneumonia=Pneumonia",
    "kermany_pool_224": "pneumonia=Pneumonia",
}
VIT: Final = {"width": 128, "depth": 6, "heads": 4}
HEAD: Final = {"prototypes": 128, "hidden": 128, "bottleneck": 8}
# Small networks' settings of docs/phantom_dinov2.md; no flip, which moves the heart to the other side.
PRETRAINING: Final[dict[str, dict[str, Any]]] = {
    "mae": {
        "batch_size": 64,
        "max_steps": 6000,
        "set": {"vit": VIT, "decoder_width": 96, "decoder_depth": 2, "decoder_heads": 4, "flip": 0.0},
    },
    "dinov2": {
        "batch_size": 32,
        "max_steps": 2000,
        "set": {
            "vit": {**VIT, "mlp": "gelu", "registers": 0, "layer_scale": None, "init": "xavier"},
            "local_size": 64,
            "local_crops": 4,
            "global_scale": [0.4, 1.0],
            "local_scale": [0.15, 0.4],
            "dino_head": HEAD,
            "ibot_head": HEAD,
            "teacher_temperature": [0.02, 0.02],
            "momentum": [0.98, 1.0],
            "koleo_weight": 0.1,
            "ibot_weight": 1.0,
            "flip": 0.0,
        },
    },
}
NIH: Final = ["Pneumonia", "Infiltration", "Effusion", "Atelectasis"]  # those with 20 positives in the test split
QUESTIONS: Final = {  # name -> set and findings of a classifier
    "tuberculosis": ("shenzhen_tb", ["Tuberculosis"]),
    "paediatric pneumonia": ("kermany_paediatric", ["Pneumonia"]),
    "viral or bacterial pneumonia": ("kermany_paediatric", ["ViralPneumonia"]),
    "four findings of ChestX-ray14": ("nih_subset", NIH),
    "COVID-19 or other pneumonia": ("cohen_covid", ["COVID19"]),
}
SMALL_DETECTOR: Final = {"width": 64, "heads": 4, "feedforward": 128, "layers": 2, "queries": 30}
PLACES: Final[dict[str, dict[str, Any]]] = {  # what is drawn or boxed, with heads and steps for two cores
    "lungs": {
        "data": "shenzhen_tb",
        "task": "segment",
        "labels": ["Lungs"],
        "options": {"width": 32, "auxiliary_width": 16, "steps": 200, "lr": 1e-3, "flip": 0.0},
    },
    "opacity boxes": {
        "data": "nih_subset",
        "task": "detect",
        "labels": ["LungOpacity"],
        "options": {"head_set": SMALL_DETECTOR, "steps": 400, "lr": 1e-3},
    },
}
CROSSED: Final = ("nih_subset", "kermany_paediatric", "shenzhen_tb")  # each names films without a finding


def real_films(
    *,
    films: str,
    out: str,
    size: int = 160,
    seeds: int = 3,
    fractions: tuple[float, ...] = (0.1, 1.0),
    only: tuple[str, ...] = ("data", "pretrain", "questions", "places", "cross"),
) -> str:
    """Prepare every set, pretrain on all training splits together, and judge each task; what is finished is kept.

    Args:
        films: the folder that holds the sets.
        out: a folder.
        size: pixels a side.
        seeds: runs a setting; one for masks and boxes, which take longest.
        fractions: shares of the training patients.
        only: which parts to do.
    """
    root = Path(out)
    data = root / "data"
    if "data" in only:
        prepare_sets(Path(films), data, size)
        hilum.audit((str(data),), out=str(root / "audit.json"))
    if "pretrain" in only:
        for method in PRETRAINING:
            pretrain(method, data, root / method, size)
    encoders = tuple(f"{name}={where}" for name, where in encoders_of(root).items())
    for part, tasks, runs in (("questions", questions(), seeds), ("places", places(), 1)):
        if part in only:
            listed = root / f"{part}.yaml"
            listed.write_text(yaml.safe_dump({"tasks": tasks}, sort_keys=False))
            hilum.benchmark(
                encoders=encoders,
                tasks=str(listed),
                fractions=fractions,
                seeds=runs,
                reference="random",
                out=str(root / part),
            )
    if "cross" in only:
        sets = tuple(str(data / name) for name in CROSSED)
        hilum.benchmark(encoders=encoders, cross=sets, labels=("NoFinding",), seeds=seeds, out=str(root / "cross"))
    return out


def questions() -> list[dict[str, Any]]:
    """The classifiers' tasks as `hilum benchmark` reads them."""
    tuning = {"mode": ["frozen", "finetune"], "options": {"finetune": {"epochs": 10}}}
    return [
        {"name": name, "data": f"data/{data}", "task": "classify", "labels": labels, **tuning}
        for name, (data, labels) in QUESTIONS.items()
    ]


def places() -> list[dict[str, Any]]:
    """Those of masks and boxes."""
    return [{"name": name, **task, "data": f"data/{task['data']}"} for name, task in PLACES.items()]


def encoders_of(root: Path) -> dict[str, str]:
    """What is compared: both methods, and the same network without pretraining."""
    return {method: str(root / method) for method in PRETRAINING} | {"random": f"random:{root / 'mae'}"}


def pretrain(method: str, data: Path, run: Path, size: int) -> None:
    """Pretrain on all training splits together, unless that is done."""
    if not (run / "encoder").is_dir():
        resume = (run / "config.json").is_file()
        common = {"size": size, "epochs": 10000, "lr": 1e-3, "warmup": 0.1, "keep_checkpoints": 1, "probe": False}
        hilum.pretrain(method, data=str(data), out=str(run), resume=resume, **{**common, **PRETRAINING[method]})


def prepare_sets(films: Path, out: Path, size: int) -> Path:
    """Prepare each set into its own folder, and write one manifest over all of them; returns its folder."""
    tables = []
    for name, labels in SETS.items():
        folder = out / name
        if not (folder / "manifest.parquet").is_file():
            source = films / name
            columns = tuple(labels.split(",")) if labels else ()
            hilum.prepare(str(source), out=str(folder), size=size, table=str(source / "manifest.csv"), labels=columns)
        add_truth(name, films / name, folder)
        table = hilum.Manifest.read(folder).table
        keep = ["image", "image_id", "study_id", "patient_id", "view_position", "split", "width", "height"]
        tables.append(table[keep].assign(image=f"{name}/" + table["image"], source=name))
    pd.concat(tables, ignore_index=True).to_csv(out / "manifest.csv", index=False)
    return out


def add_truth(name: str, source: Path, folder: Path) -> None:
    """Labels, masks and boxes that a set holds beside its label columns."""
    table = pd.read_parquet(folder / "manifest.parquet")
    given = pd.read_csv(source / "manifest.csv")
    rows = given.set_index(given["image"].map(stem)).loc[table["image_id"]]
    if name == "kermany_paediatric":
        kind = rows["pneumonia_kind"].map({"virus": 1.0, "bacteria": 0.0})
        table["label.ViralPneumonia"] = kind.to_numpy()
        table["label.NoFinding"] = (rows["pneumonia_kind"] == "normal").to_numpy(dtype=np.float64)
    if name == "cohen_covid":  # against other pneumonia: films without pneumonia have no part in the question
        covid = rows["covid19"].where(rows["pneumonia"] == 1)
        table["label.COVID19"] = covid.to_numpy(dtype=np.float64)
    if name == "nih_subset":  # radiologists of RSNA read 259 of these films; the others' boxes are unknown
        read = rows["rsna_class"].map(lambda text: np.nan if pd.isna(text) else float(text == "Lung Opacity"))
        table["label.LungOpacity"] = read.to_numpy(dtype=np.float64)
        boxes = pd.read_csv(source / "boxes.csv")
        boxes = boxes[boxes["box_source"] == "rsna"]
        boxes = boxes.assign(image=boxes["image"].map(stem), label="LungOpacity", image_width=512, image_height=512)
        boxes[["image", "label", "x", "y", "w", "h", "image_width", "image_height"]].to_csv(
            folder / "boxes.csv", index=False
        )
    if name == "shenzhen_tb":
        (folder / "masks").mkdir(exist_ok=True)
        for row in table.itertuples():
            mask = source / "masks" / f"{row.image_id}.png"
            if mask.is_file():
                Image.open(mask).convert("L").save(folder / "masks" / f"{row.image_id}.Lungs.png")
    table.to_parquet(folder / "manifest.parquet", index=False)


def stem(path: str) -> str:
    """The name of a file without folder and ending."""
    return Path(path).stem


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    run_script(real_films)
