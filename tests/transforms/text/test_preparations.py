from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.transforms.text.preparations import PREPARATIONS, prepare_maco, prepare_medim, prepare_tidy, tidy_sentences

REPORT = "1. The lungs are clear. None. A 0.5 cm nodule.\n2. Heart is normal. Café. Dr. ___ was notified."


@pytest.mark.parametrize("name", PREPARATIONS)
@given(text=st.text(max_size=200))
def test_without_a_generator_nothing_varies_and_nothing_breaks(name: str, text: str) -> None:
    prepare = PREPARATIONS[name]
    assert prepare(text, None) == prepare(text, None)
    assert isinstance(prepare(text, np.random.default_rng(0)), str)


@pytest.mark.parametrize("name", PREPARATIONS)
def test_draws_come_from_the_generator_alone(name: str) -> None:
    prepare = PREPARATIONS[name]
    assert prepare(REPORT, np.random.default_rng(3)) == prepare(REPORT, np.random.default_rng(3))


def test_mrm_takes_the_report_as_it_is() -> None:
    assert PREPARATIONS["mrm"](REPORT, np.random.default_rng(0)) == REPORT


def test_maco_without_a_generator_keeps_all_in_order() -> None:
    assert prepare_maco("The Lungs. none. .A 0.5 cm Nodule") == "the lungs. a 0. 5 cm nodule."


def test_maco_keeps_one_to_all_pieces_in_every_order() -> None:
    text = "A. B. None. C."
    seen = Counter(prepare_maco(text, np.random.default_rng(seed)) for seed in range(4000))
    kept = {frozenset(said.replace(".", "").split()): 0 for said in seen}
    assert all(part < {"a", "b", "c", "d"} for part in kept)
    assert seen.keys() >= {"a.", "b.", "c.", "a. b.", "b. a.", "c. b. a.", "a. b. c."}
    # 5 pieces with the last one empty: 1 to 5 kept, each as likely; all three words survive 4, 5 kept and some of 3
    whole = sum(count for said, count in seen.items() if len(said.split()) == 3) / 4000
    assert whole == pytest.approx((1 + 2 / 5 + 1 / 10) / 5, abs=0.03)
    lone = sum(count for said, count in seen.items() if said == "a.") / 4000
    # one kept: "A" itself, or "None" or the empty piece whose stand-in it is; two kept: "A" or nothing with those
    assert lone == pytest.approx((3 / 5 + (2 + 1) / 10 + 1 / 10) / 5, abs=0.03)


def test_maco_of_texts_that_say_nothing() -> None:
    assert prepare_maco("", np.random.default_rng(0)) == ""
    assert prepare_maco("...") == ""
    assert prepare_maco("None.") == "none."  # the first piece stands in


def test_medim_words_and_their_sentences() -> None:
    words, sentence = prepare_medim(REPORT)
    assert " ".join(words) == "the lungs are clear 5 cm nodule heart is normal ___ was notified"  # "A 0" is torn off
    assert sentence == [0] * 4 + [1] * 3 + [2] * 3 + [3] * 3
    assert PREPARATIONS["medim"](REPORT, None) == " ".join(words)


def test_medim_drops_short_sentences_short_reports_and_foreign_letters() -> None:
    assert prepare_medim("Clear. No. Two words") == ([], [])
    assert prepare_medim("Clear. Two words here") == (["two", "words", "here"], [0, 0, 0])
    assert prepare_medim("肺 lungs é clear café yes") == (["lungs", "clear", "caf", "yes"], [0] * 4)


def test_tidy_keeps_decimals_and_drops_what_is_not_of_the_film() -> None:
    words, sentence = prepare_tidy(REPORT)
    assert " ".join(words) == "the lungs are clear a 0 5 cm nodule heart is normal café"
    assert sentence == [0] * 4 + [1] * 5 + [2] * 3 + [3]
    assert tidy_sentences(REPORT) == ["The lungs are clear.", "A 0.5 cm nodule.", "Heart is normal.", "Café."]
    assert PREPARATIONS["tidy"]("Clear lungs\n\nNone", None) == "Clear lungs."
    assert prepare_tidy("XXXX") == ([], [])


def test_tidy_shuffles_sentences_with_a_generator() -> None:
    texts = {PREPARATIONS["tidy"]("One. Two. Three.", np.random.default_rng(seed)) for seed in range(100)}
    assert len(texts) == 6
    assert {frozenset(text.split()) for text in texts} == {frozenset({"One.", "Two.", "Three."})}


@given(st.text(max_size=200))
def test_sentence_numbers_fit_the_words(text: str) -> None:
    for words, sentence in (prepare_medim(text), prepare_tidy(text)):
        assert len(words) == len(sentence)
        assert sorted(set(sentence)) == list(range(len(set(sentence))))
        assert sentence == sorted(sentence)
        assert all(words)


def test_gloria_reads_words_of_sentences() -> None:
    assert PREPARATIONS["gloria"]("1. Lungs, clear. Stable.\n2. Café au lait 0.5 cm", None) == (
        "lungs clear caf au lait 5 cm"
    )
    assert PREPARATIONS["gloria"]("Pneumonia.", None) == "pneumonia"  # one word is better than none
    assert PREPARATIONS["gloria"]("...", None) == ""


def test_cxr_bert_drops_the_marks_at_the_end() -> None:
    assert PREPARATIONS["cxr-bert"]("No effusion. Is it?!.", None) == "No effusion. Is it"


@pytest.mark.parametrize("name", ["clip", "biomedclip"])
def test_clip_resolves_entities_and_joins_spaces(name: str) -> None:
    assert PREPARATIONS[name](" A &amp;lt; B\n\tC ", None) == "A < B C"
