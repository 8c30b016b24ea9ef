"""The machine: packages that are absent or old, and what is free."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from hilum.checkup import machine


def test_packages_that_are_absent_or_old(monkeypatch: pytest.MonkeyPatch) -> None:
    real = machine.version

    def fake(name: str) -> str:
        if name == "simplejpeg":
            raise PackageNotFoundError(name)
        return "2.4.1+cpu" if name == "torch" else real(name)

    monkeypatch.setattr(machine, "version", fake)
    found = {check.name: check for check in machine.packages()}
    assert found["simplejpeg"].status == found["torch"].status == "FAULT"
    assert "pip install 'torch>=2.10'" in found["torch"].detail
    assert found["pydicom"].status == "ok"


@pytest.mark.parametrize(("free", "status"), [(2**28, "FAULT"), (2 * 2**30, "warning"), (2**40, "ok")])
def test_disk(free: int, status: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: type("Usage", (), {"free": free})())
    assert machine.disk(tmp_path).status == status
