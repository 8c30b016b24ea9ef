"""Codecs are judged by what they do."""

from __future__ import annotations

import pytest

from hilum.checkup import codecs


def test_a_decoder_that_returns_wrong_pixels_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    film = codecs._film()
    monkeypatch.setattr(codecs, "_film", lambda: film)
    samples, _ = codecs._samples()
    monkeypatch.setattr(codecs, "_samples", lambda: ({"PNG": samples["PNG"]}, {}))
    assert [check.status for check in codecs.codecs()] == ["ok"]
    calls = iter([film, 255 - film])  # written as it is, compared with its negative
    monkeypatch.setattr(codecs, "_film", lambda: next(calls))
    (check,) = codecs.codecs()
    assert check.status == "FAULT"
    assert "decodes wrongly" in check.detail
