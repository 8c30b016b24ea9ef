"""The reports of a run and the tokenizer that reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hilum.manifest import Manifest
from hilum.reports import Reports, reports_of
from hilum.transforms.text import WordPiece

UNKNOWN_SHARE = 0.05  # more unknown pieces than this: another language, or another hospital's words


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
    share = reader.unknown_share(distinct[:2000])
    notes.append(f"tokenizer of {len(reader):,} entries {whence}, {share:.1%} of the word pieces unknown")
    if share > UNKNOWN_SHARE:
        notes.append(
            f"WARNING: the tokenizer does not know {share:.1%} of these reports' word pieces; another language? "
            "Train one on them (leave out --tokenizer)"
        )
    return films, Reading(reports, reader, tuple(notes))
