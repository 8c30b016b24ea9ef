"""Where pages are rendered: compiled once, and one page's filters are not another's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest

from hilum.results.page import environment


def test_a_template_is_compiled_once_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "retrieval.html.j2"
    before = environment().get_template(name)
    compiled: list[str] = []
    compile_as_ever = jinja2.Environment.compile

    def counted(self: jinja2.Environment, source: Any, *rest: Any, **named: Any) -> Any:
        compiled.append(source)
        return compile_as_ever(self, source, *rest, **named)

    monkeypatch.setattr(jinja2.Environment, "compile", counted)
    again = environment().get_template(name)
    assert compiled == []
    assert again is not before


def test_own_filters_globals_and_folders_are_nobody_elses(tmp_path: Path) -> None:
    """Also where the first one has the same template compiled already."""
    path = tmp_path / "own.html.j2"
    path.write_text("{{ one | twice }} {{ word }}")

    def render(times: int, word: str) -> str:
        made = environment()
        made.loader = jinja2.FileSystemLoader(tmp_path)
        made.filters.update(twice=lambda value: times * value)
        made.globals.update(word=word)
        return made.get_template("own.html.j2").render(one=1)

    assert render(2, "one") == "2 one"
    assert render(3, "two") == "3 two"
    assert "twice" not in environment().filters
    assert "word" not in environment().globals
    path.write_text("changed {{ word }}")
    assert render(2, "one") == "changed one"
