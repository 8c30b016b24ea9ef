"""BioViL: films and sentences by a plain forward pass, CXR-BERT beside the file or given, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

import hilum
from hilum.errors import CheckpointError
from hilum.released.asked import Asked
from hilum.released.build import layout_of
from hilum.released.layouts.biovil import LAYOUT
from hilum.released.pixels import record
from tests.oracles.report_encoders import batch_norm, bert, dense, layer_norm, resnet, torchvision_names
from tests.released.report_files import Maker, fits_on_meta, source_of, words
from tests.released.stand_ins import biovil, cxr_bert

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def projected(file: dict[str, Tensor], cells: Tensor) -> Tensor:
    """The projection of BioViL's cells: (B, D, ., .) -> (B, E, ., .)."""
    x = F.relu(batch_norm(file, "projector.model.1", F.conv2d(cells, file["projector.model.0.weight"])))
    return F.conv2d(x, file["projector.model.3.weight"], file["projector.model.3.bias"])


def said(file: dict[str, Tensor], ids: Tensor, mask: Tensor) -> Tensor:
    """CXR-BERT's vectors of texts, before they get unit length."""
    head = "cls_projection_head."
    x = F.gelu(dense(file, f"{head}dense_to_hidden", bert(file, "bert.", ids, mask, heads=2)[-1][:, 0]))
    return dense(file, f"{head}dense_to_output", layer_norm(file, f"{head}LayerNorm", x, 1e-12))


def write_cxr_bert(folder: Path, file: dict[str, Tensor]) -> None:
    """Its folder as the Hub has it; old names of norms."""
    words(folder)
    sizes = {"model_type": "cxr-bert", "num_attention_heads": 2, "layer_norm_eps": 1e-12}
    (folder / "config.json").write_text(json.dumps(sizes))
    old = {"bert.embeddings.LayerNorm.weight": "gamma", "bert.embeddings.LayerNorm.bias": "beta"}
    renamed = {key.rsplit(".", 1)[0] + f".{old[key]}" if key in old else key: value for key, value in file.items()}
    torch.save(renamed, folder / "pytorch_model.bin")


@torch.no_grad()
def test_films_and_sentences_are_the_releases(tmp_path: Path) -> None:
    film, text = biovil(Maker()), cxr_bert(Maker())
    torch.save(film, tmp_path / "image.pt")
    write_cxr_bert(tmp_path / "text", text)
    encoder = hilum.load(tmp_path / "image.pt", text=tmp_path / "text")
    assert encoder.origin["layout"] == "biovil"
    assert encoder.preprocessing == record("biovil")
    images = torch.randn(2, 3, 96, 96)
    last = resnet(film, torchvision_names("encoder.encoder."), images)[3]
    torch.testing.assert_close(encoder.embed(images), last.mean((2, 3)), **CLOSE)
    torch.testing.assert_close(encoder.tokens(images), last.flatten(2).transpose(1, 2), **CLOSE)
    cells = projected(film, last)
    torch.testing.assert_close(encoder.project(images), cells.mean((2, 3)), **CLOSE)
    torch.testing.assert_close(encoder.project_tokens(images), cells.flatten(2).transpose(1, 2), **CLOSE)
    texts = ["there is a small left pleural effusion.", "mass"]
    assert encoder.tokenizer is not None
    read = [encoder.tokenizer.encode(one.rstrip("."), 40) for one in texts]
    ids, mask = (torch.stack([torch.from_numpy(getattr(one, name)) for one in read]) for name in ("ids", "mask"))
    torch.testing.assert_close(encoder.embed_text(texts), said(text, ids, mask), **CLOSE)
    again = hilum.load(encoder.save(tmp_path / "encoder"))
    assert torch.equal(again.embed_text(texts), encoder.embed_text(texts))
    assert torch.equal(again.project(images), encoder.project(images))
    notes = encoder.origin["notes"]
    assert "report encoder: text" in notes
    assert "dropped of the report encoder: the language head takes no part" in notes


def test_the_report_encoder_beside_the_file_is_found(tmp_path: Path) -> None:
    write_cxr_bert(tmp_path, cxr_bert(Maker()))
    torch.save(biovil(Maker()), tmp_path / "biovil_image.pt")
    assert hilum.load(tmp_path / "biovil_image.pt").towers is not None
    with pytest.raises(CheckpointError, match=r"is CXR-BERT.*a file of its own.*--text"):
        hilum.load(tmp_path)


def test_without_it_the_image_side_says_what_is_missing(tmp_path: Path) -> None:
    torch.save(biovil(Maker()), tmp_path / "image.pt")
    encoder = hilum.load(tmp_path / "image.pt")
    assert encoder.towers is None
    assert any("(--text)" in note for note in encoder.origin["notes"])


def test_another_report_encoder_is_refused(tmp_path: Path) -> None:
    save_file(biovil(Maker()), tmp_path / "image.safetensors")
    folder = tmp_path / "text"
    text = cxr_bert(Maker())
    folder.mkdir()
    save_file({key: value for key, value in text.items() if "cls_proj" not in key}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="is no CXR-BERT"):
        hilum.load(tmp_path / "image.safetensors", text=folder)
    save_file(text, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="holds no tokenizer"):
        hilum.load(tmp_path / "image.safetensors", text=folder)
    words(folder)
    assert hilum.load(tmp_path / "image.safetensors", text=folder, text_heads=2).towers is not None
    wide = {**text, **Maker().linear("cls_projection_head.dense_to_output", 12, 9)}
    save_file(wide, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="projects films to 12 features, and its report encoder gives 9"):
        hilum.load(tmp_path / "image.safetensors", text=folder, text_heads=2)
    short = {key: value for key, value in text.items() if key != "bert.encoder.layer.0.output.dense.bias"}
    save_file(short, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="is missing"):
        hilum.load(tmp_path / "image.safetensors", text=folder, text_heads=2)


def test_both_sides_of_the_real_size_can_be_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words(tmp_path, vocabulary=30522)
    folder = source_of(cxr_bert(Maker("meta"), True), name=str(tmp_path), tokenizer=tmp_path)
    monkeypatch.setattr("hilum.released.layouts.cxr_bert.open_source", lambda path: folder)
    found = LAYOUT.read(source_of(biovil(Maker("meta"), True)), Asked(text=tmp_path))
    assert found.joint is not None
    assert (found.joint.config.dim, found.joint.config.text.depth, found.joint.vocabulary) == (128, 12, 30522)
    fits_on_meta(found)


def test_biovil_t_is_not_taken_for_it() -> None:
    file = biovil(Maker()) | {"encoder.backbone_to_vit.weight": torch.zeros(8, 64, 1, 1)}
    assert not LAYOUT.recognise(source_of(file))
    assert layout_of(source_of(biovil(Maker()))) == "biovil"
