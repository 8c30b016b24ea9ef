"""`hilum doctor`: sound machines pass, faults are named and change the exit code."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from hilum import checkup
from hilum.cli import main
from tests.conftest import write_films


def by_name(data: Path | None = None) -> dict[str, checkup.Check]:
    return {check.name: check for check in checkup.examine(data)}


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
    monkeypatch.setattr(checkup, "_codecs", lambda: iter(()))
    write_films(tmp_path / "d", films=10)
    (tmp_path / "d/images/film0000.png").write_bytes(b"rubbish")
    assert main(["doctor", "--data", str(tmp_path / "d")]) == 1
    assert "FAULT    data" in capsys.readouterr().out
    (tmp_path / "d/images/film0003.png").unlink()
    assert "1 of 10 image files are missing" in by_name(tmp_path / "d")["data"].detail
    assert by_name(tmp_path / "none")["data"].status == "FAULT"


def test_packages_that_are_absent_or_old(monkeypatch: pytest.MonkeyPatch) -> None:
    real = checkup.version

    def fake(name: str) -> str:
        if name == "simplejpeg":
            raise PackageNotFoundError(name)
        return "2.4.1+cpu" if name == "torch" else real(name)

    monkeypatch.setattr(checkup, "version", fake)
    found = {check.name: check for check in checkup._packages()}
    assert found["simplejpeg"].status == found["torch"].status == "FAULT"
    assert "pip install 'torch>=2.10'" in found["torch"].detail
    assert found["pydicom"].status == "ok"


def test_a_decoder_that_returns_wrong_pixels_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    film = checkup._film()
    monkeypatch.setattr(checkup, "_film", lambda: film)
    samples, _ = checkup._samples()
    monkeypatch.setattr(checkup, "_samples", lambda: ({"PNG": samples["PNG"]}, {}))
    assert [check.status for check in checkup._codecs()] == ["ok"]
    calls = iter([film, 255 - film])  # written as it is, compared with its negative
    monkeypatch.setattr(checkup, "_film", lambda: next(calls))
    (check,) = checkup._codecs()
    assert check.status == "FAULT"
    assert "decodes wrongly" in check.detail


@pytest.mark.parametrize(("free", "status"), [(2**28, "FAULT"), (2 * 2**30, "warning"), (2**40, "ok")])
def test_disk(free: int, status: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checkup.shutil, "disk_usage", lambda path: type("Usage", (), {"free": free})())
    assert checkup._disk(tmp_path).status == status
