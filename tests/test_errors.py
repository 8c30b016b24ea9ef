"""A message is one printable line, whatever a file names itself, and keeps its beginning and its end."""

from __future__ import annotations

from hilum.errors import UserError


def test_what_a_stranger_named_neither_drives_a_terminal_nor_fills_it() -> None:
    error = UserError("has \x1b[2J a tensor\nnamed " + "x" * 1_000_000 + " at the end", where="f.pth", fix="Look")
    said = str(error)
    assert len(said) < 4_000
    assert said.isprintable()
    assert said.startswith("f.pth: has ?[2J a tensor named xxx")
    assert said.endswith("at the end. Look.")
