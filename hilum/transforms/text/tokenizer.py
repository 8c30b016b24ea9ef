"""Either kind of tokenizer behind one door: read from wherever it lies, and back from the JSON beside an encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from hilum.errors import CheckpointError
from hilum.transforms.text.byte_pairs import MERGES_GZ, BytePairs
from hilum.transforms.text.wordpiece import WordPiece

Tokenizer = WordPiece | BytePairs

_REMEDY: Final = (
    f"Give a tokenizer.json, a BERT folder or its vocab.txt, CLIP's vocab.json beside merges.txt, or {MERGES_GZ}"
)


def read_tokenizer(path: str | Path) -> Tokenizer:
    """Read a tokenizer file, or the tokenizer of a folder.

    Args:
        path: `tokenizer.json`, BERT's `vocab.txt`, CLIP's `vocab.json`, `merges.txt` or list of merges; or a folder
            with one of them, taken in this order.

    Raises:
        CheckpointError: absent, unreadable, or of another kind.
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError("no such file or folder", where=path, fix=_REMEDY)
    file = path
    if path.is_dir():
        names = ("tokenizer.json", "vocab.txt", "vocab.json", MERGES_GZ)
        found = [path / name for name in names if (path / name).is_file()]
        if not found:
            raise CheckpointError("the folder holds no tokenizer", where=path, fix=_REMEDY)
        file = found[0]
    if file.name in ("vocab.json", "merges.txt") or file.suffix.lower() == ".gz":
        return BytePairs.read(file)
    if file.suffix.lower() == ".json":
        return BytePairs.read(file) if _is_byte_pairs(_read(file)) else WordPiece.read(file)
    return BytePairs.read(file) if file.name.startswith("bpe_") else WordPiece.read(file)


def tokenizer_from_json(text: str) -> Tokenizer:
    """What `to_json` of either kind gave.

    Raises:
        CheckpointError: neither WordPiece nor CLIP's byte pairs.
    """
    return BytePairs.from_json(text) if _is_byte_pairs(text) else WordPiece.from_json(text)


def _is_byte_pairs(text: str) -> bool:
    """Whether the text of a tokenizer.json has merges; who reads it says what is wrong with it otherwise."""
    try:
        return "merges" in json.loads(text)["model"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
