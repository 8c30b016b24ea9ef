"""Byte pairs: report text as the integers that CLIP's text encoders read (OpenAI CLIP, CheXzero, PubMedCLIP).

Paper: Sennrich et al. 2016, https://arxiv.org/abs/1508.07909; the vocabulary of 49,408 entries came with OpenAI's CLIP.
Text is lower-cased, cut into words, digits and runs of signs, and each of these, as bytes, is merged pair by pair; the
last piece of a word ends in `</w>`. No word is unknown. `BytePairs` has the face of `WordPiece`, so that towers take
either.

Three forms are read: `tokenizer.json`; `vocab.json` beside `merges.txt` (Hugging Face); the list of merges that OpenAI
ships, `bpe_simple_vocab_16e6.txt.gz`, from which the entries follow.

OpenAI's own code first mends wrongly decoded text with ftfy (which touches no ASCII text), which is left out, and
resolves HTML entities, which is the preparation "clip". No text is special: `<|endoftext|>` in a report is signs and
letters.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from hilum.errors import CheckpointError
from hilum.transforms.text.wordpiece import TokenIds, clean

START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END: Final = "</w>"
MERGES_GZ: Final = "bpe_simple_vocab_16e6.txt.gz"
_LISTED: Final = 49_152 - 256 - 2  # merges of OpenAI's list that CLIP uses; the file has more
_MOST_TEXT: Final = 64 << 20  # bytes that a list of merges may unpack to; OpenAI's has 3 MB
_WORD: Final = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_REMEDY: Final = f"Give CLIP's tokenizer.json, its vocab.json beside merges.txt, or {MERGES_GZ}"


class BytePairs:
    """A vocabulary of byte pairs with CLIP's rules; immutable, picklable.

    Args:
        vocabulary: entry -> number, without gaps, with the start and the end token.
        merges: pairs, the first to be merged first.
        where: what to name in errors.

    Raises:
        CheckpointError: entries are missing, or numbers have gaps.
    """

    pad_id: Final = 0  # CLIP pads with entry 0; it stands after the end token, where no one looks

    def __init__(
        self, vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]], *, where: str | Path = "tokenizer"
    ) -> None:
        _check(vocabulary, where)
        self._entries = tuple(sorted(vocabulary, key=vocabulary.__getitem__))
        self.start_id, self.end_id = vocabulary[START], vocabulary[END]
        try:
            pairs = models.BPE(dict(vocabulary), list(merges), unk_token=END, end_of_word_suffix=WORD_END)
        except Exception as error:  # the library raises nothing narrower
            raise CheckpointError(
                f"its merges do not lead to its entries ({error})", where=where, fix=_REMEDY
            ) from error
        self._tokenizer = Tokenizer(pairs)
        spaces = normalizers.Replace(Regex(r"\s+"), " ")
        self._tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), spaces, normalizers.Lowercase()])
        cuts = pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True)
        bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        self._tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cuts, bytes_of])

    # --- making one --------------------------------------------------------------------------------------------------

    @classmethod
    def read(cls, path: str | Path) -> BytePairs:
        """Read one of the three forms, or a folder that holds one of them.

        Raises:
            CheckpointError: absent, unreadable, or not CLIP's byte pairs.
        """
        path = Path(path)
        file = path
        if path.is_dir():
            found = [path / name for name in ("tokenizer.json", "vocab.json", MERGES_GZ) if (path / name).is_file()]
            if not found:
                what = f"the folder has neither tokenizer.json nor vocab.json with merges.txt nor {MERGES_GZ}"
                raise CheckpointError(what, where=path, fix=_REMEDY)
            file = found[0]
        if file.name in ("vocab.json", "merges.txt"):
            vocabulary, listed = file.with_name("vocab.json"), file.with_name("merges.txt")
            return cls(_vocabulary(_text(vocabulary), vocabulary), _merges(_text(listed), listed), where=file)
        if file.suffix.lower() == ".json":
            return cls._from_text(_text(file), file)
        return cls._from_list(_text(file), file)

    @classmethod
    def from_json(cls, text: str) -> BytePairs:
        """Read what `to_json` wrote, or the text of CLIP's `tokenizer.json`.

        Raises:
            CheckpointError: not CLIP's byte pairs.
        """
        return cls._from_text(text, "tokenizer")

    @classmethod
    def _from_text(cls, text: str, where: str | Path) -> BytePairs:
        try:
            content = json.loads(text)
            model = content["model"]
            kind, suffix = model.get("type", "BPE"), model.get("end_of_word_suffix")
            vocabulary, listed = dict(model["vocab"]), list(model["merges"])
            vocabulary |= {added["content"]: added["id"] for added in content.get("added_tokens", [])}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"is no tokenizer file ({error})", where=where, fix=_REMEDY) from error
        if kind != "BPE" or suffix != WORD_END:
            what = f"is a {kind} tokenizer" + (" whose words do not end in </w>" if kind == "BPE" else "")
            raise CheckpointError(f"{what}, not CLIP's byte pairs", where=where, fix=_REMEDY)
        if "Lowercase" not in json.dumps(content.get("normalizer")):
            raise CheckpointError("keeps capitals, which CLIP's tokenizer does not", where=where, fix=_REMEDY)
        pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in listed]  # older files, newer files
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise CheckpointError("its merges are not pairs", where=where, fix=_REMEDY)
        return cls(vocabulary, [(first, second) for first, second in pairs], where=where)

    @classmethod
    def _from_list(cls, text: str, where: str | Path) -> BytePairs:
        """The entries that OpenAI's list of merges implies: bytes, bytes that end a word, merges, start and end."""
        merges = _merges(text, where)[:_LISTED]
        letters = _byte_letters()
        entries = [
            *letters,
            *(letter + WORD_END for letter in letters),
            *("".join(pair) for pair in merges),
            START,
            END,
        ]
        return cls({entry: number for number, entry in enumerate(entries)}, merges, where=where)

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
        return hashlib.sha256(json.dumps(json.loads(self.to_json()), sort_keys=True).encode()).hexdigest()

    def __reduce__(self) -> tuple[Any, ...]:
        return BytePairs.from_json, (self.to_json(),)

    def __len__(self) -> int:
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BytePairs) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self._entries)

    # --- using it ----------------------------------------------------------------------------------------------------

    def encode(self, text: str | Sequence[str], length: int) -> TokenIds:
        """Cut a text into pieces: the start token, the pieces, the end token, then padding.

        What does not fit is cut off; the end token, which speaks for the text, stays.

        Args:
            text: a text, or a list of words that are numbered as given.
            length: number of pieces to return, at least 2.
        """
        assert length >= 2, "room for the start and the end token"
        if isinstance(text, str):
            cut = self._tokenizer.encode(clean(text), add_special_tokens=False)
        else:
            cut = self._tokenizer.encode([clean(w) for w in text], is_pretokenized=True, add_special_tokens=False)
        pieces, numbers = cut.ids[: length - 2], cut.word_ids[: length - 2]
        ids = np.full(length, self.pad_id, dtype=np.int64)
        words = np.full(length, -1, dtype=np.int64)
        end = 1 + len(pieces)
        ids[0], ids[1:end], ids[end] = self.start_id, pieces, self.end_id
        words[1:end] = [-1 if number is None else number for number in numbers]
        return TokenIds(ids, (np.arange(length) <= end).astype(np.int64), words)

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """The entries of the vocabulary with these numbers."""
        return [self._entries[int(i)] for i in ids]

    def decode(self, ids: Iterable[int]) -> str:
        """Pieces as text up to the end token, one space between words."""
        code = {letter: number for number, letter in zip(_byte_order(), _byte_letters(), strict=True)}
        spoken = []
        for piece in self.pieces(ids):
            if piece == END:
                break
            if piece != START:
                spoken.append(piece)
        words = "".join(spoken).split(WORD_END)
        return " ".join(bytes(code[c] for c in word).decode("utf-8", "replace") for word in words if word)


def _byte_order() -> list[int]:
    """All bytes in the order of CLIP's first 256 entries: those with a printable sign of their own, then the others."""
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return own + [byte for byte in range(256) if byte not in set(own)]


def _byte_letters() -> list[str]:
    """The letter that stands for each byte of `_byte_order`; bytes without a sign take those from U+0100 on."""
    order = _byte_order()
    printable = 94 + 12 + 82
    return [chr(byte) for byte in order[:printable]] + [chr(256 + n) for n in range(256 - printable)]


def _check(vocabulary: Mapping[str, int], where: str | Path) -> None:
    missing = [entry for entry in (START, END, *_byte_letters()) if entry not in vocabulary]
    if missing:
        raise CheckpointError(f"has no entry {', '.join(missing[:3])}", where=where, fix=_REMEDY)
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise CheckpointError("its entries are not numbered 0, 1, 2, ...", where=where, fix=_REMEDY)
    if vocabulary[END] != len(vocabulary) - 1:  # CLIP's text feature is read where the number is largest
        raise CheckpointError("its end token is not the last entry", where=where, fix=_REMEDY)


def _text(file: Path) -> str:
    """The text of a file, unpacked where it is packed."""
    try:
        with gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb") as stream:
            content = stream.read(_MOST_TEXT + 1)
        if len(content) > _MOST_TEXT:
            raise CheckpointError(f"holds more than {_MOST_TEXT >> 20} MiB of text", where=file, fix=_REMEDY)
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError("is not UTF-8 text", where=file, fix=_REMEDY) from error
    except (OSError, EOFError, zlib.error) as error:
        raise CheckpointError(f"cannot be read ({error})", where=file, fix=_REMEDY) from error


def _vocabulary(text: str, file: Path) -> dict[str, int]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"is no JSON ({error})", where=file, fix=_REMEDY) from error
    if not isinstance(found, dict) or not all(type(number) is int for number in found.values()):
        raise CheckpointError("is no JSON object of entries and numbers", where=file, fix=_REMEDY)
    return found


def _merges(text: str, where: str | Path) -> list[tuple[str, str]]:
    """The pairs of a list, one a line, below a line that names its version."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    lines = [line for line in lines[1:] if line] if "version" in lines[0] else [line for line in lines if line]
    pairs = [line.split(" ") for line in lines]
    wrong = next((n for n, pair in enumerate(pairs) if len(pair) != 2), None)
    if wrong is not None or not pairs:
        what = f"is no list of merges: {lines[wrong][:40]!r}" if wrong is not None else "is an empty list of merges"
        raise CheckpointError(what, where=where, fix=_REMEDY)
    return [(first, second) for first, second in pairs]
