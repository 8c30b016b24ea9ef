"""The child process: the checkpoint on stdin, a safetensors file on stdout, one sentence on stderr if it is refused.

    python -I -S -B -c "<run child.main>" [KEY TO SKIP ...] < checkpoint > result.safetensors

It opens no file itself: the parent opens both, and this process gives up the right to open any before it looks at the
first byte.
"""

from __future__ import annotations

import codecs
import mmap
import os
from collections.abc import Sequence
from typing import Any, BinaryIO

from hilum.models.unpickling.archive import read_archive
from hilum.models.unpickling.confinement import confine, finish
from hilum.models.unpickling.layout import Tensors
from hilum.models.unpickling.records import RefusedError
from hilum.models.unpickling.stream import read_stream
from hilum.models.unpickling.tree import describe

REFUSED = 3  # exit code of a file that was read and found wanting; any other than 0 is a reader that was stopped


def main(skip: Sequence[str]) -> None:
    """Convert stdin to stdout and end the process."""
    size = os.fstat(0).st_size
    file = mmap.mmap(0, size, access=mmap.ACCESS_READ)
    out = os.fdopen(1, "wb", buffering=1 << 20)
    for codec in ("ascii", "latin-1", "utf-8", "raw-unicode-escape"):  # imported on first use, which then is too late
        codecs.lookup(codec)
    confine(size)
    try:
        convert(file, out, skip)
    except RefusedError as refused:
        _say(str(refused))
    except MemoryError:
        _say("it asks for more memory than its reader is given")
    except RecursionError:
        _say("it is nested too deeply")
    except Exception as error:
        _say(f"it is damaged in a way that nobody foresaw ({type(error).__name__}: {str(error)[:100]})")
    finish(0)


def convert(file: mmap.mmap, out: BinaryIO, skip: Sequence[str] = ()) -> None:
    """Read a mapped checkpoint and write its content as safetensors, the tree as metadata.

    Raises:
        RefusedError: it cannot be read safely.
    """
    view = memoryview(file)
    content: Any = read_archive(file, view) if bytes(view[:4]) == b"PK\x03\x04" else read_stream(file, view)
    tensors = Tensors(len(view))
    tree = describe(content, skip, tensors)
    tensors.write(out, tree, file)


def _say(sentence: str) -> None:
    os.write(2, " ".join(sentence.split()).encode("utf-8", "replace"))
    finish(REFUSED)
