"""Prompts files: the shipped one covers the findings of public sets, and a broken one says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.datasets.phantom.findings import PHANTOM_FINDINGS
from hilum.datasets.phantom.reports import TERMS
from hilum.errors import ConfigError
from hilum.heads.prompt_file import read_prompts, shipped_prompts
from hilum.schema import FINDINGS

GOOD = "Effusion:\n  positive: [There is fluid.]\n  negative: The angles are clear.\n  terms: [fluid, pleural fluid]\n"


@pytest.mark.parametrize("name", shipped_prompts())
def test_shipped_files_cover_public_findings_without_contradiction(name: str) -> None:
    prompts = read_prompts(name)
    assert set(FINDINGS) | set(PHANTOM_FINDINGS) <= set(prompts.findings)
    for finding, entry in prompts.findings.items():
        assert not set(entry.positive) & set(entry.negative), finding
        assert entry.terms, finding
        for sentence in [*entry.positive, *entry.negative]:
            assert sentence.endswith(".") == (name != "chexzero"), sentence


def test_chexzero_names_the_finding_and_denies_it_with_no() -> None:
    for entry in read_prompts("chexzero").findings.values():
        assert len(entry.positive) == 1
        assert entry.negative == (f"no {entry.positive[0]}",)


def test_every_wording_of_the_phantom_is_named_by_a_term() -> None:
    prompts = read_prompts("findings")
    for finding, wordings in TERMS.items():
        for wording in wordings:
            assert any(term in wording for term in prompts[finding].terms), wording


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(GOOD)
    prompts = read_prompts(str(path))
    assert prompts["Effusion"].negative == ("The angles are clear.",)
    assert prompts["Effusion"].terms == ("pleural fluid", "fluid")  # the longest is looked for first
    assert "Mass" not in prompts
    path.write_text(GOOD + "# another comment\n")
    assert read_prompts(str(path)).digest != prompts.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no finding"),
        ("- Effusion", "is not a table of findings"),
        ("Effusion: [a", "cannot be read as YAML"),
        ("Effusion: There is fluid.", "Effusion: is not a table"),
        ("Effusion:\n  positive: [a]\n  negatives: [b]", "unknown key 'negatives'.*Did you mean 'negative'"),
        ("Effusion:\n  positive: [a]", "Effusion.negative: has no sentence"),
        ("Effusion:\n  positive: []\n  negative: [b]", "Effusion.positive: has no sentence"),
        ("Effusion:\n  positive: ['  ']\n  negative: [b]", "Effusion.positive: holds an empty text"),
        ("Effusion:\n  positive: [no]\n  negative: [b]", "Effusion.positive: is not a list of texts"),
    ],
)
def test_a_broken_file_is_one_clear_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_prompts(str(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such prompts file"):
        read_prompts(str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match=r"unknown prompts file 'finding'.*Did you mean 'findings'"):
        read_prompts("finding")
    (tmp_path / "latin.yaml").write_bytes(b"Effusion: \xff")
    with pytest.raises(ConfigError, match="cannot be read as YAML"):
        read_prompts(str(tmp_path / "latin.yaml"))
