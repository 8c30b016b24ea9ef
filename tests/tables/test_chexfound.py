"""CheXFound's tables by the protocol of its fact sheet, section 8; expected values are written from the sheet."""

from __future__ import annotations

import pytest

from hilum.heads.chexfound_probe import RELEASED_LRS
from hilum.heads.glori import GLoRIHead
from hilum.transforms.augmentations import CropFlip, augmentation
from tests.tables.protocols import IMAGENET, differing, job, resolved, table

RATES = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1)  # 13 of the code
HEADS = {
    "mode": "frozen",
    "lrs": RATES,
    "decay": "cosine",  # to 0, no warm-up
    "weight_decay": 1e-4,
    "loss": "bce",
    "loss_sum": True,
    "select": "auroc",  # validation macro AUROC
    "second_round": "warm",
    "augment": "chexfound",
    "label_smoothing": 0.0,
    "fraction": 1.0,
}
SETS = {"CXR-LT": (10, 256), "CheXpert": (10, 256), "Shenzhen": (100, 256), "Montgomery": (100, 16), "JSRT": (100, 16)}


@pytest.mark.parametrize("head", SETS)
@pytest.mark.parametrize(
    ("name", "setting", "kind"),
    [
        ("chexfound-table-2", "Linear probe", "chexfound-probe"),
        ("chexfound-table-2", "GLoRI head", "glori"),
        ("chexfound-table-3", "GLoRI head", "glori"),
        ("chexfound-table-5", "CXR-744K", "glori"),
    ],
)
def test_heads_on_frozen_encoders(name: str, setting: str, kind: str, head: str) -> None:
    epochs, batch = SETS[head]
    expected = {**HEADS, "epochs": epochs, "batch_size": batch, "head": kind}
    for metric in ("AUPRC", "AUROC"):
        assert not differing(resolved(name, f"{head} {metric}", setting), expected)
    assert RATES == RELEASED_LRS


def test_glori_is_the_head_behind_table_2() -> None:
    options = resolved("chexfound-table-2", "CXR-LT AUROC", "GLoRI head")
    assert options.head_variant == "released"  # with the class token, unlike the file that was released
    variant = {**vars(GLoRIHead.Config()), **GLoRIHead.VARIANTS["released"]}
    wanted = {
        "blocks": 4,
        "dim": 768,
        "heads": 8,
        "feedforward": 2048,
        "dropout": 0.1,
        "queries": "frozen",
        "class_token": "channels",
        "self_residual": True,
        "standardise": False,
        "init_std": None,
    }
    assert {name: variant[name] for name in wanted} == wanted


def test_crops_and_flips() -> None:
    view = augmentation("chexfound", IMAGENET)
    assert isinstance(view, CropFlip)
    assert (view.scale, view.flip, view.interpolation) == ((0.75, 1.0), 0.5, "bicubic")


def test_labels_of_chexpert() -> None:
    options = resolved("chexfound-table-2", "CheXpert AUROC", "Linear probe")
    assert (options.policy, options.views) == ("u-zeros", ("PA", "AP"))
    assert len(resolved("chexfound-table-2", "CXR-LT AUPRC", "Linear probe").labels) == 40


def test_plco() -> None:
    expected = {**HEADS, "epochs": 10, "batch_size": 256, "head": "glori", "labels": ("CardiovascularDeath", "Death")}
    assert not differing(resolved("chexfound-table-4", "CVD AUROC"), expected)
    assert job("chexfound-table-4", "CVD AUROC") == job("chexfound-table-4", "Death AUPRC")
    options = resolved("chexfound-mortality", "low risk")
    assert (options.endpoints, options.head, options.horizon) == (("Death",), "glori", 25 * 365.25)


def test_alignment_needs_no_head_and_end_to_end_is_not_said() -> None:
    assert job("chexfound-table-3", "JSRT AUROC", "Img-text align.").task == "zero-shot"
    assert resolved("chexfound-table-3", "JSRT AUROC", "Img-text align.").scoring == "chexzero"
    columns = table("chexfound-table-3").columns
    assert table("chexfound-table-3").cell("End-to-end", columns[0]) is None


def test_the_largest_model_stands_in_three_tables() -> None:
    rows = [
        next(row for row in table(name).rows if (row.setting, row.method) == place).numbers
        for name, place in (
            ("chexfound-table-2", ("GLoRI head", "CheXFound")),
            ("chexfound-table-3", ("GLoRI head", "CheXFound")),
            ("chexfound-table-5", ("CXR-1M", "ViT-Large")),
        )
    ]
    assert [[number.value for number in row] for row in rows[1:]] == [[number.value for number in rows[0]]] * 2
