"""BioViL-T on one film: the release's features without an earlier film, and what stays behind."""

from __future__ import annotations

from pathlib import Path

import torch

import hilum
from hilum.heads.detection import Detector, DetectorConfig
from hilum.models.backbone import build_backbone
from hilum.models.fill import fill
from hilum.released.asked import Asked
from hilum.released.layouts.biovil_t import LAYOUT
from hilum.released.pixels import record
from tests.oracles.report_encoders import resnet, torchvision_names
from tests.released.layouts.test_biovil import projected, write_cxr_bert
from tests.released.report_files import Maker, source_of
from tests.released.stand_ins import biovil_t, cxr_bert

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@torch.no_grad()
def test_one_film_has_the_features_of_a_film_without_an_earlier_one(tmp_path: Path) -> None:
    file = biovil_t(Maker())
    torch.save(file, tmp_path / "image.pt")
    write_cxr_bert(tmp_path / "text", cxr_bert(Maker()))
    encoder = hilum.load(tmp_path / "image.pt", text=tmp_path / "text")
    assert encoder.origin["layout"] == "biovil-t"
    assert encoder.preprocessing == record("biovil-t")
    images = torch.randn(2, 3, 96, 64)
    last = resnet(file, torchvision_names("encoder.encoder."), images)[3]
    half = torch.nn.functional.conv2d(last, file["encoder.backbone_to_vit.weight"])
    cells = torch.cat([half, file["encoder.missing_previous_emb"].repeat(2, 1, 3, 2)], dim=1)
    assert encoder.width == 16
    torch.testing.assert_close(encoder.embed(images), cells.mean((2, 3)), **CLOSE)
    torch.testing.assert_close(encoder.tokens(images), cells.flatten(2).transpose(1, 2), **CLOSE)
    joined = projected(file, cells)
    torch.testing.assert_close(encoder.project(images), joined.mean((2, 3)), **CLOSE)
    torch.testing.assert_close(encoder.project_tokens(images), joined.flatten(2).transpose(1, 2), **CLOSE)
    again = hilum.load(encoder.save(tmp_path / "encoder"))
    assert torch.equal(again.project_tokens(images), encoder.project_tokens(images))


def test_what_compares_films_stays_behind_and_says_so() -> None:
    file = biovil_t(Maker())
    found = LAYOUT.read(source_of(file), Asked())
    pooler = {key for key, why in found.dropped if why == "compares a film with an earlier one; one film is read here"}
    assert pooler == {key for key in file if key.startswith("encoder.vit_pooler.")}
    assert any("one film at a time" in note for note in found.notes)


def test_detection_reads_its_plain_maps_and_leaves_the_pair_alone() -> None:
    """A parameter without gradient would stop a run on several devices."""
    found = LAYOUT.read(source_of(biovil_t(Maker())), Asked())
    backbone = build_backbone(found.architecture)
    fill(backbone, found.image, where="file")
    detector = Detector(backbone, 2, 96, DetectorConfig(width=32, heads=4, feedforward=32, layers=1)).train()
    truth = [(torch.tensor([1]), torch.tensor([[0.5, 0.5, 0.2, 0.3]]))] * 2
    detector.loss(torch.randn(2, 3, 96, 96), truth)[0].backward()
    assert not [name for name, part in detector.named_parameters() if part.requires_grad and part.grad is None]
    still = {name for name, part in detector.named_parameters() if not part.requires_grad}
    assert still == {"backbone.pair.reduce.weight", "backbone.pair.no_earlier"}
