"""Report text: sections, sentences, terms, the papers' preparations, and WordPiece."""

from hilum.transforms.text.sections import SECTIONS, split_sections
from hilum.transforms.text.sentences import is_boilerplate, is_empty, mentions_prior, split_sentences
from hilum.transforms.text.wordpiece import TokenIds, WordPiece

__all__ = [
    "SECTIONS",
    "TokenIds",
    "WordPiece",
    "is_boilerplate",
    "is_empty",
    "mentions_prior",
    "split_sections",
    "split_sentences",
]
