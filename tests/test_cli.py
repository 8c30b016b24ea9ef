"""The command line: what users get wrong ends in one line that says what, where and how to fix, and exit code 2."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest

from hilum.cli import VERBS, main
from hilum.commands.arguments import as_words, parse
from hilum.errors import ConfigError
from tests.conftest import write_films
from tests.results.judged_folders import write_scores

SMALL = ["--size=64", '--set.vit={"depth": 1}', "--set.decoder_width=32", "--set.decoder_depth=1"]
TINY = ["--model=vit_tiny_patch16", *SMALL, "--set.decoder_heads=2", "--batch-size=8", "--max-steps=2"]


def check_refused(capsys: pytest.CaptureFixture[str], words: list[str], *parts: str) -> str:
    """Run a verb that must be refused: exit code 2, one line, with every part in it."""
    assert main(words) == 2
    said = capsys.readouterr().err.strip().splitlines()
    line = said[-1]
    assert len([text for text in said if text.startswith("hilum ")]) == 1
    assert line.startswith(f"hilum {words[0]}: ")
    assert "Traceback" not in "".join(said)
    for part in parts:
        assert part in line, line
    return line


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_films(tmp_path / "data", films=40)


def edit(data: Path, **columns: object) -> None:
    """Overwrite whole columns, or one cell given as (row, value)."""
    table = pd.read_csv(data / "manifest.csv", dtype=str, keep_default_na=False)
    for name, value in columns.items():
        column = name.replace("__", ".")
        if isinstance(value, tuple):
            table.loc[value[0], column] = value[1]
        else:
            table = table.rename(columns={column: str(value)})
    table.to_csv(data / "manifest.csv", index=False)


def pretrain(data: Path, out: Path, *more: str) -> list[str]:
    return ["pretrain", "mae", f"--data={data}", f"--out={out}", *TINY, *more]


def test_a_missing_image_file(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "images/film0000.png").unlink()
    check_refused(capsys, pretrain(data, tmp_path / "run"), "1 of", "film0000.png", "missing")
    assert not (tmp_path / "run").exists()


def test_no_data_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_refused(capsys, pretrain(tmp_path / "nowhere", tmp_path / "run"), "no such file or folder", "nowhere")
    assert not (tmp_path / "run").exists()


def test_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    check_refused(capsys, ["prepare", str(tmp_path / "empty"), f"--out={tmp_path / 'data'}"], "empty")
    assert not (tmp_path / "data").exists()
    check_refused(capsys, pretrain(tmp_path / "empty", tmp_path / "run"), "manifest", "hilum prepare")


def test_a_renamed_column(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(data, patient_id="patient")
    check_refused(capsys, pretrain(data, tmp_path / "run"), "patient_id", "manifest.csv")


def test_a_label_that_is_text(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(data, label__Mass=(3, "Positive"))
    check_refused(capsys, pretrain(data, tmp_path / "run"), "label.Mass", "Positive", "line 5")


def test_one_patient_in_two_splits(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(data, split=(0, "test"))
    check_refused(capsys, pretrain(data, tmp_path / "run"), "patient000", "test", "train")


def test_an_unknown_finding(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(pretrain(data, tmp_path / "run", "--probe=false")) == 0
    words = ["adapt", "classify", f"--encoder={tmp_path / 'run'}", f"--data={data}", "--labels=Masss"]
    check_refused(capsys, [*words, f"--out={tmp_path / 'head'}"], "Masss", "Mass", "Effusion")
    assert not (tmp_path / "head").exists()


def test_a_non_empty_output_folder(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious.txt").write_text("keep")
    check_refused(capsys, pretrain(data, tmp_path / "run"), "not empty", "--out", "--resume")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["precious.txt"]


def test_a_checkpoint_of_another_architecture(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(pretrain(data, tmp_path / "small", "--probe=false")) == 0
    words = ["pretrain", "mae", f"--data={data}", f"--out={tmp_path / 'run'}", *TINY, f"--init={tmp_path / 'small'}"]
    words[words.index('--set.vit={"depth": 1}')] = '--set.vit={"depth": 2}'
    check_refused(capsys, words, "small", "blocks.1")


def test_something_that_is_no_encoder(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["adapt", "classify", f"--encoder={data}", f"--data={data}", "--labels=Mass", f"--out={tmp_path / 'head'}"]
    check_refused(capsys, words, "no encoder", str(data))


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["prtrain"], ["prtrain", "pretrain"]),
        (["pretrain", "mea"], ["mae"]),
        (["pretrain", "mae", "--data=x", "--out=y", "--batch-sise=4"], ["batch_sise"]),
        (["pretrain", "mae", "--data=x", "--out=y", "--preset=cxrbsae"], ["cxrbase"]),
        (["pretrain", "mae", "--data=x", "--out=y", "--set.mask_ration=0.5"], ["mask_ratio"]),
        (["pretrain", "mae", "--data=x", "--out=y", "--set.mask_ratio=1.5"], ["mask_ratio", "between 0 and 1"]),
        (["pretrain", "mae", "--data=x", "--out=y", "--model=vit_huge"], ["vit_huge", "vit_base_patch16"]),
        (["info", "nowhere"], ["nowhere"]),
    ],
)
def test_wrong_words_are_named(words: list[str], parts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    check_refused(capsys, words, *parts)


def test_a_place_that_cannot_be_written(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_refused(capsys, pretrain(data, Path("/proc/nothing-can-be-made-here")), "/proc/nothing-can-be-made-here")


def test_dry_run_writes_nothing(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(pretrain(data, tmp_path / "run", "--dry-run")) == 0
    said = capsys.readouterr().out
    assert '"mask_ratio": 0.75' in said
    assert '"steps": 2' in said
    assert not (tmp_path / "run").exists()


def test_views_are_counted(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(pretrain(data, tmp_path / "run", "--views=PA", "--dry-run")) == 0
    assert '"films": 12' in capsys.readouterr().out
    check_refused(capsys, pretrain(data, tmp_path / "run", "--views=LATERAL"), "no training films", "LATERAL")


def test_info_says_what_everything_is(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(pretrain(data, run, "--probe=false")) == 0
    for folder, words in (
        (data, ["data set", "20 patients", "Mass"]),
        (run, ["run of hilum pretrain", "2 of 2", "mask_ratio"]),
        (run / "encoder", ["encoder", "architecture.width", "192"]),
        (run / "checkpoints" / "step-00000002", ["method", "sha256"]),
        (write_scores(tmp_path / "judged"), ["results of the task classification", "results.html"]),
    ):
        assert main(["info", str(folder)]) == 0
        said = capsys.readouterr().out
        for word in words:
            assert word in said, folder
    weights = run / "encoder" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    check_refused(capsys, ["info", str(run / "encoder")], "model.safetensors", "damaged")
    (tmp_path / "judged" / "results.json").write_text("{")
    check_refused(capsys, ["info", str(tmp_path / "judged")], "results.json", "damaged")


def example(
    method: Literal["mae"],
    folders: tuple[str, ...] = (),
    *,
    size: int = 1,
    fast: bool = True,
    views: tuple[str, ...] = (),
) -> None:
    """Do something.

    Args:
        method: one.
        folders: two.
        size: three.
        fast: four.
        views: five.
    """


def test_dashes_flags_lists_and_positionals() -> None:
    assert parse(example, ["mae", "a, b", "c", "--size", "3", "--fast=false", "--views", "PA,AP"]) == {
        "method": "mae",
        "folders": ("a, b", "c"),
        "size": 3,
        "fast": False,
        "views": ("PA", "AP"),
    }
    with pytest.raises(ConfigError):
        parse(example, ["mae", "--size", "big"])


def test_a_wrong_choice_or_count_is_said_in_plain_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["adapt", "classify", "--encoder=E", "--data=D", "--labels=Mass", f"--out={tmp_path / 'run'}"]
    said = check_refused(capsys, [*words, "--calibrate", "plat"], "calibrate: unknown value 'plat'", "'platt'")
    assert "typing" not in said
    check_refused(capsys, ["evaluate", str(tmp_path), "--data=D", "--draws=0"], "draws: must be 1 or more, not 0")


def test_arguments_and_words_are_inverse() -> None:
    given = {"method": "mae", "folders": (), "size": 7, "fast": False, "views": ("PA",)}
    assert parse(example, as_words(example, {**given})[1:]) == given


def test_a_config_file_gives_options(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.yaml").write_text("batch_size: 4\nset:\n  mask_ratio: 0.5\n")
    words = [
        "pretrain",
        "mae",
        f"--data={data}",
        f"--out={tmp_path / 'run'}",
        "--dry-run",
        f"--config={tmp_path / 'run.yaml'}",
    ]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert '"mask_ratio": 0.5' in said
    assert '"batch_size": 4' in said


def test_every_verb_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {verb} " in said for verb in VERBS)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hilum ")


def test_released_mae_files_load_and_start_a_run(shared: Path, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "mae.pth"
    shutil.copy(shared / "golden/checkpoints/mae_pretrain_full.pth", file)
    vit = '--set.vit={"width": 48, "depth": 3, "heads": 3, "mlp_ratio": 4.0}'
    words = [word for word in TINY if not word.startswith("--set.vit")]
    assert main(["pretrain", "mae", f"--data={data}", f"--out={tmp_path / 'run'}", *words, vit, f"--init={file}"]) == 0
    log = (tmp_path / "run" / "train.log").read_text()
    assert "sha256" in log
    assert "tensors used" in log
