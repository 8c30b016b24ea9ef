"""Vectors of films, texts and phrases from a real (untrained) encoder, and the three commands on its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import hilum
from hilum.commands.arguments import parse
from hilum.commands.ground import ground
from hilum.commands.retrieve import retrieve
from hilum.commands.zero_shot import zero_shot
from hilum.datasets.phantom.write import write_phantom
from hilum.encoder import Encoder
from hilum.errors import CheckpointError, ConfigError
from hilum.evaluation.features import Runner
from hilum.evaluation.ground import Grounding, judge_grounding
from hilum.evaluation.joint_space import film_vectors, phrase_vectors, text_vectors
from hilum.films import decode
from hilum.manifest import Manifest
from hilum.models.text import TextConfig
from hilum.models.towers import Towers, TowersConfig
from hilum.models.vit import VisionTransformer
from hilum.transforms.text import PREPARATIONS, WordPiece
from tests.evaluation.conftest import GREY, TINY
from tests.models.tower_kinds import MLP_HEADS

RUNNER = Runner(device="cpu", batch_size=16, quiet=True)
TEXT = TextConfig(width=32, depth=1, heads=2, hidden=64, positions=40)
LINEAR = TowersConfig(text=TEXT, dim=32, position_weight=True, length=40)
MLP = TowersConfig(text=TEXT, dim=24, hidden=40, **MLP_HEADS, text_pool="first", preparation="medim", length=40)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_phantom(tmp_path_factory.mktemp("phantom") / "data", patients=14, size=64, progress=False)
    table = Manifest.read(root).table.copy()
    table["split"] = "test"
    Manifest.from_table(table, root).write(root)
    return root


def make(config: TowersConfig, data: Path) -> Encoder:
    words = WordPiece.train(list(Manifest.read(data).table["report"]), vocab_size=300)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        towers = Towers(config, TINY.width, 16, len(words), pad_id=words.pad_id)
        if towers.position is not None:
            torch.nn.init.normal_(towers.position.weight)
        return Encoder(VisionTransformer(TINY), GREY, {"method": "none"}, towers=towers, tokenizer=words)


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(LINEAR, data).save(tmp_path_factory.mktemp("encoders") / "maco")


def test_films_and_texts_share_a_space(data: Path) -> None:
    encoder, manifest = make(LINEAR, data), Manifest.read(data)
    films = film_vectors(encoder, manifest, RUNNER)
    texts = text_vectors(encoder, list(manifest.table["report"]))
    assert films.shape == texts.shape == (len(manifest), 32)
    one = encoder.project(torch.stack([encoder.transform(decode(manifest.paths()[3]))]))
    torch.testing.assert_close(films[3], one[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(phrase_vectors(encoder, ["No effusion."]), encoder.embed_text(["No effusion."]))


def test_phrases_of_mlp_heads_are_the_mean_of_words_in_the_space_of_the_patches(data: Path) -> None:
    encoder = make(MLP, data)
    towers, words = encoder.require_towers()
    sentence = "There is cardiomegaly with a pleural effusion."
    read = words.encode(PREPARATIONS["medim"](sentence, None), 40)
    ids, mask = (torch.from_numpy(value)[None] for value in (read.ids, read.mask))
    with torch.no_grad():
        tokens = towers.text(ids, mask).tokens[0]
        whole = [tokens[torch.from_numpy(read.words == word)].sum(dim=0) for word in range(read.words.max() + 1)]
        expected = towers.text_local(torch.stack(whole)[None])[0].mean(dim=0)
    found = phrase_vectors(encoder, ["No effusion.", sentence])  # another length beside it changes nothing
    torch.testing.assert_close(found[1], expected, rtol=1e-4, atol=1e-5)
    assert found.shape == (2, 24)


def test_words_are_attended_where_words_were_aligned(data: Path, tmp_path: Path) -> None:
    options = Grounding(preset="gloria", draws=10, examples=0)
    results = judge_grounding(make(MLP, data), str(data), str(tmp_path / "out"), options, runner=RUNNER)
    assert set(results["ways"]) == {"without_prior", "centre"}
    with pytest.raises(ConfigError, match="aligned whole sentences with films, not words"):
        judge_grounding(make(LINEAR, data), str(data), str(tmp_path / "no"), options, runner=RUNNER)


def test_the_three_commands_read_a_folder(folder: Path, data: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    given = [str(folder), "--data", str(data), "--draws", "20", "--device", "cpu"]
    for verb in (zero_shot, retrieve, ground):
        out = tmp_path / verb.__name__
        verb(**parse(verb, [*given, "--out", str(out)]))
        assert (out / "results.html").is_file()
        results = json.loads((out / "results.json").read_text())
        command = results["context"]["command"]
        assert command.startswith(f"hilum {verb.__name__.replace('_', '-')} ")
    shown = capsys.readouterr().out
    assert "macro AUROC 0." in shown
    assert "Film → report: R@10 0." in shown
    assert "With position prior − without position prior: mIoU" in shown
    assert str(tmp_path / "ground" / "results.html") in shown


def test_an_encoder_without_a_text_tower_says_so(data: Path, tmp_path: Path, encoder: Encoder) -> None:
    path = str(encoder.save(tmp_path / "mae"))
    for verb in (zero_shot, retrieve, ground):
        with pytest.raises(CheckpointError, match="has no text tower"):
            verb(**parse(verb, [path, "--data", str(data), "--out", str(tmp_path / "out")]))
    assert hilum.load(path).towers is None
    assert not (tmp_path / "out").exists()
