"""`hilum doctor`: sound machines pass, faults are named and change the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from hilum.checkup import examine as everything
from hilum.checkup.check import Check
from hilum.cli import main
from tests.conftest import write_films


def by_name(data: Path | None = None) -> dict[str, Check]:
    return {check.name: check for check in everything.examine(data)}


def test_this_machine_and_a_sound_folder(tiny_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--data", str(tiny_data), "--json"]) == 0
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    for codec in (
        "PNG",
        "JPEG",
        *(f"DICOM {name}" for name in ("uncompressed", "deflated", "RLE", "JPEG baseline", "JPEG-LS", "JPEG 2000")),
    ):
        assert checks[f"codec {codec}"]["detail"] == "decodes", codec
    assert checks["data films"]["status"] == "ok"
    assert checks["torch"]["status"] == "ok"


def test_a_folder_that_would_fail_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everything, "codecs", lambda: iter(()))
    write_films(tmp_path / "d", films=10)
    (tmp_path / "d/images/film0000.png").write_bytes(b"rubbish")
    assert main(["doctor", "--data", str(tmp_path / "d")]) == 1
    assert "FAULT    data" in capsys.readouterr().out
    (tmp_path / "d/images/film0003.png").unlink()
    assert "1 of 10 image files are missing" in by_name(tmp_path / "d")["data"].detail
    assert by_name(tmp_path / "none")["data"].status == "FAULT"


def test_leaks_and_thin_labels_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(everything, "codecs", lambda: iter(()))
    write_films(tmp_path / "d", films=10)
    table = pd.read_csv(tmp_path / "d/manifest.csv", dtype=str, keep_default_na=False)
    table["sha256"] = [f"{number:064x}" for number in range(len(table))]
    table.to_csv(tmp_path / "d/manifest.csv", index=False)
    found = by_name(tmp_path / "d")
    assert found["data twins"].status == "ok"
    assert found["data labels"].status == "warning"
    assert "0 of 2 findings on 20 test films or more" in found["data labels"].detail
    first, last = table.index[table["split"] == "train"][0], table.index[table["split"] == "test"][0]
    table.loc[last, "sha256"] = table.loc[first, "sha256"]
    table.to_csv(tmp_path / "d/manifest.csv", index=False)
    assert by_name(tmp_path / "d")["data twins"].status == "FAULT"
