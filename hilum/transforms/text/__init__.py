"""Report text: sections, sentences, terms, the papers' preparations, and WordPiece."""

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
from hilum.transforms.text.wordpiece import TokenIds, WordPiece

__all__ = [
    "FOREIGN",
    "PREPARATIONS",
    "SECTIONS",
    "Preparation",
    "Terms",
    "TokenIds",
    "WordPiece",
    "is_boilerplate",
    "is_empty",
    "mentions_prior",
    "prepare_maco",
    "prepare_medim",
    "prepare_tidy",
    "split_sections",
    "split_sentences",
    "tidy_sentences",
    "unknown_words",
]
