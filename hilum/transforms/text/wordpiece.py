"""WordPiece: report text as the integers that a text encoder reads.

A tokenizer is trained on the user's own reports or read from any BERT folder, and travels with the checkpoint as
one JSON text. Everything is WordPiece of the `tokenizers` library; three things are ours:

* Training is repeatable. The library numbers the continuations of single characters in the order of a hash table,
  which differs from process to process, and every later tie follows those numbers. Here they are numbered first.
* No text is special. `[MASK]` written in a report is four letters in brackets, not the mask.
* Nothing breaks on odd text: control characters are spaces, invisible marks vanish, broken code points become U+FFFD.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from hilum.errors import CheckpointError, ConfigError, ManifestError

PAD, UNK, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIALS: dict[str, tuple[str, ...]] = {"mrm": (PAD, UNK, CLS, MASK), "bert": (PAD, UNK, CLS, SEP, MASK)}
CONTINUES = "##"
_ALPHABET_SHARE = (
    6  # at most 1/6 of the entries are characters, so a script of thousands of signs leaves room for words
)
_BROKEN = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_INVISIBLE = re.compile("[\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]")
_REMEDY = "Give a BERT folder, its vocab.txt, a WordPiece tokenizer.json, or let the run train one on the reports"

Style = Literal["mrm", "bert"]


class TokenIds(NamedTuple):
    """One text as `length` pieces, padded at the end."""

    ids: npt.NDArray[np.int64]  # (length,) entries of the vocabulary
    mask: npt.NDArray[np.int64]  # (length,) 1 where not padding
    words: npt.NDArray[np.int64]  # (length,) 0-based number of the piece's word; -1 for [CLS], [SEP] and padding


class WordPiece:
    """A WordPiece vocabulary with the rules that cut text into words; immutable, picklable.

    Args:
        tokenizer: a `tokenizers.Tokenizer` with a WordPiece model whose entries are numbered without gaps.
        where: what to name in errors.

    Raises:
        CheckpointError: another kind of tokenizer, or one without [PAD], [UNK], [CLS] and [MASK].
    """

    def __init__(self, tokenizer: Tokenizer, *, where: str | Path = "tokenizer") -> None:
        self._tokenizer = _plain(tokenizer, where)
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=False)
        self._entries = tuple(sorted(vocabulary, key=vocabulary.__getitem__))
        self.pad_id, self.unk_id = vocabulary[PAD], vocabulary[UNK]
        self.cls_id, self.mask_id = vocabulary[CLS], vocabulary[MASK]
        self.sep_id: int | None = vocabulary.get(SEP)
        self.continues = np.array([entry.startswith(CONTINUES) for entry in self._entries])  # (V,) bool
        self.continues.flags.writeable = False

    # --- making one --------------------------------------------------------------------------------------------------

    @classmethod
    def train(cls, texts: Iterable[str], *, vocab_size: int = 30000, style: Style = "mrm") -> WordPiece:
        """Learn a vocabulary; the same texts in any order and any process give the same one.

        Args:
            texts: the training reports.
            vocab_size: the most entries it may have; small archives give fewer.
            style: "mrm": lower-case, NFKD, no accents; words, runs of signs and runs of digits are cut apart; specials
                [PAD] [UNK] [CLS] [MASK] are 0 to 3 and there is no [SEP] (MRM's released tokenizer).
                "bert": BERT's own uncased rules; [PAD] [UNK] [CLS] [SEP] [MASK] are 0 to 4.

        Raises:
            ConfigError: `vocab_size` cannot hold the characters.
            ManifestError: there is no text to learn from.
        """
        blank = models.WordPiece({UNK: 0}, unk_token=UNK)  # replaced below; only the rules are used until then
        rules = _with_rules(Tokenizer(blank), style, lowercase=True)
        cleaned = [clean(text) for text in texts]
        characters = _characters(rules, cleaned)
        if not characters:
            raise ManifestError(
                "there is no report text to train a tokenizer on",
                where="reports",
                fix="Fill the column 'report' (or 'findings', 'impression'), or give a trained tokenizer",
            )
        specials = SPECIALS[style]
        if vocab_size < len(specials) + 2 * _ALPHABET_SHARE:
            raise ConfigError(f"a vocabulary of {vocab_size} entries is too small", where="vocab_size", fix="Give 1000")
        kept = _most_common(characters, vocab_size // _ALPHABET_SHARE)
        seeds = [*specials, *kept, *(CONTINUES + character for character in kept)]
        trainer = trainers.WordPieceTrainer(
            vocab_size=vocab_size,
            min_frequency=2,  # a word seen once is not worth an entry
            show_progress=False,
            special_tokens=seeds,
            limit_alphabet=len(kept),
            initial_alphabet=kept,
            continuing_subword_prefix=CONTINUES,
        )
        rules.train_from_iterator(cleaned, trainer)
        return cls(rules)

    @classmethod
    def read(cls, path: str | Path) -> WordPiece:
        """Read `tokenizer.json`, `vocab.txt`, or a folder that holds one of them (any BERT folder).

        A `vocab.txt` says nothing of case: `do_lower_case` of the `tokenizer_config.json` beside it decides; without
        one, text is lower-cased unless the vocabulary has entries with capitals.

        Raises:
            CheckpointError: absent, unreadable, or not WordPiece.
        """
        path = Path(path)
        file = path
        if path.is_dir():
            found = [path / name for name in ("tokenizer.json", "vocab.txt") if (path / name).is_file()]
            if not found:
                what = "the folder has neither tokenizer.json nor vocab.txt"
                raise CheckpointError(what, where=path, fix=_REMEDY)
            file = found[0]
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise CheckpointError(f"cannot be read ({error.strerror})", where=file, fix=_REMEDY) from error
        except UnicodeDecodeError as error:
            raise CheckpointError("is not UTF-8 text", where=file, fix=_REMEDY) from error
        if file.suffix.lower() == ".json":
            return cls._from_text(text, file)
        return cls(_from_vocabulary(text, file), where=file)

    @classmethod
    def from_json(cls, text: str) -> WordPiece:
        """Read what `to_json` wrote, or the text of any WordPiece `tokenizer.json`.

        Raises:
            CheckpointError: not a WordPiece tokenizer.
        """
        return cls._from_text(text, "tokenizer")

    @classmethod
    def _from_text(cls, text: str, where: str | Path) -> WordPiece:
        try:
            tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # the library raises nothing narrower
            raise CheckpointError(f"is no tokenizer file ({error})", where=where, fix=_REMEDY) from error
        return cls(tokenizer, where=where)

    # --- keeping it --------------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """The whole tokenizer as the library's `tokenizer.json`."""
        return self._tokenizer.to_str()

    def save(self, path: str | Path) -> None:
        """Write `tokenizer.json` (or any file name) that `read` and other programs understand."""
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")

    @property
    def digest(self) -> str:
        """sha256 of vocabulary and rules; equal digests cut every text equally."""
        content = json.loads(self.to_json())
        model = {key: value for key, value in content["model"].items() if key != "vocab"}
        parts = [content["normalizer"], content["pre_tokenizer"], model, self._entries]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def __reduce__(self) -> tuple[Any, ...]:
        return WordPiece.from_json, (self.to_json(),)

    def __len__(self) -> int:
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WordPiece) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self._entries)

    # --- using it ----------------------------------------------------------------------------------------------------

    def encode(self, text: str | Sequence[str], length: int) -> TokenIds:
        """Cut a text into pieces: [CLS] first, [SEP] last where the vocabulary has one, then padding.

        What does not fit is cut off at the end; [SEP] stays.

        Args:
            text: a text, cut into words by the tokenizer's rules; or a list of words, numbered as given (a word such
                as "2cm" is then one word even where the rules cut it).
            length: number of pieces to return, at least 2.
        """
        assert length >= 2, "room for [CLS] and one piece"
        pieces, numbers = self._cut(text)
        room = length - (1 if self.sep_id is None else 2)
        pieces, numbers = pieces[:room], numbers[:room]
        ids = np.full(length, self.pad_id, dtype=np.int64)
        words = np.full(length, -1, dtype=np.int64)
        end = 1 + len(pieces)
        ids[0], ids[1:end], words[1:end] = self.cls_id, pieces, numbers
        if self.sep_id is not None:
            ids[end] = self.sep_id
            end += 1
        return TokenIds(ids, (np.arange(length) < end).astype(np.int64), words)

    def _cut(self, text: str | Sequence[str]) -> tuple[list[int], list[int]]:
        """(entries, word numbers) of all pieces of a text or of a list of words."""
        if isinstance(text, str):
            cut = self._tokenizer.encode(clean(text), add_special_tokens=False)
        else:
            cut = self._tokenizer.encode([clean(w) for w in text], is_pretokenized=True, add_special_tokens=False)
        return cut.ids, [-1 if number is None else number for number in cut.word_ids]

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """The entries of the vocabulary with these numbers."""
        return [self._entries[int(i)] for i in ids]

    def decode(self, ids: Iterable[int]) -> str:
        """Pieces as text: continuations joined, [PAD], [CLS] and [SEP] left out, one space between words."""
        text = " ".join(piece for piece in self.pieces(ids) if piece not in (PAD, CLS, SEP))
        return text.replace(" " + CONTINUES, "")

    def unknown_share(self, texts: Iterable[str]) -> float:
        """Share of the words of these texts that become [UNK], 0 to 1; 0 for no words at all."""
        unknown = total = 0
        for text in texts:
            ids, numbers = self._cut(text)
            total += len(set(numbers))
            unknown += len({number for i, number in zip(ids, numbers, strict=True) if i == self.unk_id})
        return unknown / total if total else 0.0


def clean(text: str) -> str:
    """Text that any tokenizer takes: control characters are spaces, invisible marks are gone, all code points valid."""
    if text.isascii() and text.isprintable():
        return text
    return _INVISIBLE.sub("", _BROKEN.sub("\ufffd", _CONTROL.sub(" ", text)))


def _with_rules(tokenizer: Tokenizer, style: Style, *, lowercase: bool) -> Tokenizer:
    """Set normalisers and pre-tokenisers; they decide what a word is."""
    if style == "bert":
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    else:
        steps = [normalizers.Lowercase(), normalizers.NFKD(), normalizers.StripAccents()]
        tokenizer.normalizer = normalizers.Sequence(steps)
        # The library's "whitespace" also parts words from signs: "effusion." is two words.
        cuts = [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=False)]
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(cuts)
    return tokenizer


def _characters(rules: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    """How often each character occurs in the words of the texts, after normalisation."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(rules.normalizer.normalize_str(text))
    return Counter({character: count for character, count in counts.items() if not character.isspace()})


def _most_common(characters: Mapping[str, int], limit: int) -> list[str]:
    """The most frequent characters in the order of their code points; ties at the limit go to the lower one."""
    ranked = sorted(characters, key=lambda character: (-characters[character], character))
    return sorted(ranked[:limit])


def _from_vocabulary(text: str, file: Path) -> Tokenizer:
    """A BERT tokenizer from the lines of its `vocab.txt`."""
    entries = text.removesuffix("\n").split("\n")
    entries = [entry.removesuffix("\r") for entry in entries]
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    if len(vocabulary) != len(entries):
        twice = Counter(entries).most_common(1)[0][0]
        raise CheckpointError(f"the entry {twice!r} occurs twice", where=file, fix=_REMEDY)
    _check_specials(vocabulary, file)
    capitals = any(e != e.lower() for e in entries if not e.startswith("["))
    lowercase = _says_lower_case(file.with_name("tokenizer_config.json"))
    lowercase = not capitals if lowercase is None else lowercase
    return _with_rules(Tokenizer(models.WordPiece(vocabulary, unk_token=UNK)), "bert", lowercase=lowercase)


def _says_lower_case(file: Path) -> bool | None:
    """`do_lower_case` of a tokenizer_config.json; None where it says nothing."""
    if not file.is_file():
        return None
    try:
        said = json.loads(file.read_text(encoding="utf-8")).get("do_lower_case")
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"is not a JSON object ({error})", where=file, fix="Repair or remove it") from error
    return said if isinstance(said, bool) else None


def _plain(tokenizer: Tokenizer, where: str | Path) -> Tokenizer:
    """The same vocabulary and rules without added tokens, truncation, padding or templates."""
    kind = type(tokenizer.model).__name__
    if kind != "WordPiece":
        raise CheckpointError(f"is a {kind} tokenizer, not WordPiece", where=where, fix=_REMEDY)
    model = json.loads(tokenizer.to_str())["model"]
    if model["continuing_subword_prefix"] != CONTINUES:
        what = f"marks continuations with {model['continuing_subword_prefix']!r}, not {CONTINUES!r}"
        raise CheckpointError(what, where=where, fix=_REMEDY)
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    _check_specials(vocabulary, where)
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise CheckpointError("its entries are not numbered 0, 1, 2, ...", where=where, fix=_REMEDY)
    plain = Tokenizer(
        models.WordPiece(
            dict(sorted(vocabulary.items(), key=lambda entry: entry[1])),
            unk_token=UNK,
            max_input_chars_per_word=model["max_input_chars_per_word"],
        )
    )
    if tokenizer.normalizer is not None:
        plain.normalizer = tokenizer.normalizer
    if tokenizer.pre_tokenizer is not None:
        plain.pre_tokenizer = tokenizer.pre_tokenizer
    return plain


def _check_specials(vocabulary: Mapping[str, int], where: str | Path) -> None:
    missing = [special for special in SPECIALS["mrm"] if special not in vocabulary]
    if missing:
        raise CheckpointError(f"has no entry {', '.join(missing)}", where=where, fix=_REMEDY)
