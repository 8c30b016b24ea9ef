from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import CheckpointError, ConfigError, ManifestError
from hilum.transforms.text.wordpiece import TokenIds, WordPiece

PARTS = ("The heart is normal.", "No pleural effusion or pneumothorax.", "Lungs are clear bilaterally.", "12 mm nodule")
TEXTS = [" ".join(PARTS[(i + k) % 4] for k in range(1 + i % 3)) + f" Opacity {i % 7}." for i in range(60)]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "lung", "##s", "are", "clear", "pneumo", "##thorax", "."]


@pytest.fixture(scope="module")
def trained() -> WordPiece:
    return WordPiece.train(TEXTS, vocab_size=300)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    (tmp_path / "config.json").write_text('{"vocab_size": 12}')
    return tmp_path


def test_two_processes_and_any_order_of_texts_give_one_vocabulary(trained: WordPiece) -> None:
    code = (
        "import sys, json; from hilum.transforms.text.wordpiece import WordPiece\n"
        "print(WordPiece.train(json.load(sys.stdin), vocab_size=300).digest)"
    )
    for seed in ("1", "2", "3"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(TEXTS[::-1] if seed == "3" else TEXTS),
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).resolve().parents[3],
        )
        assert done.stdout.strip() == trained.digest


def test_mrm_style_has_its_specials_first_and_no_sep(trained: WordPiece) -> None:
    assert trained.pieces(range(4)) == ["[PAD]", "[UNK]", "[CLS]", "[MASK]"]
    assert (trained.pad_id, trained.unk_id, trained.cls_id, trained.mask_id) == (0, 1, 2, 3)
    assert trained.sep_id is None
    assert len(trained) <= 300
    assert "effusion" in trained.pieces(range(len(trained)))


def test_bert_style_has_sep_and_ends_with_it() -> None:
    tokenizer = WordPiece.train(TEXTS, vocab_size=300, style="bert")
    assert tokenizer.pieces(range(5)) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    ids = tokenizer.encode(" ".join(TEXTS), 12).ids
    assert tokenizer.pieces(ids)[0] == "[CLS]"
    assert ids[-1] == tokenizer.sep_id


def test_words_are_runs_of_letters_digits_and_signs_without_case_and_accents(trained: WordPiece) -> None:
    coded = trained.encode("LÚNGS clear: 12mm", 20)
    kept = coded.words >= 0
    assert trained.decode(coded.ids) == "lungs clear [UNK] 12 mm"  # no text had a colon
    assert coded.words[kept].max() == 4
    assert (np.diff(coded.words[kept]) >= 0).all()


def test_seeds_of_training_are_plain_entries(trained: WordPiece) -> None:
    """`##x` and [MASK] written in a report are signs and letters."""
    assert trained.mask_id not in trained.encode("[MASK] [CLS] [PAD]", 30).ids[1:]
    joined = trained.pieces(trained.encode("##s", 10).ids)
    assert "##s" not in joined
    assert json.loads(trained.to_json())["added_tokens"] == []


def test_encode_truncates_pads_and_numbers_words(folder: Path) -> None:
    tokenizer = WordPiece.read(folder)
    coded = tokenizer.encode("Lungs are clear. Pneumothorax zz", 12)
    assert isinstance(coded, TokenIds)
    assert tokenizer.pieces(coded.ids) == [
        *("[CLS]", "lung", "##s", "are", "clear", ".", "pneumo", "##thorax", "[UNK]", "[SEP]", "[PAD]", "[PAD]")
    ]
    assert coded.words.tolist() == [-1, 0, 0, 1, 2, 3, 4, 4, 5, -1, -1, -1]
    assert coded.mask.tolist() == [1] * 10 + [0, 0]
    assert all(part.dtype == np.int64 and part.shape == (12,) for part in coded)
    short = tokenizer.encode("Lungs are clear. Pneumothorax zz", 4)
    assert tokenizer.pieces(short.ids) == ["[CLS]", "lung", "##s", "[SEP]"]
    assert tokenizer.encode("", 3).ids.tolist() == [2, 3, 0]


def test_a_list_of_words_keeps_its_numbers(folder: Path) -> None:
    tokenizer = WordPiece.read(folder)
    coded = tokenizer.encode(["lungs.", "___", "", "clear"], 12)
    assert coded.words.tolist() == [-1, 0, 0, 0, 1, 1, 1, 3, -1, -1, -1, -1]


def test_continuations_and_decoding(folder: Path) -> None:
    tokenizer = WordPiece.read(folder)
    assert tokenizer.continues.tolist() == [entry.startswith("##") for entry in VOCABULARY]
    assert tokenizer.decode(tokenizer.encode("pneumothorax. lungs", 12).ids) == "pneumothorax . lungs"
    assert tokenizer.decode([2, 5, 4, 0]) == "lung [MASK]"


def test_it_survives_pickle_json_and_disk(trained: WordPiece, tmp_path: Path) -> None:
    trained.save(tmp_path / "tokenizer.json")
    for copy in (
        pickle.loads(pickle.dumps(trained)),
        WordPiece.from_json(trained.to_json()),
        WordPiece.read(tmp_path),
        WordPiece.read(tmp_path / "tokenizer.json"),
    ):
        assert copy == trained
        assert copy.digest == trained.digest
        assert hash(copy) == hash(trained)
    assert trained.digest != WordPiece.train(TEXTS, vocab_size=90).digest


def test_unknown_share_counts_words(folder: Path) -> None:
    tokenizer = WordPiece.read(folder)
    assert tokenizer.unknown_share(["lungs clear zz qq", ""]) == 0.5
    assert tokenizer.unknown_share(["Die Lunge ist frei"]) == 1.0
    assert tokenizer.unknown_share([]) == 0.0


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=80))  # every code point, surrogates and controls too
def test_no_text_breaks_it(text: str) -> None:
    tokenizer = _small()
    ids, mask, words = tokenizer.encode(text, 16)
    assert ids.min() >= 0
    assert ids.max() < len(tokenizer)
    assert ((words >= 0) <= (mask == 1)).all()


@cache
def _small() -> WordPiece:
    return WordPiece.train(TEXTS, vocab_size=200)


def test_odd_characters_lose_nothing_they_need_not(trained: WordPiece) -> None:
    plain = trained.encode("lungs are clear", 12).ids
    for odd in (
        "lungs\x00are\x07clear",
        "lu\u200bngs\tare\nclear\ufeff",
        "\u202elungs are clear\u202c",
        "lungs\x85are clear",
    ):
        np.testing.assert_array_equal(trained.encode(odd, 12).ids, plain)
    emoji = trained.encode("lungs 🙂 are clear שלום", 12)
    assert trained.decode(emoji.ids) == "lungs [UNK] are clear [UNK]"
    long = trained.encode("lungs are clear. " * 10_000, 100)
    assert long.mask.all()


def test_other_scripts_can_be_learned() -> None:
    tokenizer = WordPiece.train(["肺部清晰 无胸腔积液", "شريان", "Die Lunge ist größer"] * 3, vocab_size=400)
    assert tokenizer.unknown_share(["肺部 清晰", "größer"]) == 0.0


def test_the_rarest_characters_go_when_there_are_too_many() -> None:
    texts = ["aa bb cc dd ee"] * 5 + ["".join(map(chr, range(0x4E00, 0x4F00)))]
    tokenizer = WordPiece.train(texts, vocab_size=60)
    entries = tokenizer.pieces(range(len(tokenizer)))
    assert {"a", "e", chr(0x4E00)} <= set(entries)
    assert chr(0x4EFF) not in entries
    assert len(tokenizer) <= 60


def test_nothing_to_learn_from_and_too_small_a_vocabulary() -> None:
    with pytest.raises(ManifestError, match="no report text to train a tokenizer on"):
        WordPiece.train(["", " \n"])
    with pytest.raises(ConfigError, match="10 entries is too small"):
        WordPiece.train(TEXTS, vocab_size=10)


def test_a_vocabulary_file_says_whether_it_lower_cases(folder: Path) -> None:
    assert WordPiece.read(folder / "vocab.txt").unknown_share(["LUNG"]) == 0.0  # no capitals in it
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert WordPiece.read(folder).unknown_share(["LUNG"]) == 1.0
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / "vocab.txt").write_text("\r\n".join([*VOCABULARY, "Heart"]) + "\r\n")
    cased = WordPiece.read(folder)
    assert cased.unknown_share(["Heart"]) == 0.0
    assert len(cased) == 13


def test_a_hugging_face_tokenizer_json_is_read(folder: Path) -> None:
    """Special tokens, templates, truncation and padding of the file are dropped; entries and rules stay."""
    from tokenizers import Tokenizer
    from tokenizers.processors import BertProcessing

    raw = Tokenizer.from_str(WordPiece.read(folder).to_json())
    raw.add_special_tokens(["[CLS]", "[SEP]", "[MASK]"])
    raw.add_tokens(["opacity"])
    raw.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    raw.enable_truncation(4)
    raw.enable_padding(length=20)
    raw.save(str(folder / "tokenizer.json"))
    tokenizer = WordPiece.read(folder)
    assert len(tokenizer) == 13
    assert tokenizer.pieces(tokenizer.encode("opacity [MASK]", 8).ids) == [
        *("[CLS]", "opacity", "[UNK]", "[UNK]", "[UNK]", "[SEP]", "[PAD]", "[PAD]")
    ]


def _remade(folder: Path, **changes: object) -> str:
    content = json.loads(WordPiece.read(folder).to_json())
    content["model"].update(changes)
    return json.dumps(content)


def test_foreign_and_damaged_files_are_refused(folder: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    gaps = _remade(folder, vocab={**{entry: i for i, entry in enumerate(VOCABULARY)}, "far": 99})
    cases = {
        "bpe.json": (Tokenizer(models.BPE()).to_str(), "is a BPE tokenizer, not WordPiece"),
        "words.json": ("{]", "is no tokenizer file"),
        "gaps.json": (gaps, "not numbered 0, 1, 2"),
        "prefix.json": (_remade(folder, continuing_subword_prefix="@@"), "marks continuations with '@@'"),
        "special.txt": ("lung\nheart\n", r"has no entry \[PAD\], \[UNK\], \[CLS\], \[MASK\]"),
        "twice.txt": ("lung\nheart\nlung\n", "'lung' occurs twice"),
    }
    for name, (text, message) in cases.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(CheckpointError, match=message) as caught:
            WordPiece.read(tmp_path / name)
        assert name in str(caught.value)
        assert "Give a BERT folder" in str(caught.value)
    with pytest.raises(CheckpointError, match="No such file"):
        WordPiece.read(tmp_path / "absent.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00lung")
    with pytest.raises(CheckpointError, match="not UTF-8"):
        WordPiece.read(tmp_path / "binary.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"neither tokenizer\.json nor vocab\.txt"):
        WordPiece.read(tmp_path / "empty")
    (folder / "tokenizer_config.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json: is not a JSON object"):
        WordPiece.read(folder / "vocab.txt")


def test_bert_uncased_vocabulary_agrees_with_transformers(shared: Path) -> None:
    from transformers import BertTokenizer

    file = shared / "data/text/bert_uncased_vocab.txt"
    ours = WordPiece.read(file)
    theirs = BertTokenizer(vocab=str(file), do_lower_case=True)
    assert len(ours) == 30_522
    for text in ("Pneumothorax, right-sided; 0.5 cm nodule (RUL).", "Cœur élargi — 心 ___ XXXX!", "a" * 150):
        assert ours.encode(text, 64).ids.tolist() == theirs(text, padding="max_length", max_length=64).input_ids
