"""MedIM's tables by the protocol of its fact sheet, section 8; expected values are written from the sheet."""

from __future__ import annotations

import pytest

from hilum.labels import LabelPolicy
from hilum.losses.segmentation import CONVENTIONS
from hilum.transforms.augmentations import FramedCrop, augmentation
from tests.tables.protocols import IMAGENET, differing, job, resolved, table

SHARES = {"1 %": 0.01, "10 %": 0.1, "100 %": 1.0}
PROBE = {
    "mode": "frozen",
    "pool": "cls",  # after the final norm
    "head": "linear",
    "lrs": (5e-4,),
    "weight_decay": 1e-6,
    "decay": "constant",  # no schedule
    "epochs": 50,
    "select": "loss",
    "loss": "bce",
    "label_smoothing": 0.0,
    "augment": "medim",
    "fraction_unit": "image",
    "second_round": "none",
}
SIIM = {
    "head": "medim",
    "decoder": (512, 256, 128, 64),
    "decoder_start": "pretrained",
    "loss": "focal-log-dice",
    "size": 224,
    "lr": 2e-5,
    "weight_decay": 0.05,
    "layer_decay": 1.0,
    "decay": "constant",
    "warmup_steps": 0,
    "batch_size": 32,
    "epochs": 50.0,
    "balance": True,
    "select": "loss",
    "threshold": "given",  # 0.5
    "optimizer": "adamw",
}


@pytest.mark.parametrize("share", SHARES)
def test_chexpert_is_a_linear_probe(share: str) -> None:
    options = resolved("medim-table-1", f"CheXpert {share}")
    expected = {**PROBE, "fraction": SHARES[share], "batch_size": 512 * 8, "views": ("PA", "AP")}
    assert not differing(options, expected)
    policy = LabelPolicy.parse(options.policy)
    rules = {finding: policy.rule(finding) for finding in options.labels}
    assert rules == {
        "Atelectasis": "ones",
        "Edema": "ones",
        "Effusion": "ones",
        "Cardiomegaly": "zeros",
        "Consolidation": "zeros",
    }
    view = augmentation(options.augment, IMAGENET, options.augment_set)
    assert isinstance(view, FramedCrop)
    assert view.frame == 240 / 224


@pytest.mark.parametrize("share", SHARES)
def test_covidx_is_three_classes(share: str) -> None:
    options = resolved("medim-table-1", f"COVIDx {share}")
    expected = {**PROBE, "fraction": SHARES[share], "batch_size": 96, "targets": "multiclass"}
    assert not differing(options, expected)
    view = augmentation(options.augment, IMAGENET, options.augment_set)
    assert isinstance(view, FramedCrop)
    assert view.frame == 256 / 224


@pytest.mark.parametrize("share", ["10 %", "100 %"])
def test_siim_fine_tunes_encoder_and_decoder(share: str) -> None:
    assert not differing(resolved("medim-table-1", f"SIIM {share}"), {**SIIM, "fraction": SHARES[share]})
    loss = CONVENTIONS["focal-log-dice"]
    assert (loss.focal, loss.gamma, loss.dice, loss.smooth, loss.over, loss.log) == (10.0, 2.0, 1.0, 1.0, "batch", True)


def test_ablation_is_the_column_of_ten_per_cent() -> None:
    for head in ("COVIDx 10 %", "CheXpert 10 %", "SIIM 10 %"):
        assert job("medim-table-3", head) == job("medim-table-1", head)
    assert [row.encoder for row in table("medim-table-3").rows] == ["medim-align", "medim-kwm", "medim-full"]
    assert table("medim-table-1").seeds == (123, 124, 125)  # three runs; 123 is the code's


def test_the_whole_row_is_the_last_row_of_the_ablation() -> None:
    """Table 3 of the paper is the 10 % column of table 1, and its first row is MGCA's."""
    whole = {row.method: dict(zip([c.key for c in table("medim-table-1").columns], row.numbers, strict=True))
             for row in table("medim-table-1").rows}  # fmt: skip
    parts = table("medim-table-3")
    for row, method in ((parts.rows[0], "MGCA*"), (parts.rows[-1], "MedIM")):
        for column, number in zip(parts.columns, row.numbers, strict=True):
            assert number.value == whole[method][column.key].value


def test_retrieval_is_of_frontal_pairs() -> None:
    options = resolved("medim-table-2", "I2T R@5")
    assert (options.views, options.split) == (("PA", "AP"), "test")
