"""Report text: sections, sentences, terms, the papers' preparations, and tokenizers."""

from hilum.transforms.text.byte_pairs import BytePairs
from hilum.transforms.text.language import FOREIGN, unknown_words
from hilum.transforms.text.preparations import (
    PREPARATIONS,
    Preparation,
    prepare_maco,
    prepare_medim,
    prepare_tidy,
    tidy_sentences,
)
from hilum.transforms.text.sections import SECTIONS, split_sections
from hilum.transforms.text.sentences import is_boilerplate, is_empty, mentions_prior, split_sentences
from hilum.transforms.text.terms import Terms
from hilum.transforms.text.tokenizer import Tokenizer, read_tokenizer, tokenizer_from_json
from hilum.transforms.text.wordpiece import TokenIds, WordPiece

__all__ = [
    "FOREIGN",
    "PREPARATIONS",
    "SECTIONS",
    "BytePairs",
    "Preparation",
    "Terms",
    "TokenIds",
    "Tokenizer",
    "WordPiece",
    "is_boilerplate",
    "is_empty",
    "mentions_prior",
    "prepare_maco",
    "prepare_medim",
    "prepare_tidy",
    "read_tokenizer",
    "split_sections",
    "split_sentences",
    "tidy_sentences",
    "tokenizer_from_json",
    "unknown_words",
]
