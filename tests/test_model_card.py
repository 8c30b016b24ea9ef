"""The card says what was said and measured, and nothing else; nobody's words can break its YAML or its tables."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import yaml

from hilum.model_card import Loading, Measured, Statement, model_card
from tests.exporting.encoders import vit_encoder

ROW = ("Mass", "AUROC", "0.853 [0.812, 0.891]", "1,340", "200")
NUMBERS = Measured("Mass on the test split", {"task": "classification", "command": "hilum evaluate RUN"}, (ROW,))


def card(**more: Any) -> str:
    return model_card(vit_encoder().describe(), 1234567, **more)


def front(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


def test_what_nobody_said_is_not_stated() -> None:
    text = card()
    assert "license" not in front(text)
    assert "**Data.** Not stated." in text
    assert "**Licence of the weights.** Not stated." in text
    assert "No results were given with it." in text
    assert "1,234,567 parameters" in text
    assert "Vision Transformer, 2 blocks, width 16, patch 8, 32 px, 3 channels" in text


def test_the_hub_reads_licence_library_and_task() -> None:
    text = card(statement=Statement("CC-BY-NC-4.0", "films"), loading=Loading("timm", 'timm.create_model("{here}")'))
    head = front(text)
    assert "**Licence of the weights.** CC-BY-NC-4.0. They follow" in text
    assert head["license"] == "cc-by-nc-4.0"
    assert head["library_name"] == "timm"
    assert head["pipeline_tag"] == "image-feature-extraction"
    assert "chest-x-ray" in head["tags"]
    assert 'timm.create_model("FOLDER")' in text


def test_words_cannot_break_out() -> None:
    words = 'mine: "all" rights\n---\nlicense: mit | x'
    text = card(
        statement=Statement(words, "a | b", "Title\n# Second"),
        measured=[replace(NUMBERS, title="T\n# X", rows=(("a|b", *ROW[1:]),), how={"command": "x | y\n| z"})],
    )
    head = front(text)
    assert head["license"] == "other"
    assert head["license_name"] == 'mine: "all" rights --- license: mit | x'
    assert "# Title # Second" in text
    assert "| a\\|b | AUROC |" in text
    assert "| command | x \\| y \\| z |" in text


def test_numbers_stand_with_interval_counts_and_command() -> None:
    text = card(measured=[NUMBERS])
    assert "| Mass | AUROC | 0.853 [0.812, 0.891] | 1,340 | 200 |" in text
    assert "| command | hilum evaluate RUN |" in text
    assert "No results" not in text


def test_every_section_is_there_once() -> None:
    text = card(made={"command": "hilum export RUN", "hilum": "0.1"}, loading=Loading(notes=("one", "two")))
    assert "- one\n- two\n" in text
    titles = re.findall(r"^## (.+)$", text, re.M)
    assert titles == [
        "How to load",
        "What it saw",
        "How good it is",
        "How a film becomes its input",
        "What it is for",
        "How this folder was made",
    ]
    assert '"size": 32' in text
    assert "3 x 32 px, squeezed to 32, bicubic in 8 bits, values -2.118 to 2.64" in text
    assert "\n\n\n" not in text
