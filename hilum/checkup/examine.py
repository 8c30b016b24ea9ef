"""All checks that were asked for, in one list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hilum.checkup.check import Check
from hilum.checkup.codecs import codecs
from hilum.checkup.machine import device, disk, interpreter, memory, packages


def examine(
    data: Path | None = None,
    *,
    encoder: str | None = None,
    tokenizer: Path | None = None,
    planned: Mapping[str, Any] | None = None,
    words: Callable[[Mapping[str, Any]], list[str]] | None = None,
) -> Iterator[Check]:
    """Run the checks, one at a time.

    Args:
        data: a data folder to look at as well.
        encoder: an encoder of any kind that `hilum.load` takes.
        tokenizer: a file or folder that reads reports.
        planned: arguments of a pretraining run whose hours are asked for.
        words: the command line that stands for such arguments.
    """
    yield interpreter()
    yield from packages()
    yield from device()
    yield from codecs()
    yield memory()
    yield disk(Path.cwd())
    if data is not None:
        from hilum.checkup.data_set import data_set

        yield from data_set(data)
    if encoder is not None or tokenizer is not None:
        from hilum.checkup.encoders import encoder_files

        yield from encoder_files(encoder, tokenizer)
    if planned is not None and words is not None:
        from hilum.checkup.estimate import estimate

        yield from estimate(planned, words)
