"""`hilum export` at the shell: what it writes and says, what it refuses in one line, and the round trips."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import hilum
from hilum.cli import main
from tests.exporting.encoders import vit_encoder
from tests.exporting.test_adapted import write_adapted
from tests.results.judged_folders import write_scores


@pytest.fixture
def run(tmp_path: Path) -> Path:
    vit_encoder().save(tmp_path / "run/encoder")
    return tmp_path / "run"


def test_a_run_with_results_and_a_statement(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged = write_scores(tmp_path / "judged")
    words = ["export", str(run), "--to", "huggingface", "--out", str(tmp_path / "with space")]
    more = ["--results", str(judged), "--licence", "mit", "--data", "synthetic films", "--title", "Mine"]
    assert main([*words, *more]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"ViTModel of 40 tensors in {tmp_path / 'with space'} (")
    card = (tmp_path / "with space/README.md").read_text()
    assert "# Mine" in card
    assert "| Effusion | AUROC | 0." in card
    assert "| command | hilum export --encoder=run --to=huggingface" in card
    assert str(tmp_path) not in card
    assert main([*words, *more]) == 2
    assert "the output folder is not empty" in capsys.readouterr().err


@pytest.mark.parametrize("to", ["hilum", "timm", "huggingface"])
def test_what_leaves_comes_back_bit_for_bit(to: str, run: Path, tmp_path: Path) -> None:
    hilum.export(str(run), to=to, out=str(tmp_path / "out"))
    again, before = hilum.load(tmp_path / "out"), hilum.load(run)
    assert again.preprocessing == before.preprocessing
    assert again.model.config == before.model.config
    expected = before.model.state_dict()
    assert set(again.model.state_dict()) == set(expected)
    assert all(torch.equal(value, expected[key]) for key, value in again.model.state_dict().items())


def test_an_adapted_run_gives_its_encoder_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_adapted(tmp_path / "run", vit_encoder())
    assert main(["export", str(tmp_path / "run"), "--to", "timm", "--out", str(tmp_path / "out")]) == 0
    assert "the encoder alone is exported, without its head" in capsys.readouterr().out


def test_a_dry_run_for_the_hub(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export", str(run), "--to", "hub", "--repo", "org/name", "--format", "timm", "--dry-run"]
    stated = ["--licence", "mit", "--data", "films", "--token", "secret"]
    assert main([*words, *stated, "--out", str(tmp_path / "out")]) == 0
    assert "would be uploaded to org/name (private); not sent" in capsys.readouterr().out
    assert "secret" not in (tmp_path / "out/README.md").read_text()
    assert main([*words, "--data", "films", "--out", str(tmp_path / "other")]) == 2
    assert "--licence: is not stated" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--to", "tensorflow", "--out", "x"],
            "unknown value 'tensorflow'. Known: hilum, hub, huggingface, onnx, timm",
        ),
        (["--to", "timm"], "--out: is needed"),
        (["--to", "hub", "--out", "x"], "--repo: is needed for the hub"),
        (["--to", "timm", "--out", "x", "--public"], "--public: says nothing to the format timm"),
        (["--to", "timm", "--out", "x", "--token", "t"], "--token: says nothing to the format timm"),
        (["--to", "timm", "--out", "x", "--results", "nowhere"], "there is no such folder"),
    ],
)
def test_faults_are_one_line(
    words: list[str],
    says: str,
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(run), *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "x").exists()
