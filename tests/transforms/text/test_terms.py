from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest

from hilum.errors import ConfigError
from hilum.transforms.text.terms import Terms


def found(terms: Terms, text: str) -> list[str]:
    words = re.findall(r"[\w-]+|[^\w\s]", text)
    return [word for word, hit in zip(words, terms.find(words), strict=True) if hit]


def test_terms_of_several_words_are_found_whole_and_their_parts_alone_are_not() -> None:
    terms = Terms(["pleural effusion", "heart"])
    assert found(terms, "No pleural effusion, heart normal, pleural line") == ["pleural", "effusion", "heart"]
    assert found(terms, "pleural. Effusion") == []  # a stop ends a phrase


def test_the_longest_term_wins_and_a_shorter_one_stands_in() -> None:
    terms = Terms(["lung", "lung base nodule", "base"])
    assert found(terms, "lung base nodule") == ["lung", "base", "nodule"]
    assert found(terms, "lung base and nodule") == ["lung", "base"]


@pytest.mark.parametrize(
    ("singular", "plural"),
    [
        ("lung", "lungs"),
        ("opacity", "opacities"),
        ("mass", "masses"),
        ("metastasis", "metastases"),
        ("bronchus", "bronchi"),
        ("hilum", "hila"),
        ("pleura", "pleurae"),
        ("pneumothorax", "pneumothoraces"),
        ("apex", "apices"),
        ("rib fracture", "rib fractures"),
        ("phalanx", "phalanges"),
        ("ganglion", "ganglia"),
    ],
)
def test_plurals_both_ways(singular: str, plural: str) -> None:
    assert Terms([singular]).find(plural.split()).all()
    if not plural.endswith("a"):  # "ila" may be anything: a list in the plural is read as it is
        assert Terms([plural]).find(singular.split()).all()


def test_words_that_only_look_like_plurals_stay() -> None:
    terms = Terms(["lung", "pus", "arthritis"])
    assert not terms.find(["lunge", "pu", "arthriti", "long"]).any()


def test_case_hyphens_and_odd_words() -> None:
    terms = Terms(["air-space disease", "X-ray"])
    assert found(terms, "Air space disease, AIR-SPACE disease; x-rays") == [
        "Air",
        "space",
        "disease",
        "AIR-SPACE",
        "disease",
        "x-rays",
    ]
    assert terms.find([]).shape == (0,)
    assert terms.find(["", "___", "🙂"]).tolist() == [False] * 3


def test_released_rule_is_single_words_letter_for_letter() -> None:
    entries = ["Lung", "pleural effusion", "Edema"]
    terms = Terms(entries, rule="released")
    assert found(terms, "lung lungs pleural effusion edema") == ["lung", "edema"]
    assert len(terms) == 2


def test_marks_are_one_per_word() -> None:
    marks = Terms(["heart"]).find(["the", "heart", "is"])
    assert marks.dtype == np.bool_
    assert marks.tolist() == [False, True, False]


def test_lists_are_read_in_three_forms(tmp_path: Path) -> None:
    mesh = tmp_path / "mesh.txt"
    mesh.write_text("# a comment\nCarcinoma, Bronchogenic\nLung\n\nPleura,\n")
    terms = Terms.read(mesh)
    assert found(terms, "Bronchogenic carcinomas of the lungs, carcinoma") == ["Bronchogenic", "carcinomas", "lungs"]
    assert found(Terms.read(mesh, rule="released"), "bronchogenic carcinoma lungs pleura") == [
        *("bronchogenic", "carcinoma", "pleura")
    ]
    table = tmp_path / "terms.csv"
    table.write_text('count,Term\n3,lung base\n2,"effusion"\n1\n')
    assert found(Terms.read(table), "lung bases with effusion, 3") == ["lung", "bases", "effusion"]


def test_unreadable_and_empty_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Terms.read(tmp_path / "absent.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        Terms.read(tmp_path / "binary")
    for text in ("", "# only a comment\n", ", ,\n"):
        (tmp_path / "empty.txt").write_text(text)
        with pytest.raises(ConfigError, match="no usable term"):
            Terms.read(tmp_path / "empty.txt")


def test_our_own_list() -> None:
    terms = Terms.english()
    assert terms is Terms.english()
    assert len(terms) > 600
    report = "The lungs are clear. No consolidation, atelectasis, opacities or rib fractures; silhouette unremarkable."
    hits = "lungs consolidation atelectasis opacities rib fractures silhouette"
    assert " ".join(found(terms, report)) == hits


def test_our_own_list_is_tidy() -> None:
    """Lower case, each term once, singular: no entry is the plural of another."""
    from hilum.transforms.text import terms as module

    lines = (Path(module.__file__).with_name("terms_en.txt")).read_text(encoding="utf-8").splitlines()
    entries = [line for line in lines if line and not line.startswith("#")]
    assert len(entries) == len(set(entries)) == len(Terms.english())
    assert all(re.fullmatch(r"[a-z]+( [a-z]+)*", entry) for entry in entries)


def test_a_report_takes_less_than_a_tenth_of_a_millisecond() -> None:
    words = (
        "the heart and mediastinal contours are normal no focal consolidation pleural effusion or pneumothorax " * 4
    ).split()
    terms = Terms.english()
    times = []
    for _ in range(50):
        start = time.perf_counter()
        terms.find(words)
        times.append(time.perf_counter() - start)
    assert min(times) < 1e-4


def test_the_users_mesh_list(shared: Path) -> None:
    file = shared / "data/text/mesh_terms.csv"
    text = "the lungs are clear no pleural effusion or pneumothorax"
    assert found(Terms.read(file, rule="released"), text) == ["pneumothorax"]
    assert found(Terms.read(file), text) == ["lungs", "pleural", "effusion", "pneumothorax"]
