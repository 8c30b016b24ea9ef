"""One door for all formats: a new folder or none, a card in each, and our own format that holds everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import hilum
from hilum.checkpoint import verify
from hilum.encoder import Encoder
from hilum.errors import ConfigError, UserError
from hilum.exporting import ours
from hilum.exporting.formats import FORMATS, export_encoder
from hilum.lookup import lookup
from hilum.model_card import Statement
from tests.exporting.encoders import batch, reading_encoder, vit_encoder

QUICK = [name for name in FORMATS if name != "onnx"]  # which has its own tests


@pytest.mark.parametrize("name", FORMATS)
def test_every_name_leads_to_a_writer(name: str) -> None:
    assert callable(lookup(FORMATS, name, kind="format"))


def test_a_wrong_name_lists_the_right_ones(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"unknown format 'tim'\. Did you mean 'timm'\? Known: hilum, huggingface, onnx"
    ):
        export_encoder(vit_encoder(), "tim", tmp_path / "out")


@pytest.mark.parametrize("name", QUICK)
def test_the_folder_is_whole_and_says_what_it_is(name: str, tmp_path: Path) -> None:
    exported = export_encoder(
        vit_encoder(), name, tmp_path / "out", statement=Statement("cc-by-nc-4.0", "751 synthetic films", "A test")
    )
    assert (name == "hilum") == (tmp_path / "out/files.json").is_file()
    if name == "hilum":
        verify(tmp_path / "out")  # every file against its hash
    card = (tmp_path / "out/README.md").read_text()
    for words in (
        "license: cc-by-nc-4.0",
        "# A test",
        "751 synthetic films",
        "| films | 751 |",
        "Not a medical device",
    ):
        assert words in card
    assert set(exported.sizes) == {path.name for path in (tmp_path / "out").iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", QUICK)
def test_something_that_is_there_stays(name: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export_encoder(vit_encoder(), name, tmp_path / "out")  # empty: nothing is lost
    before = (tmp_path / "out/README.md").read_text()
    with pytest.raises(ConfigError, match="not empty"):
        export_encoder(vit_encoder(), name, tmp_path / "out")
    assert (tmp_path / "out/README.md").read_text() == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="is a file, not a folder"):
        export_encoder(vit_encoder(), name, tmp_path / "file")


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ours, "write_weights", full)
    with pytest.raises(UserError, match="No space left on device"):
        export_encoder(vit_encoder(), "hilum", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_our_own_format_holds_everything(tmp_path: Path) -> None:
    encoder = vit_encoder("mean", registers=2, final_norm=False, pool_norm=True, mask_token=True)
    export_encoder(encoder, "hilum", tmp_path / "out")
    again = hilum.load(tmp_path / "out")
    assert (again.model.config, again.preprocessing, again.pool) == (
        encoder.model.config,
        encoder.preprocessing,
        "mean",
    )
    assert again.origin == encoder.origin
    expected = encoder.model.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in again.model.state_dict().items())
    assert torch.equal(again.embed(batch()), encoder.embed(batch()))


def test_the_report_encoder_comes_along_or_is_said_to_stay(tmp_path: Path) -> None:
    encoder = reading_encoder()
    export_encoder(encoder, "hilum", tmp_path / "ours")
    again = hilum.load(tmp_path / "ours")
    assert torch.equal(again.embed_text(["effusion"]), encoder.embed_text(["effusion"]))
    exported = export_encoder(encoder, "timm", tmp_path / "timm")
    assert "left behind: the report encoder, which this format has no place for" in exported.lines()
    assert "Left behind: the report encoder" in (tmp_path / "timm/README.md").read_text()


@pytest.mark.parametrize("name", QUICK)
def test_paths_of_this_machine_stay_here(name: str, tmp_path: Path) -> None:
    plain = vit_encoder()
    origin = {"init": "/data/secret/mae.pth", "prepared": {"from": "/data/secret/films"}}
    export_encoder(Encoder(plain.model, plain.preprocessing, origin), name, tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        if path.suffix != ".safetensors":
            assert "secret" not in path.read_text(), path
    assert "mae.pth" in (tmp_path / "out/config.json").read_text()
