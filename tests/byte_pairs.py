"""Small vocabularies of byte pairs, for tests of what CLIP's text encoders read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Final

from hilum.transforms.text.byte_pairs import MERGES_GZ, BytePairs

MERGES: Final = (
    *("l u", "lu n", "lun g</w>", "e f", "ef f", "u s", "us i", "o n</w>", "usi on</w>", "eff usion</w>"),
    *("n o</w>", "a</w> b", "t h", "th e</w>", "c l", "cl e", "a r</w>", "cle ar</w>"),
)


def write_merges(folder: Path, merges: tuple[str, ...] = MERGES) -> Path:
    """OpenAI's form: a packed list of merges below a line with its version."""
    file = folder / MERGES_GZ
    with gzip.open(file, "wt", encoding="utf-8") as stream:
        stream.write('"bpe_simple_vocab_16e6.txt#version: 0.2\n' + "\n".join(merges) + "\n")
    return file


def write_pair(folder: Path, words: BytePairs, merges: tuple[str, ...] = MERGES) -> Path:
    """Hugging Face's form: vocab.json beside merges.txt."""
    entries = {piece: number for number, piece in enumerate(words.pieces(range(len(words))))}
    (folder / "vocab.json").write_text(json.dumps(entries), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    return folder


def byte_pairs_of(folder: Path, size: int | None = None) -> BytePairs:
    """A vocabulary of the merges above; more of them, of signs that no report has, up to `size` entries."""
    more = [] if size is None else [f"{chr(0x100 + n // 60)} {chr(0x100 + n % 60)}" for n in range(3600)]
    count = 0 if size is None else size - 514 - len(MERGES)
    return BytePairs.read(write_merges(folder, (*MERGES, *more[:count])))
