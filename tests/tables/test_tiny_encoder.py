"""The tiny encoder is the same every time and can answer every task."""

from __future__ import annotations

from pathlib import Path

import hilum
from hilum.evaluation.features import weights_digest
from hilum.tables.tiny_encoder import tiny_encoder


def test_it_is_the_same_twice_and_reads_text(tiny: Path, films: Path, tmp_path: Path) -> None:
    again = tiny_encoder(tmp_path / "again", films)
    first, second = hilum.load(str(tiny)), hilum.load(str(again))
    assert weights_digest(first.model) == weights_digest(second.model)
    assert first.embed_text(["There is edema."]).shape == (1, 32)
    assert first.position_prior is not None
    assert tiny_encoder(tiny, films) == tiny
