"""MGCA and MedIM: official embeddings of a stand-in, both sides by a plain forward pass, what stays behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import hilum
from hilum.errors import CheckpointError
from hilum.evaluation.joint_space import word_vectors
from hilum.models.pretrained.tensors import read_tensors
from hilum.models.resnet import ResNetConfig
from hilum.models.vit import ViTConfig
from hilum.released.asked import Asked
from hilum.released.layouts.mgca import LAYOUT
from hilum.released.pixels import record
from tests.oracles.report_encoders import bert, mgca_head, resnet, torchvision_names
from tests.released.report_files import Maker, bert_file, fits_on_meta, mgca_heads, source_of, words
from tests.released.stand_ins import mgca

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@torch.no_grad()
def test_the_golden_file_gives_official_embeddings_once_it_has_its_text(shared: Path, tmp_path: Path) -> None:
    golden = {
        key: torch.from_numpy(value) for key, value in np.load(shared / "golden/checkpoints/mgca_vit.npz").items()
    }
    path = shared / "golden/checkpoints/mgca_vit.ckpt"
    alone = hilum.load(path, heads=4)
    assert alone.origin["layout"] == "mgca"
    assert alone.preprocessing == record("mgca", size=48)
    tokens = alone.model.forward_features(golden["in/imgs"])
    torch.testing.assert_close(tokens, golden["out/tokens"], **CLOSE)
    torch.testing.assert_close(alone.embed(golden["in/imgs"]), golden["out/cls"], **CLOSE)
    torch.testing.assert_close(alone.attention(golden["in/imgs"])[:, :, 0, 1:], golden["out/cls_attention"], **CLOSE)
    assert any("which the file does not hold" in note for note in alone.origin["notes"])

    make = Maker()
    text = bert_file(make, "text_encoder_q.model.", vocabulary=100)
    text |= mgca_heads(make, "text_encoder_q", whole=16, local=16, hidden=40, dim=16)
    torch.save({"state_dict": {**read_tensors(path), **text}}, tmp_path / "mgca.ckpt")
    words(tmp_path / "words")
    encoder = hilum.load(tmp_path / "mgca.ckpt", heads=4, text_heads=2, tokenizer=tmp_path / "words")
    whole, cells = encoder.project(golden["in/imgs"]), encoder.project_tokens(golden["in/imgs"])
    torch.testing.assert_close(F.normalize(whole, dim=1), golden["out/image_embedding"], **CLOSE)
    torch.testing.assert_close(F.normalize(cells, dim=2), golden["out/patch_embedding"], **CLOSE)


@torch.no_grad()
def test_both_sides_of_a_resnet_are_the_releases(tmp_path: Path) -> None:
    file = mgca(Maker())
    torch.save({"state_dict": file, "epoch": 3}, tmp_path / "file.ckpt")
    reader = words(tmp_path / "words")
    encoder = hilum.load(tmp_path / "file.ckpt", tokenizer=tmp_path / "words", text_heads=2)
    images = torch.randn(2, 3, 32, 32)
    enlarged = F.interpolate(images, size=(320, 320), mode="bilinear", align_corners=True)
    maps = resnet(file, torchvision_names("img_encoder_q.model."), enlarged)
    whole = mgca_head(file, "img_encoder_q.global_embed.head.", maps[3].mean((2, 3)))
    torch.testing.assert_close(encoder.project(images), whole, **CLOSE)
    cells = maps[2].flatten(2).transpose(1, 2)
    local = mgca_head(file, "img_encoder_q.local_embed.head.", cells.flatten(0, 1)).reshape(2, 400, -1)
    torch.testing.assert_close(encoder.project_tokens(images), local, **CLOSE)

    text = "no pleural effusion in the lungs"
    pieces = reader.encode(text, 40)
    ids, mask = torch.from_numpy(pieces.ids)[None], torch.from_numpy(pieces.mask)[None]
    read = bert(file, "text_encoder_q.model.", ids, mask, heads=2)[-1][0]
    report = mgca_head(file, "text_encoder_q.global_embed.head.", read[:1])
    torch.testing.assert_close(encoder.embed_text([text]), report, **CLOSE)
    summed = torch.stack([read[torch.from_numpy(pieces.words == number)].sum(0) for number in range(len(text.split()))])
    single = mgca_head(file, "text_encoder_q.local_embed.head.", summed)
    torch.testing.assert_close(word_vectors(encoder, [text])[0], single, **CLOSE)
    assert len(encoder.embed_text(["mass"]))  # a query of one word is no empty text

    again = hilum.load(encoder.save(tmp_path / "encoder"))
    assert torch.equal(again.project_tokens(images), encoder.project_tokens(images))
    assert torch.equal(again.embed_text([text]), encoder.embed_text([text]))


def test_without_its_tokenizer_the_text_side_stays_behind_and_says_how_to_get_it(tmp_path: Path) -> None:
    torch.save({"state_dict": mgca(Maker())}, tmp_path / "file.ckpt")
    encoder = hilum.load(tmp_path / "file.ckpt")
    assert encoder.towers is None
    assert any("give its tokenizer" in note for note in encoder.origin["notes"])


def test_who_draws_films_is_medim_and_sees_its_pixels() -> None:
    whole = mgca(Maker())
    plain = {key: value for key, value in whole.items() if not key.startswith("img_decoder_q.")}
    for file, name in ((whole, "medim"), (plain, "mgca")):
        assert LAYOUT.read(source_of(file), Asked(text_heads=2)).preprocessing == record(name)
    assert record("medim") != record("mgca")


def test_what_serves_pretraining_alone_is_named() -> None:
    found = LAYOUT.read(source_of(mgca(Maker())), Asked(text_heads=2))
    why = dict(found.dropped)
    assert why["prototype_layer.weight"] == "the prototypes serve the loss alone"
    assert why["img_decoder_q.model.decoder_1.0.weight"] == "draws films, of use in pretraining only"
    assert "cross-attention" in why["text_encoder_q.model.encoder.layer.0.crossattention.self.query.weight"]


def test_a_report_encoder_without_its_projection_is_refused() -> None:
    file = {key: value for key, value in mgca(Maker()).items() if "text_encoder_q.local_embed" not in key}
    with pytest.raises(CheckpointError, match="has a report encoder without text local projection"):
        LAYOUT.read(source_of(file), Asked(text_heads=2))


def test_the_vit_of_the_real_size_can_be_built() -> None:
    make = Maker("meta")
    file = {f"img_encoder_q.model.{key}": value for key, value in _timm_vit(make).items()}
    file |= {key: value for key, value in mgca(make, True).items() if not key.startswith("img_encoder_q.model.")}
    file |= mgca_heads(make, "img_encoder_q", whole=768, local=768, hidden=2048, dim=128)
    found = LAYOUT.read(source_of(file), Asked(image_size=224))
    assert isinstance(found.architecture, ViTConfig)
    assert found.joint is not None
    assert (found.joint.config.text.depth, found.joint.config.length, found.joint.vocabulary) == (6, 112, 28996)
    assert sum(value.numel() for value in fits_on_meta(found).parameters()) == 85_798_656
    found = LAYOUT.read(source_of(mgca(make, True)), Asked())
    assert isinstance(found.architecture, ResNetConfig)
    assert found.architecture.grid == (20, 20)


def _timm_vit(make: Maker) -> dict[str, torch.Tensor]:
    file = {"cls_token": make(1, 1, 768), "pos_embed": make(1, 197, 768), "patch_embed.proj.bias": make(768)}
    file |= {"patch_embed.proj.weight": make(768, 3, 16, 16), **make.norm("norm", 768)}
    for number in range(12):
        block = f"blocks.{number}."
        file |= make.norm(f"{block}norm1", 768) | make.norm(f"{block}norm2", 768)
        file |= make.linear(f"{block}attn.qkv", 768, 2304) | make.linear(f"{block}attn.proj", 768, 768)
        file |= make.linear(f"{block}mlp.fc1", 768, 3072) | make.linear(f"{block}mlp.fc2", 3072, 768)
    return file
