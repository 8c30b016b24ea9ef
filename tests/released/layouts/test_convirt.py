"""ConVIRT's re-trainings: MGCA's with its text side, trunks under common names, and what is none of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import hilum
from hilum.released.asked import Asked
from hilum.released.build import layout_of
from hilum.released.layouts.convirt import LAYOUT
from hilum.released.pixels import record
from tests.oracles.report_encoders import bert, mgca_head, numbered_names, resnet, torchvision_names
from tests.released.report_files import Maker, bert_file, resnet_file, source_of, words
from tests.released.stand_ins import convirt, convirt_pytorch, gloria, medklip, mgca

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@torch.no_grad()
def test_both_sides_of_mgcas_retraining(tmp_path: Path) -> None:
    file = convirt(Maker())
    torch.save(file, tmp_path / "file.pt")
    reader = words(tmp_path / "words")
    encoder = hilum.load(tmp_path / "file.pt", tokenizer=tmp_path / "words", text_heads=2)
    assert encoder.preprocessing == record("mgca")
    images = torch.randn(2, 3, 40, 40)
    enlarged = F.interpolate(images, size=(299, 299), mode="bilinear", align_corners=True)
    last = resnet(file, torchvision_names("img_encoder.model."), enlarged)[3]
    whole = mgca_head(file, "img_encoder.global_embed.head.", last.mean((2, 3)))
    torch.testing.assert_close(encoder.project(images), whole, **CLOSE)
    cells = mgca_head(file, "img_encoder.global_embed.head.", last.flatten(2).transpose(1, 2).flatten(0, 1))
    torch.testing.assert_close(encoder.project_tokens(images).flatten(0, 1), cells, **CLOSE)
    pieces = reader.encode("no mass", 40)
    ids, mask = torch.from_numpy(pieces.ids)[None], torch.from_numpy(pieces.mask)[None]
    first = bert(file, "text_encoder.model.", ids, mask, heads=2)[-1][:, 0]
    report = mgca_head(file, "text_encoder.global_embed.head.", first)
    torch.testing.assert_close(encoder.embed_text(["No mass."]), report, **CLOSE)
    notes = encoder.origin["notes"]
    assert any("has no public weights" in note for note in notes)
    assert any("which its loss never calls" in note for note in notes)


@torch.no_grad()
def test_a_numbered_trunk_beside_a_bert(tmp_path: Path) -> None:
    file = convirt_pytorch(Maker())
    torch.save({"model": file}, tmp_path / "file.pth")
    encoder = hilum.load(tmp_path / "file.pth")
    assert encoder.preprocessing == record("convirt")
    images = torch.randn(2, 3, 64, 64)
    last = resnet(file, numbered_names("res_features.", 4), images)[3]
    torch.testing.assert_close(encoder.embed(images), last.mean((2, 3)), **CLOSE)
    torch.testing.assert_close(encoder.tokens(images), last.flatten(2).transpose(1, 2), **CLOSE)
    assert any("the image encoder is read alone" in note for note in encoder.origin["notes"])


@pytest.mark.parametrize("prefix", ["module.image_encoder.", "img_encoder.model.", "encoder.", "cnn.", "model.cnn."])
def test_a_trunk_under_common_names(prefix: str) -> None:
    make = Maker()
    file = resnet_file(make, prefix, fc=3) | make.linear("img_projection.0", 64, 8) | make.linear("txt_proj.0", 16, 8)
    file |= bert_file(make, "text_encoder.bert.", vocabulary=30)
    assert layout_of(source_of(file)) == "convirt"
    found = LAYOUT.read(source_of(file), Asked())
    assert {why for key, why in found.dropped if "proj" in key} == {
        "projects into the space shared with reports, whose text side is not read"
    }
    alone = resnet_file(make, prefix, fc=3)
    assert layout_of(source_of(alone)) == "resnet"  # nothing tells of reports


@pytest.mark.parametrize("neighbour", [gloria, mgca, medklip])
def test_neighbours_are_not_taken_for_it(neighbour: Callable[[Maker], dict[str, Tensor]]) -> None:
    file = {key.removeprefix("gloria.").removeprefix("module."): value for key, value in neighbour(Maker()).items()}
    assert layout_of(source_of(file)) == neighbour.__name__
