"""One door for both kinds of tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.errors import CheckpointError
from hilum.transforms.text import BytePairs, WordPiece, read_tokenizer, tokenizer_from_json
from tests.byte_pairs import byte_pairs_of, write_pair
from tests.words import vocabulary_of


def test_each_kind_comes_back_as_it_is(tmp_path: Path) -> None:
    pieces = vocabulary_of(30)
    pairs = byte_pairs_of(tmp_path)
    assert read_tokenizer(tmp_path) == pairs  # the list of merges
    (tmp_path / "copy.txt.gz").write_bytes((tmp_path / "bpe_simple_vocab_16e6.txt.gz").read_bytes())
    assert read_tokenizer(tmp_path / "copy.txt.gz") == pairs
    for name in ("vocab.json", "merges.txt"):
        assert read_tokenizer(write_pair(tmp_path, pairs) / name) == pairs
    (tmp_path / "vocab.txt").write_text("\n".join(pieces.pieces(range(30))) + "\n")
    assert len(read_tokenizer(tmp_path / "vocab.txt")) == 30
    assert isinstance(read_tokenizer(tmp_path), WordPiece)  # vocab.txt comes before the list of merges
    for tokenizer in (pieces, pairs):
        tokenizer.save(tmp_path / "tokenizer.json")
        assert read_tokenizer(tmp_path) == tokenizer
        assert type(tokenizer_from_json(tokenizer.to_json())) is type(tokenizer)
        assert tokenizer_from_json(tokenizer.to_json()) == tokenizer
    assert isinstance(read_tokenizer(tmp_path / "tokenizer.json"), BytePairs)


def test_what_is_none_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read_tokenizer(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="holds no tokenizer"):
        read_tokenizer(tmp_path)
    (tmp_path / "page.json").write_text("<html>")
    with pytest.raises(CheckpointError, match="no tokenizer file"):
        read_tokenizer(tmp_path / "page.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match="UTF-8"):
        read_tokenizer(tmp_path / "binary.json")
    with pytest.raises(CheckpointError, match="no tokenizer file"):
        tokenizer_from_json("{}")
