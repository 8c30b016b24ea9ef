"""What `hilum convert` says: which layout, what was used and what not and why, and which pixels were bound."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from typing import Any

from hilum.encoder import Encoder
from hilum.lookup import lookup
from hilum.models.vit import ViTConfig
from hilum.released.layouts import LAYOUTS, Layout
from hilum.released.numbers_only import NUMBERS_ONLY
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
