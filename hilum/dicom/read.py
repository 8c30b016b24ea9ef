"""The one door for pixels: any supported file to a film in [0, 1].

The format is told by content, never by name. Whatever a decoder raises leaves here as `ImageError` with the path and
the reason. A damaged file can also kill a native codec's process; for files from strangers use
`hilum.dicom.decode_worker`, which calls this in a limited child process.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from hilum.dicom.film import MAX_FILE_BYTES, Film, reason
from hilum.errors import ImageError

Kind = Literal["png", "jpeg", "dicom"]
HEAD = 132  # bytes that tell the kind: a DICOM preamble and its four letters (PS3.10 7.1)


def read_film(path: str | Path) -> Film:
    """Decode a PNG, JPEG or DICOM file.

    Args:
        path: the file.

    Returns:
        The film: (H, W) float32 in [0, 1]; air is black whatever the file's photometric interpretation.

    Raises:
        ImageError: no such file, unknown format, damaged, too large, or not a chest film; says which and why.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            size = path.stat().st_size
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror})", where=path) from error
    kind = kind_of(head)
    if kind is None:
        raise ImageError(_not_an_image(head), where=path)
    if size > MAX_FILE_BYTES:
        raise ImageError(f"the file has {size} bytes; the limit is {MAX_FILE_BYTES}", where=path)
    try:
        with _silence():
            if kind == "dicom":
                from hilum.dicom.read_dicom import read_dicom

                return read_dicom(path)
            from hilum.dicom.read_raster import read_raster

            return read_raster(path, kind)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("decoding needs more memory than there is", where=path) from error
    except Exception as error:  # pydicom, Pillow and the codecs raise a dozen types for one fact: the file is bad
        raise ImageError(f"cannot be decoded ({reason(error)})", where=path) from error


@contextmanager
def _silence() -> Iterator[None]:
    """No warnings and no log lines: what matters is raised, and pydicom's remarks quote the header, names included."""
    logger = logging.getLogger("pydicom")
    before = logger.disabled
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.disabled = True
        try:
            yield
        finally:
            logger.disabled = before


def kind_of(head: bytes) -> Kind | None:
    """The format that a file's first `HEAD` bytes announce; None if it is none of ours."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[128:132] == b"DICM":
        return "dicom"
    # A data set without preamble starts with a low element of group 0008, or of the meta group 0002.
    if head[:2] in (b"\x08\x00", b"\x02\x00") and head[3:4] == b"\x00":
        return "dicom"
    return None


def _not_an_image(head: bytes) -> str:
    if not head:
        return "the file is empty"
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "the file is a web page, not a picture"
    return "the file is neither PNG, JPEG nor DICOM"
