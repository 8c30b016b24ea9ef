"""MedKLIP: its three stages by a plain forward pass, fine-tuned files of four, and every head on the short trunk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import hilum
from hilum.heads.detection import Detector, DetectorConfig
from hilum.heads.segmentation import Config, Form, Segmenter
from hilum.models.backbone import build_backbone
from hilum.models.fill import fill
from hilum.models.resnet import ResNetConfig
from hilum.released.asked import Asked
from hilum.released.build import layout_of
from hilum.released.layouts.medklip import LAYOUT
from hilum.released.pixels import record
from tests.oracles.report_encoders import numbered_names, resnet
from tests.released.report_files import Maker, resnet_file, source_of
from tests.released.stand_ins import medklip

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@torch.no_grad()
def test_cells_of_stage_three_are_the_encoder(tmp_path: Path) -> None:
    file = medklip(Maker())
    torch.save({"model": file, "epoch": 1}, tmp_path / "checkpoint_state.pth")
    encoder = hilum.load(tmp_path / "checkpoint_state.pth")
    assert encoder.origin["layout"] == "medklip"
    assert encoder.preprocessing == record("medklip")
    images = torch.randn(2, 3, 80, 64)
    third = resnet(file, numbered_names("module.res_features.", 3), images)[2]
    torch.testing.assert_close(encoder.embed(images), third.mean((2, 3)), **CLOSE)
    torch.testing.assert_close(encoder.tokens(images), third.flatten(2).transpose(1, 2), **CLOSE)
    local, last = encoder.model.forward_maps(images)  # type: ignore[union-attr]
    torch.testing.assert_close(local, third, **CLOSE)
    torch.testing.assert_close(last, third, **CLOSE)


def test_why_the_decoder_stays_behind() -> None:
    found = LAYOUT.read(source_of(medklip(Maker())), Asked())
    why = dict(found.dropped)
    assert "a BERT that the file does not hold" in why["module.decoder.layers.0.linear1.weight"]
    assert why["module.classifier.weight"] == "the classifier"


def test_a_fine_tuned_file_has_all_four_stages() -> None:
    make = Maker()
    file = resnet_file(make, "res_features.", numbered=True) | make.linear("res_out", 64, 1)
    assert layout_of(source_of(file)) == "medklip"
    sizes = LAYOUT.read(source_of(file), Asked()).architecture
    assert isinstance(sizes, ResNetConfig)
    assert sizes.blocks == (1, 2, 1, 1)


@pytest.mark.parametrize("form", ["upernet", "medim"])
def test_three_stages_are_enough_for_boxes_and_masks(form: Form) -> None:
    found = LAYOUT.read(source_of(medklip(Maker())), Asked())
    backbone = build_backbone(found.architecture)
    fill(backbone, found.image, where="file")
    images = torch.randn(2, 3, 96, 96)
    segmenter = Segmenter(backbone, 3, Config(form=form, width=16, auxiliary_width=8, decoder=(16, 8, 8, 8)))
    assert segmenter(images).shape[-2:] == (96, 96)
    detector = Detector(backbone, 2, 96, DetectorConfig(width=32, heads=4, feedforward=32, layers=1)).train()
    truth = [(torch.tensor([1]), torch.tensor([[0.5, 0.5, 0.2, 0.3]]))] * 2
    detector.loss(images, truth)[0].backward()
    assert detector.places == 12 * 12  # cells of stage 2, the finer of the last two
    assert not [name for name, part in detector.named_parameters() if part.requires_grad and part.grad is None]
