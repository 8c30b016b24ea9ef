"""What is said of a released encoder: which layout, what was used and what not and why, which pixels were bound."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from typing import Any

from hilum.checkpoint import file_digest
from hilum.encoder import Encoder
from hilum.lookup import lookup
from hilum.models.vit import ViTConfig
from hilum.released.found import Found
from hilum.released.hub import name_of
from hilum.released.layouts import LAYOUTS, Layout
from hilum.released.numbers_only import NUMBERS_ONLY
from hilum.released.source import Source
from hilum.transforms.record_words import in_words


def account(encoder: Encoder) -> dict[str, Any]:
    """An encoder in a few facts: layout, notes on its tensors, pixels, positions, the vector its authors use."""
    origin, sizes = encoder.origin, encoder.model.config
    enlarged = getattr(sizes, "enlarged", None)
    positions = f"none: films are brought to {enlarged} px first" if enlarged else "none: its maps grow with the film"
    if isinstance(sizes, ViTConfig):
        table = {"none": "", "learned": "a learned table", "sincos": "a fixed sine-cosine table"}[sizes.position]
        resized = table and f"{table}, resized by the rule {sizes.position_resize}"
        turned = sizes.rotary and f"rotary ({sizes.rotary})"
        positions = ", ".join(part for part in (resized, turned) if part) or "none"
    return {
        "file": origin.get("file", ""),
        "sha256": origin.get("sha256", ""),
        "layout": origin.get("layout", "hilum"),
        "notes": list(origin.get("notes", [])),
        "pixels": in_words(encoder.preprocessing),
        "positions": positions,
        "vector": encoder.pool,
        "parameters": sum(weight.numel() for weight in encoder.model.parameters()),
        "text": None if encoder.towers is None else f"yes, {encoder.towers.config.dim} features shared with films",
    }


def say(facts: Mapping[str, Any], *, json: bool) -> str:
    """The facts for the shell."""
    if json:
        return json_format.dumps(facts, indent=2) + "\n"
    rows = [("layout", facts["layout"]), *map(_labelled, facts["notes"])]
    rows += [("parameters", f"{facts['parameters']:,}"), ("pixels", facts["pixels"])]
    rows += [("positions", facts["positions"]), ("vector", facts["vector"])]
    rows += [("text", facts["text"] or "none")]
    return "".join(f"{name:<12} {value}\n" for name, value in rows)


def _labelled(note: str) -> tuple[str, str]:
    for label in ("encoder: ", "text: ", "dropped "):
        if note.startswith(label):
            return label.strip(": "), note.removeprefix(label)
    return "note", note


def table(*, json: bool) -> str:
    """Every layout that is read, and the methods of which only numbers are public."""
    titles = {}
    for name in LAYOUTS:
        layout: Layout = lookup(LAYOUTS, name, kind="layout")
        titles[name] = layout.title
    if json:
        return json_format.dumps({"layouts": titles, "numbers only": NUMBERS_ONLY}, indent=2) + "\n"
    width = max(map(len, (*titles, *NUMBERS_ONLY)))
    read = "".join(f"  {name:<{width}}  {title}\n" for name, title in titles.items())
    absent = "".join(f"  {name:<{width}}  {why}\n" for name, why in NUMBERS_ONLY.items())
    return f"read, in the order of asking:\n{read}\npublished number only:\n{absent}"


def origin_of(source: Source, name: str, found: Found, *, read: bool) -> dict[str, Any]:
    """Where the encoder comes from, what was used of it, and what was not and why."""
    sizes = found.architecture
    waiting = 0 if found.joint is None or read else len(found.joint.weights)
    used = len(source.tensors) - len(found.dropped) - waiting
    notes = [
        f"encoder: {sizes.depth} blocks of width {sizes.width}, {sizes.image_size} px, {sizes.channels} channels; "
        f"{used} of {len(source.tensors)} tensors used"
    ]
    if found.joint is not None:
        text = f"text: {len(found.joint.weights)} tensors, a vocabulary of {found.joint.vocabulary:,}"
        notes.append(text if read else f"{text}, left behind: give its tokenizer to compare films with text")
    digests = [file_digest(file) for file in source.weights]
    return {
        "file": name_of(source.path) or source.path.name,
        "sha256": digests[0] if len(digests) == 1 else digests,
        "layout": name,
        "notes": [*notes, *found.notes, *(f"dropped {line}" for line in _grouped(found.dropped))],
    }


def _grouped(dropped: tuple[tuple[str, str], ...], most: int = 3) -> list[str]:
    """One line a reason: the first few names, how many more, and why."""
    by_reason: dict[str, list[str]] = {}
    for key, why in dropped:
        by_reason.setdefault(why, []).append(key)
    lines = []
    for why, keys in by_reason.items():
        more = f" and {len(keys) - most} more" if len(keys) > most else ""
        lines.append(f"{', '.join(keys[:most])}{more}: {why}")
    return lines
