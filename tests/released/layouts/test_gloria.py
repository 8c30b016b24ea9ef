"""GLoRIA: the official features of a stand-in, words and reports by the release's own rule, what the file tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import hilum
from hilum.errors import CheckpointError
from hilum.evaluation.joint_space import word_vectors
from hilum.models.pretrained.tensors import read_tensors
from hilum.released.asked import Asked
from hilum.released.layouts.gloria import LAYOUT
from hilum.released.pixels import record
from hilum.transforms.text import WordPiece
from tests.oracles.report_encoders import bert, dense, resnet, torchvision_names
from tests.released.report_files import Maker, bert_file, source_of, words
from tests.released.stand_ins import gloria

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def film_features(file: dict[str, Tensor], images: Tensor) -> tuple[Tensor, Tensor]:
    """The release's two embeddings: (B, E), (B, E, 19, 19)."""
    enlarged = F.interpolate(images, size=(299, 299), mode="bilinear", align_corners=True)
    maps = resnet(file, torchvision_names("gloria.img_encoder.model."), enlarged)
    whole = dense(file, "gloria.img_encoder.global_embedder", maps[3].mean((2, 3)))
    return whole, F.conv2d(maps[2], file["gloria.img_encoder.local_embedder.weight"])


def released_words(
    file: dict[str, Tensor], reader: WordPiece, entries: list[str], text: str, length: int
) -> tuple[Tensor, Tensor]:
    """The release's loop over one text: word vectors (length, E) with [CLS] and [SEP], and the text's vector (E,)."""
    pieces = reader.encode(text, length)
    ids, mask = torch.from_numpy(pieces.ids)[None], torch.from_numpy(pieces.mask)[None]
    layers = torch.stack(bert(file, "gloria.text_encoder.model.", ids, mask, heads=2)[-4:])[:, 0]  # (4, length, E)
    found: list[Tensor] = []
    bank: list[Tensor] = []
    for place, number in enumerate(ids[0].tolist()):
        if entries[number] == "[SEP]":
            found += [torch.stack(bank).sum(0), layers[:, place]]
            break
        if not entries[number].startswith("##") and bank:
            found.append(torch.stack(bank).sum(0))
            bank = []
        bank.append(layers[:, place])
    padded = torch.stack(found + [torch.zeros_like(layers[:, 0])] * (length - len(found)))  # (length, 4, E)
    return padded.sum(1), padded.mean(0).sum(0)


@torch.no_grad()
def test_the_golden_file_has_its_official_features(shared: Path, tmp_path: Path) -> None:
    golden = np.load(shared / "golden/checkpoints/gloria_resnet50.npz")
    images = torch.from_numpy(golden["in/imgs"])
    alone = hilum.load(shared / "golden/checkpoints/gloria_resnet50.ckpt")
    assert alone.origin["layout"] == "gloria"
    assert alone.preprocessing == record("gloria")
    torch.testing.assert_close(alone.embed(images), torch.from_numpy(golden["out/global_feature"]), **CLOSE)
    local = alone.model.forward_maps(images)[0]  # type: ignore[union-attr]
    torch.testing.assert_close(local.mean((2, 3)), torch.from_numpy(golden["out/local_feature_mean"]), **CLOSE)
    corner = torch.from_numpy(golden["out/local_feature_3x3corner"])
    torch.testing.assert_close(local[:, :, :3, :3], corner, **CLOSE)

    text = bert_file(Maker(), "gloria.text_encoder.model.", vocabulary=100, width=12, depth=4)
    whole = {**read_tensors(shared / "golden/checkpoints/gloria_resnet50.ckpt"), **text}
    torch.save({"state_dict": whole}, tmp_path / "gloria.ckpt")
    words(tmp_path / "words")
    encoder = hilum.load(tmp_path / "gloria.ckpt", tokenizer=tmp_path / "words", text_heads=2)
    torch.testing.assert_close(encoder.project(images), torch.from_numpy(golden["out/global_embedding"]), **CLOSE)
    cells = torch.from_numpy(golden["out/local_embedding"]).flatten(2).transpose(1, 2)
    torch.testing.assert_close(encoder.project_tokens(images), cells, **CLOSE)


@torch.no_grad()
def test_films_words_and_reports_are_the_releases(tmp_path: Path) -> None:
    file = gloria(Maker())
    torch.save({"state_dict": file, "hyper_parameters": {"data": {"text": {"word_num": 30}}}}, tmp_path / "file.ckpt")
    reader = words(tmp_path / "words")
    entries = (tmp_path / "words" / "vocab.txt").read_text().split("\n")
    encoder = hilum.load(tmp_path / "file.ckpt", tokenizer=tmp_path / "words", text_heads=2)
    images = torch.randn(2, 3, 64, 64)
    whole, cells = film_features(file, images)
    torch.testing.assert_close(encoder.project(images), whole, **CLOSE)
    torch.testing.assert_close(encoder.project_tokens(images), cells.flatten(2).transpose(1, 2), **CLOSE)
    texts = ["There is pleural effusion.", "no mass", "Heartless. No effusions!"]
    said = ["there is pleural effusion", "no mass", "no effusions"]  # sentences of one word are lost, as in the release
    found, single = encoder.embed_text(texts), word_vectors(encoder, texts)
    for row, text in enumerate(said):
        vectors, report = released_words(file, reader, entries, text, 30)
        torch.testing.assert_close(found[row], report, **CLOSE)
        count = len(text.split())
        torch.testing.assert_close(single[row], vectors[1 : count + 1], **CLOSE)  # without [CLS]


def test_the_file_tells_how_its_text_is_read() -> None:
    file = gloria(Maker())
    told = {"hyper_parameters": {"model": {"text": {"last_n_layers": 2}}, "data": {"text": {"word_num": 25}}}}
    joint = LAYOUT.read(source_of(file, extra=told), Asked()).joint
    assert joint is not None
    assert (joint.config.text_layers, joint.config.length, joint.config.text_pool) == (2, 25, "word-mean")
    one = {"hyper_parameters": {"model": {"text": {"last_n_layers": 1}}}}
    joint = LAYOUT.read(source_of(file, extra=one), Asked()).joint
    assert joint is not None
    assert (joint.config.text_layers, joint.config.length, joint.config.text_pool) == (1, 40, "pooler")
    assert "text.bert.pooler.dense.weight" in joint.weights
    odd = {"hyper_parameters": {"model": {"text": {"last_n_layers": "four"}}, "data": [1]}}
    joint = LAYOUT.read(source_of(file, extra=odd), Asked()).joint
    assert joint is not None
    assert joint.config.text_layers == 4
    many = {"hyper_parameters": {"model": {"text": {"last_n_layers": 9}}}}
    with pytest.raises(CheckpointError, match="adds up 9 last layers and has 5"):
        LAYOUT.read(source_of(file, extra=many), Asked())


def test_an_image_side_alone_says_why_its_projections_stay_behind() -> None:
    file = {key: value for key, value in gloria(Maker()).items() if ".text_encoder." not in key}
    found = LAYOUT.read(source_of(file), Asked())
    assert found.joint is None
    assert (
        "gloria.img_encoder.local_embedder.weight",
        "projects films towards a report encoder, not here",
    ) in found.dropped
