"""Report text: sections, sentences, terms, the papers' preparations, and WordPiece."""

from hilum.transforms.text.wordpiece import TokenIds, WordPiece

__all__ = ["TokenIds", "WordPiece"]
