"""Fewer than a hundred draws are said."""

from hilum.results.notes import draws_note


def test_few_draws_are_said() -> None:
    assert draws_note(100) == []
    assert draws_note(99)[0].startswith("ONLY 99 BOOTSTRAP DRAWS")
