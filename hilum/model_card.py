"""The model card of an encoder, one text for every format: what it is, what it saw, how good it is, what it is not for.

The head of the file is the YAML that the Hugging Face Hub reads (licence, library, tags); everything below is for
people. Nothing is claimed that was not measured or said: numbers come from judged folders with their intervals, and
what nobody stated is called not stated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hilum.models.backbone import architecture_from_json, in_words
from hilum.schema import Preprocessing
from hilum.transforms.record_words import in_words as pixels_in_words

# Licences the Hub knows by an id of its own (from memory, its list of repository licences); others are "other"
HUB_LICENCES: Final = (
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "agpl-3.0", "lgpl-3.0", "mpl-2.0", "openrail"),
    *("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0"),
)
TAGS: Final = ("chest-x-ray", "radiology", "medical-imaging", "feature-extraction", "hilum")
NOT_STATED: Final = "Not stated."
INTENDED: Final = """\
**Intended use.** Research on chest radiographs: features for classifiers, masks and boxes that are judged on the
user's own patients before anyone relies on them.

**Out of scope.** Not a medical device; not for diagnosis, triage or any decision about a patient. Not for telling who
a person is. Body parts other than the chest, photographs of films, and films rendered by other rules than those below.

**Limitations.** Behaviour on ages, machines, hospitals, countries or views that it did not see is unknown; shortcuts
of its training films (tubes, markers, the ward a film came from) are in its features. Weights can hold traces of the
films they were trained on: whoever shares them answers for that."""


@dataclass(frozen=True)
class Statement:
    """What only a person can say of weights; None is printed as not stated."""

    licence: str | None = None  # an id of the Hub (apache-2.0, cc-by-nc-4.0, ...), or words
    data: str | None = None  # which films, from where, under which terms and approval
    title: str | None = None  # of the page


@dataclass(frozen=True)
class Measured:
    """The numbers of one judged folder."""

    title: str
    how: Mapping[str, str]  # task, data, films, patients, draws, seed, command, ...
    rows: tuple[tuple[str, str, str, str, str], ...]  # of what, metric, value [low, high], items, patients


@dataclass(frozen=True)
class Loading:
    """How a format is read back."""

    library: str = "hilum"  # `library_name` on the Hub
    lines: str = (
        'import hilum\n\nencoder = hilum.load("{here}")\nfeatures = encoder.embed(encoder.transform(film)[None])'
    )
    notes: tuple[str, ...] = ()  # what the format cannot say


def model_card(
    description: Mapping[str, Any],
    parameters: int,
    *,
    statement: Statement | None = None,
    loading: Loading | None = None,
    measured: Sequence[Measured] = (),
    made: Mapping[str, str] | None = None,
) -> str:
    """Markdown for README.md.

    Args:
        description: `Encoder.describe()`.
        parameters: of the image encoder.
        statement: what its owner says of licence and data.
        loading: how this format is read back, and what it cannot say.
        measured: numbers of judged folders.
        made: how the folder was made (command, version), printed at the end.
    """
    said, way = statement or Statement(), loading or Loading()
    pixels = Preprocessing.from_json(description["preprocessing"])
    lines = way.lines.replace("{here}", "FOLDER")
    origin = {key: value for key, value in description["origin"].items() if value not in (None, "", {}, [])}
    parts = [
        _front_matter(said, way),
        f"# {_one_line(said.title) if said.title else 'Chest X-ray encoder'}",
        f"{_network(description)}, {parameters:,} parameters.",
        f"## How to load\n\n```python\n{lines}\n```",
        *(f"- {note}" for note in way.notes),
        "## What it saw",
        _table(origin) or "Its origin is not recorded.",
        *(f"- {note}" for note in origin.get("notes", ()) if isinstance(origin.get("notes"), list | tuple)),
        f"**Data.** {_sentence(said.data)}",
        f"**Licence of the weights.** {_sentence(said.licence)} They follow the terms of the films they were "
        "trained on, and of the weights they started from: check these before sharing.",
        "## How good it is",
        *([_measured(found) for found in measured] or ["No results were given with it."]),
        f"## How a film becomes its input\n\n**Preprocessing.** {pixels_in_words(pixels)}. In full:",
        f"```json\n{json.dumps(description['preprocessing'])}\n```",
        f"One vector a film: `{description.get('pool', 'cls')}` of the tokens after the last block.",
        "## What it is for",
        INTENDED,
        *([f"## How this folder was made\n\n{_table(made)}"] if made else []),
    ]
    return _spaced(parts)


def _front_matter(said: Statement, way: Loading) -> str:
    """The YAML head; JSON strings are YAML strings, so nothing anyone says can break it."""
    known = (said.licence or "").strip().lower() in HUB_LICENCES
    lines = [f"library_name: {way.library}", "pipeline_tag: image-feature-extraction"]
    if said.licence:
        lines.append(f"license: {said.licence.strip().lower() if known else 'other'}")
        lines += [] if known else [f"license_name: {json.dumps(_one_line(said.licence))}"]
    return "\n".join(["---", *lines, "tags:", *(f"- {tag}" for tag in TAGS), "---"])


def _network(description: Mapping[str, Any]) -> str:
    """What the network is, in a few words, from its sizes."""
    sizes = architecture_from_json(description["architecture"], where="architecture")
    grey = "1 channel" if sizes.channels == 1 else f"{sizes.channels} channels"
    reports = ", with a report encoder in the same space" if "towers" in description else ""
    return f"{in_words(sizes)}, {sizes.image_size} px, {grey}{reports}"


def _measured(found: Measured) -> str:
    """One judged folder: what was judged and how, then its numbers."""
    head = "| | | value [interval] | n | patients |\n|---|---|---|---|---|"
    rows = "\n".join("| " + " | ".join(_cell(part) for part in row) + " |" for row in found.rows)
    return f"### {_one_line(found.title)}\n\n{_table(found.how)}\n\n{head}\n{rows}"


def _table(values: Mapping[str, Any]) -> str:
    """Two columns; nested values are left to config.json."""
    plain = [(key, value) for key, value in values.items() if not isinstance(value, dict | list | tuple)]
    rows = "\n".join(f"| {key.replace('_', ' ')} | {_cell(value)} |" for key, value in plain)
    return f"| | |\n|---|---|\n{rows}" if rows else ""


def _sentence(text: str | None) -> str:
    plain = _one_line(text or "").rstrip(".")
    return f"{plain}." if plain else NOT_STATED


def _cell(value: object) -> str:
    return _one_line(str(value)).replace("|", "\\|")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _spaced(parts: Sequence[str]) -> str:
    """Paragraphs apart, items of one list together."""
    text = ""
    for before, part in zip(["", *parts], parts, strict=False):
        together = before.startswith("- ") and part.startswith("- ")
        text += part if not before else ("\n" if together else "\n\n") + part
    return text + "\n"
