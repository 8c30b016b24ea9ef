"""Sentences that stand on every page of results where they apply."""

from __future__ import annotations

from typing import Final

FEWEST_DRAWS: Final = 100  # an end of a 95 % interval then rests on the two or three outermost draws


def draws_note(draws: int) -> list[str]:
    """A warning where the intervals rest on too few draws; empty otherwise."""
    if draws >= FEWEST_DRAWS:
        return []
    return [f"ONLY {draws} BOOTSTRAP DRAWS: the intervals are rough; use {FEWEST_DRAWS} at least, 1,000 as a rule."]


def permutations_note(permutations: int) -> list[str]:
    """A warning where the tests rest on too few permutations; empty otherwise."""
    if permutations >= FEWEST_DRAWS:
        return []
    least = 1 / (1 + permutations)
    return [f"ONLY {permutations} PERMUTATIONS: no p can be below {least:.2g}; use {FEWEST_DRAWS} at least."]
