"""CXRBase's tables by the protocol of its fact sheet, section 8, MAE's where the paper is silent."""

from __future__ import annotations

import pytest

from hilum.transforms.augmentations import CropFlip, augmentation
from tests.tables.protocols import IMAGENET, differing, job, resolved, table

FINE_TUNING = {
    "mode": "finetune",
    "head": "mlp",
    "pool": "mean",
    "label_smoothing": 0.1,
    "batch_size": 16,
    "epochs": 50,
    "select": "auroc",
    "optimizer": "adamw",
    "layer_decay": 0.75,
    "drop_path": 0.2,
    "weight_decay": 0.05,
    "warmup": 5 / 50,
    "decay": "cosine",
    "loss": "bce",
    "augment": "cxrbase",
}


@pytest.mark.parametrize(
    ("name", "column", "setting", "more"),
    [
        ("cxrbase-table-1", "Mean", "MIMIC AUC", {"shots": 50}),
        ("cxrbase-table-1", "Edema", "CheXpert F1", {"shots": 50}),
        ("cxrbase-negative-screening", "PadChest", "public sets", {"labels": ("NoFinding",), "shots": None}),
        ("cxrbase-covid-screening", "Cohen", "tuned on each set", {"labels": ("COVID19",), "shots": None}),
    ],
)
def test_fine_tuning(name: str, column: str, setting: str, more: dict[str, object]) -> None:
    assert not differing(resolved(name, column, setting), {**FINE_TUNING, **more})


def test_crops_are_a_fifth_and_more() -> None:
    view = augmentation("cxrbase", IMAGENET)
    assert isinstance(view, CropFlip)
    assert (view.scale, view.flip) == ((0.2, 1.0), 0.5)


@pytest.mark.parametrize("setting", ["MS-CXR", "VinDr-CXR", "ChestXray14", "CXR-AL14", "Chest-Det"])
def test_localisation_has_fifty_shots(setting: str) -> None:
    options = resolved("cxrbase-table-2", "Mean", setting)
    assert not differing(options, {"shots": 50, "batch_size": 16, "epochs": 50, "fraction": 1.0})


def test_private_sets_are_not_run() -> None:
    for name in ("cxrbase-table-1", "cxrbase-table-2", "cxrbase-negative-screening"):
        assert not any("pd" in job.data for job in table(name).jobs().values())


def test_cohens_model_is_judged_elsewhere() -> None:
    there = job("cxrbase-covid-screening", "SIRM", "tuned on Cohen")
    assert (there.data, there.judged) == ("covid-cohen", "covid-sirm")
    own = job("cxrbase-covid-screening", "SIRM", "tuned on each set")
    assert (own.data, own.judged) == ("covid-sirm", "covid-sirm")
