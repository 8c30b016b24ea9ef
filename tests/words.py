"""Small WordPiece vocabularies for tests of models that read reports."""

from __future__ import annotations

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from hilum.transforms.text import WordPiece

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[MASK]")


def vocabulary_of(size: int, *, separator: bool = False) -> WordPiece:
    """[PAD], [UNK], [CLS], [MASK], perhaps [SEP], then ##5, w6, ##7, ...: words and continuations in turn."""
    special = [*SPECIALS, "[SEP]"] if separator else list(SPECIALS)
    entries = [*special, *(f"##{n}" if n % 2 else f"w{n}" for n in range(len(special), size))]
    tokenizer = Tokenizer(models.WordPiece({entry: n for n, entry in enumerate(entries)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return WordPiece(tokenizer)
