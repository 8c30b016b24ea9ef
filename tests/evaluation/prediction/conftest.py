"""A run of a classifier, and films of several forms, for `hilum predict`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from hilum.evaluation.classifier import Record, TrainedClassifier, build_classifier
from hilum.models.vit import ViTConfig
from hilum.schema import Preprocessing
from tests.dicom.films import chest, save

SIZES = ViTConfig(image_size=64, patch_size=16, channels=1, width=24, depth=2, heads=2)
GREY = Preprocessing(size=64, channels=1, mean=(0.5,), std=(0.25,))
RECORD = Record(
    ("Mass", "Effusion"),
    thresholds={"Mass": 0.5},
    threshold_notes={"Effusion": "no positive film in validation"},
    validation={"auroc": 0.7, "films": 12},
    origin={"views": ["PA", "AP"], "prepared": {"size": None, "fit": "squeeze"}, "encoder": "tiny"},
)


def write_run(folder: Path, record: Record = RECORD, *, seed: int = 0) -> Path:
    """A run folder whose classifier has weights drawn large enough that films differ."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_classifier(SIZES, record).eval()
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.6 if "head" in name else 0.1)
    TrainedClassifier(model, GREY, record).save(folder / "model")
    config = {"verb": "adapt", "task": "classify", "data": "elsewhere"}
    (folder / "config.json").write_text(json.dumps(config))
    patients = {"patients": ["patient000"], "val_patients": ["patient003"], "sources": []}
    (folder / "fraction.json").write_text(json.dumps(patients))
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "a run")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two DICOM files, a PNG, a JPEG, a damaged PNG, a damaged DICOM, and a text file; one lies deeper."""
    root = tmp_path_factory.mktemp("new films") / "of the day"
    rng = np.random.default_rng(3)
    for number in range(2):
        cells = rng.integers(0, 4000, (96, 80)).astype(np.uint16)
        header = {
            "SOPInstanceUID": f"1.2.{number}",
            "PatientName": "DOE^JANE",
            "PatientID": "SECRET",
            "ViewPosition": "PA",
        }
        save(chest(cells, **header), root / "DOE_JANE" / f"IM{number}.dcm")
    Image.fromarray(rng.integers(0, 255, (64, 64)).astype(np.uint8)).save(root / "square.png")
    Image.fromarray(rng.integers(0, 255, (50, 100)).astype(np.uint8)).save(root / "wide.jpg")
    (root / "cut.png").write_bytes((root / "square.png").read_bytes()[:900])
    (root / "DOE_JANE" / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\1" * 60)
    (root / "notes.txt").write_text("not a film")
    return root
