"""A planned run is measured by its first steps; what would stop it is a fault now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hilum.checkup import estimate
from hilum.checkup.estimate import Trial
from hilum.cli import main

GIB = 2**30


def checks(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, str]]]:
    status = main(["doctor", "--json", "--command", words])
    return status, {check["name"]: check for check in json.loads(capsys.readouterr().out)}


def test_the_first_steps_are_made_for_real(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hilum.checkup.examine.codecs", lambda: iter(()))
    small = "--model vit_tiny_patch16 --size 32 --set.decoder_depth 1 --set.decoder_width 32 --set.decoder_heads 2"
    words = f"hilum pretrain mae --data '{tiny_data}' --out '{tmp_path / 'run'}' {small} --batch-size 8 --epochs 2"
    status, found = checks(words, capsys)
    assert status == 0, [check for check in found.values() if check["status"] == "FAULT"]
    assert found["pretrain plan"]["detail"].startswith("mae: ")
    assert found["pretrain hours"]["status"] in ("ok", "warning")  # a busy machine waits for films
    assert found["pretrain memory"]["status"] == found["pretrain disk"]["status"] == "ok"
    assert "films/s here" in found["pretrain hours"]["detail"]
    assert not (tmp_path / "run").exists()


def test_what_a_dry_run_refuses_is_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hilum.checkup.examine.codecs", lambda: iter(()))
    status, found = checks(f"pretrain mae --data '{tmp_path}' --out r", capsys)
    assert status == 1
    assert found["pretrain plan"]["status"] == "FAULT"
    assert str(tmp_path) in found["pretrain plan"]["detail"]
    assert main(["doctor", "--command", "adapt classify"]) == 2
    assert "cannot be estimated" in capsys.readouterr().err
    assert main(["doctor", "--command", "pretrain mae --data 'x"]) == 2
    assert "cannot be read (No closing quotation)" in capsys.readouterr().err


def test_a_batch_that_does_not_fit_names_one_that_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "available_memory", lambda: 8 * GIB)
    first, second = Trial(8, 1.0, 0.0, 2 * GIB, GIB), Trial(16, 2.0, 0.0, 3 * GIB, GIB)
    fits = estimate._memory(first, second, 32)
    assert (fits.status, fits.detail[:7]) == ("ok", "5.0 GiB")
    much = estimate._memory(first, second, 256)
    assert much.status == "FAULT"
    assert much.detail.endswith("give --micro-batch 28")  # 56 would fill all there is


def test_hours_are_between_the_line_and_its_last_point() -> None:
    check = estimate._time(3600, 10.0, 20.0, Trial(16, 2.0, 0.0, GIB, GIB), 256)
    assert check.status == "ok"
    assert check.detail.startswith("10 to 20 hours for 3,600 steps, 12.8 to 25.6 films/s")
    hungry = estimate._time(3600, 10.0, 20.0, Trial(16, 2.0, 0.5, GIB, GIB), 256)
    assert hungry.status == "warning"
    assert "--workers" in hungry.detail


def test_disk_for_the_checkpoints_that_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "free_disk", lambda place: 5 * GIB)
    seen = Trial(16, 2.0, 0.0, GIB, 2 * GIB)
    assert estimate._disk(seen, {"out": tmp_path / "new/run", "keep_checkpoints": 2}).status == "FAULT"
    assert estimate._disk(seen, {"out": tmp_path, "keep_checkpoints": 0}).status == "ok"
