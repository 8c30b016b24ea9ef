"""Do an encoder and a tokenizer work: read whole, finite, a film through them, and the one for the other?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hilum.checkup.check import Check
from hilum.errors import UserError

SENTENCE = "There is a small left pleural effusion."


def encoder_files(encoder: str | None, tokenizer: Path | None) -> Iterator[Check]:
    """Load what is named, and send a film and a sentence through it."""
    if encoder is not None:
        yield from _encoder(encoder, tokenizer)
    elif tokenizer is not None:
        yield _tokenizer(tokenizer)


def _encoder(source: str, tokenizer: Path | None) -> Iterator[Check]:
    import torch

    from hilum.encoder import load
    from hilum.transforms.record_words import in_words

    try:
        encoder = load(source, tokenizer=tokenizer)
    except UserError as error:
        yield Check("encoder", "FAULT", str(error))
        return
    origin = encoder.origin
    yield Check("encoder", "ok", f"{origin.get('layout') or origin.get('method') or 'of Hilum'}, read whole")
    yield Check("encoder pixels", "ok", in_words(encoder.preprocessing))
    ramp = np.linspace(0, 255, 300 * 400).reshape(300, 400).astype(np.uint8)
    vector = encoder.embed(encoder.transform(ramp)[None])
    finite = bool(torch.isfinite(vector).all())
    detail = f"a film gives {vector.shape[1]} features" if finite else "a film gives features that are not finite"
    yield Check("encoder features", "ok" if finite else "FAULT", detail)
    if encoder.towers is None:
        left = any("left behind" in str(note) for note in origin.get("notes", []))
        told = "its text tower waits for --tokenizer" if left else "none: it cannot compare films with text"
        yield Check("encoder text", "warning" if left else "ok", told)
        return
    said = encoder.embed_text([SENTENCE])
    fine = bool(torch.isfinite(said).all()) and bool(said.any())
    detail = f"a sentence gives {said.shape[1]} features" if fine else "a sentence gives no usable features"
    yield Check("encoder text", "ok" if fine else "FAULT", detail)


def _tokenizer(path: Path) -> Check:
    from hilum.transforms.text import read_tokenizer

    try:
        reader = read_tokenizer(path)
        read = reader.encode(SENTENCE, 64)
    except UserError as error:
        return Check("tokenizer", "FAULT", str(error))
    return Check("tokenizer", "ok", f"{len(reader):,} entries; a test sentence is {int(read.mask.sum())} of them")
