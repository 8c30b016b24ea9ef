"""Small WordPiece vocabularies for tests of models that read reports."""

from __future__ import annotations

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from hilum.transforms.text import WordPiece

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[MASK]")


def vocabulary_of(size: int) -> WordPiece:
    """[PAD], [UNK], [CLS], [MASK], then w4, ##5, w6, ##7, ...: words and continuations in turn."""
    entries = [*SPECIALS, *(f"##{n}" if n % 2 else f"w{n}" for n in range(len(SPECIALS), size))]
    tokenizer = Tokenizer(models.WordPiece({entry: n for n, entry in enumerate(entries)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return WordPiece(tokenizer)
