"""The reports of a run and the tokenizer that reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hilum.manifest import Manifest
from hilum.reports import Reports, reports_of
from hilum.transforms.text import FOREIGN, WordPiece, unknown_words

UNKNOWN_PIECES = 0.05  # a larger share, and the tokenizer was made for other reports
SAMPLE = 2000  # reports that these shares are measured on


@dataclass(frozen=True)
class Reading:
    """What a method that reads gets."""

    reports: Reports  # one a training film
    tokenizer: WordPiece
    notes: tuple[str, ...] = field(default=())  # counts, for the log

    def to_json(self) -> dict[str, Any]:
        """What identifies it, for the run folder."""
        return {
            "tokenizer_sha256": self.tokenizer.digest,
            "vocabulary": len(self.tokenizer),
            "with_report": int(self.reports.present.sum()),
            "distinct": len(np.unique(self.reports.groups)),
        }


def read_training_reports(
    films: Manifest, config: Any, tokenizer: str | None, *, vocabulary: int
) -> tuple[Manifest, Reading]:
    """The films that stay, their reports, and a tokenizer that fits.

    Args:
        films: the training films.
        config: of a method that reads: its `sections` and `missing_reports` are used.
        tokenizer: a file or BERT folder; None trains one on the reports.
        vocabulary: most entries of a trained one.

    Raises:
        ManifestError: no reports at all.
        UserError: the tokenizer cannot be read.
    """
    reports = reports_of(films, config.sections)
    notes = [reports.line()]
    told = reports.present
    if not told.all():
        missing = f"{int((~told).sum()):,} of {len(told):,} films have no report"
        if config.missing_reports == "drop":
            films = Manifest(films.table.loc[told].reset_index(drop=True), films.root)
            reports = reports_of(films, config.sections)
            notes.append(f"{missing} and are left out (missing_reports=drop)")
        else:
            notes.append(f"{missing}: they teach through their pixels alone (missing_reports=keep)")
    distinct = list(dict.fromkeys(text for text in reports.texts if text))
    if tokenizer is None:
        reader, whence = WordPiece.train(distinct, vocab_size=vocabulary), "trained on these reports"
    else:
        reader, whence = WordPiece.read(tokenizer), f"from {tokenizer}"
    share, foreign = reader.unknown_share(distinct[:SAMPLE]), unknown_words(distinct[:SAMPLE])
    notes.append(
        f"tokenizer of {len(reader):,} entries {whence}; {share:.1%} of the word pieces are unknown to it, "
        f"{foreign:.0%} of the words to our English word list"
    )
    if share > UNKNOWN_PIECES:
        notes.append(
            "WARNING: the tokenizer does not fit these reports; leave --tokenizer out and one is trained on them"
        )
    if foreign > FOREIGN:
        notes.append(
            "WARNING: the reports do not read as English: sections, terms and prompts are English and find nothing in "
            "them; give MedIM a term list of your language (--set.term_list FILE)"
        )
    return films, Reading(reports, reader, tuple(notes))
