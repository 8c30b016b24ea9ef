"""CLIP's byte pairs: against transformers' own tokenizer, in all three forms; and files that are something else."""

from __future__ import annotations

import gzip
import html
import json
import pickle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.errors import CheckpointError
from hilum.transforms.text.byte_pairs import END, MERGES_GZ, START, BytePairs
from tests.byte_pairs import MERGES, byte_pairs_of, write_merges, write_pair

TEXTS = (
    "No effusion. The lungs are CLEAR",
    "There is a 2.5cm nodule; it's in the left upper-lobe (stable)!!",
    "  tabs\tand\nnewlines   and  spaces ",
    "größer, naïve café — 肺部清晰 😀",
    "",
    "they'll we've I'm don't '' 's",
    "word " * 60,
)


@pytest.fixture
def words(tmp_path: Path) -> BytePairs:
    return byte_pairs_of(tmp_path)


@pytest.mark.parametrize("length", [12, 77])
def test_it_is_transformers_tokenizer(words: BytePairs, tmp_path: Path, length: int) -> None:
    from transformers import CLIPTokenizer

    theirs = CLIPTokenizer.from_pretrained(write_pair(tmp_path, words))
    for text in TEXTS:
        wanted = theirs(text, truncation=True, max_length=length)["input_ids"]
        got = words.encode(text, length)
        assert got.ids[: len(wanted)].tolist() == wanted, text
        assert got.mask.sum() == len(wanted)
        assert not got.ids[len(wanted) :].any()


def test_all_three_forms_say_the_same(words: BytePairs, tmp_path: Path) -> None:
    pair, saved = tmp_path / "pair", tmp_path / "saved"
    for folder in (pair, saved):
        folder.mkdir()
    words.save(saved / "tokenizer.json")
    write_pair(pair, words)
    again = [BytePairs.read(pair), BytePairs.read(pair / "merges.txt"), BytePairs.read(saved)]
    again += [BytePairs.from_json(words.to_json()), pickle.loads(pickle.dumps(words))]
    for other in again:
        assert other == words
        assert other.digest == words.digest
        assert hash(other) == hash(words)
        assert other.encode(TEXTS[0], 20).ids.tolist() == words.encode(TEXTS[0], 20).ids.tolist()


def test_a_tokenizer_json_of_transformers_is_read(words: BytePairs, tmp_path: Path) -> None:
    from transformers import CLIPTokenizer

    CLIPTokenizer.from_pretrained(write_pair(tmp_path, words)).save_pretrained(tmp_path / "theirs")
    assert BytePairs.read(tmp_path / "theirs" / "tokenizer.json") == words


def test_openais_list_numbers_bytes_then_word_ends_then_merges(words: BytePairs) -> None:
    assert len(words) == 256 + 256 + len(MERGES) + 2
    assert words.pieces([0, 1, 256, 512, len(words) - 2, len(words) - 1]) == ["!", '"', "!</w>", "lu", START, END]
    assert words.pieces([188, 255]) == ["Ā", "Ń"]  # byte 0, and the soft hyphen, which has no sign of its own


def test_the_end_token_stays_and_has_the_largest_number(words: BytePairs) -> None:
    for length in (2, 3, 8, 100):
        read = words.encode("no effusion in the lung " * 9, length)
        assert read.ids[0] == words.start_id
        assert read.ids.argmax() == read.mask.sum() - 1
        assert read.ids.max() == words.end_id == len(words) - 1
    assert words.decode(words.encode("No Effusion in the größer lung", 90).ids) == "no effusion in the größer lung"


def test_words_are_numbered(words: BytePairs) -> None:
    read = words.encode("no effusion ab", 9)
    assert words.pieces(read.ids) == [START, "no</w>", "effusion</w>", "a", "b</w>", END, "!", "!", "!"]
    assert read.words.tolist() == [-1, 0, 1, 2, 2, -1, -1, -1, -1]
    assert words.encode(["no", "2cm"], 9).words.tolist() == [-1, 0, 1, 1, 1, -1, -1, -1, -1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(text=st.text(max_size=60), length=st.integers(2, 40))
def test_any_text_ends_at_its_end_token(words: BytePairs, text: str, length: int) -> None:
    read = words.encode(text, length)
    assert read.ids.shape == read.mask.shape == read.words.shape == (length,)
    assert read.ids.argmax() == read.mask.sum() - 1
    assert (read.ids == words.end_id).sum() == 1
    assert not read.ids[read.mask == 0].any()


def test_no_text_is_special(words: BytePairs) -> None:
    read = words.encode(f"no {END} effusion", 40)
    assert (read.ids == words.end_id).sum() == 1
    assert read.mask.sum() > 6


def test_other_files_are_called_what_they_are(words: BytePairs, tmp_path: Path) -> None:
    content = json.loads(words.to_json())
    gpt2 = {**content, "model": {**content["model"], "end_of_word_suffix": None}}
    cased = {**content, "normalizer": None}
    lacking = {**content, "model": {**content["model"], "vocab": {"a": 0}, "merges": []}}
    moved = dict(content["model"]["vocab"])
    moved[START], moved[END] = moved[END], moved[START]
    cases = {
        "gpt2.json": (json.dumps(gpt2), "words do not end in </w>"),
        "cased.json": (json.dumps(cased), "keeps capitals"),
        "lacking.json": (json.dumps(lacking), "has no entry <|startoftext|>"),
        "moved.json": (json.dumps({**content, "model": {**content["model"], "vocab": moved}}), "not the last entry"),
        "merges.json": (json.dumps({**content, "model": {**content["model"], "merges": ["a b c"]}}), "are not pairs"),
        "page.json": ("<html>", "is no tokenizer file"),
        "page.txt": ("<html> not found here", "is no list of merges"),
        "empty.txt": ("#version", "empty list"),
        "broken.gz": ("no gzip", "cannot be read"),
    }
    for name, (text, message) in cases.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(CheckpointError, match=message):
            BytePairs.read(tmp_path / name)
    with pytest.raises(CheckpointError, match="merges do not lead"):
        BytePairs.read(write_merges_of_nothing(tmp_path))
    with pytest.raises(CheckpointError, match="cannot be read"):
        BytePairs.read(tmp_path / "absent.json")
    (tmp_path / "none").mkdir()
    with pytest.raises(CheckpointError, match="neither tokenizer"):
        BytePairs.read(tmp_path / "none")


def write_merges_of_nothing(folder: Path) -> Path:
    """vocab.json whose merges name entries that it does not have."""
    inside = folder / "odd"
    inside.mkdir()
    words = BytePairs.read(write_merges(inside))
    (inside / MERGES_GZ).unlink()
    return write_pair(inside, words, (*MERGES, "q q")) / "vocab.json"


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bomb.txt.gz"
    with gzip.open(file, "wb", compresslevel=1) as stream:
        for _ in range(70):
            stream.write(bytes(1 << 20))
    with pytest.raises(CheckpointError, match="more than 64 MiB"):
        BytePairs.read(file)


def test_entities_are_a_matter_of_preparation(words: BytePairs) -> None:
    from hilum.transforms.text import PREPARATIONS

    raw = "size &lt; 2&amp;nbsp;cm"
    assert PREPARATIONS["clip"](raw, None) == "size < 2 cm"
    assert words.encode(html.unescape(raw), 40).mask.sum() < words.encode(raw, 40).mask.sum()
