"""What a file is by its first bytes, whatever its name says: so that a wrong one is called by what it is.

A download that failed leaves an HTML page, a clone without Git LFS a pointer, a format of another framework comes
under a name that suggests ours. Each is told in one sentence with what to do instead.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from hilum.errors import CheckpointError

_HEAD: Final = 4096  # bytes that are looked at
_AGAIN: Final = "Download it again"
_CONVERT: Final = "Give a PyTorch or safetensors file of it"
_UNPACK: Final = "Unpack it and give the file inside"


@dataclass(frozen=True)
class FileKind:
    """A kind of file.

    Attributes:
        name: "torch archive", "pickle", "safetensors", or what it is instead of a checkpoint.
        what: the half sentence about it; "" for the three that can be read.
        fix: what to do instead.
    """

    name: str
    what: str = ""
    fix: str | None = None


ARCHIVE: Final = FileKind("torch archive")
PICKLE: Final = FileKind("pickle")
SAFETENSORS: Final = FileKind("safetensors")

# first bytes, place, kind: what they are, and what to give instead
_SIGNATURES: Final = (
    (b"version https://git-lfs.github.com", 0, "Git LFS pointer", "a pointer of Git LFS, not the file it points to",
     "Fetch the file itself: git lfs pull, or the download link of its page"),
    (b"%PDF-", 0, "PDF", "a PDF document", _AGAIN),
    (b"\x1f\x8b", 0, "gzip", "a gzip archive", _UNPACK),
    (b"BZh", 0, "bzip2", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\x00", 0, "xz", "an xz archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", 0, "zstandard", "a zstandard archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", 0, "7z", "a 7z archive", _UNPACK),
    (b"Rar!\x1a\x07", 0, "rar", "a RAR archive", _UNPACK),
    (b"\x89HDF\r\n\x1a\n", 0, "HDF5", "an HDF5 file, as Keras and TensorFlow write them", _CONVERT),
    (b"\x93NUMPY", 0, "NumPy", "a NumPy array, without the names of weights", _CONVERT),
    (b"GGUF", 0, "GGUF", "a GGUF file of llama.cpp", _CONVERT),
    (b"TFL3", 4, "TensorFlow Lite", "a TensorFlow Lite model", _CONVERT),
    (b"SQLite format 3\x00", 0, "SQLite", "an SQLite database", _CONVERT),
    (b"\x7fELF", 0, "program", "a program of Linux, not data", "Do not run it; ask where it came from"),
    (b"MZ", 0, "program", "a program of Windows, not data", "Do not run it; ask where it came from"),
    (b"\x89PNG\r\n\x1a\n", 0, "PNG", "a PNG image", "Give the encoder's file; films go to embed and predict"),
    (b"\xff\xd8\xff", 0, "JPEG", "a JPEG image", "Give the encoder's file; films go to embed and predict"),
    (b"DICM", 128, "DICOM", "a DICOM film", "Give the encoder's file; films go to embed and predict"),
    (b"PAR1", 0, "Parquet", "a Parquet table", _CONVERT),
    (b"\x0a\x0d\x0d\x0a", 0, "capture", "a network capture", _CONVERT),
)  # fmt: skip


@contextmanager
def open_checkpoint(path: str | Path) -> Iterator[tuple[BinaryIO, FileKind]]:
    """An ordinary, non-empty file of a kind that may hold weights, open for reading, and its kind.

    Raises:
        CheckpointError: no such file, not an ordinary one, not permitted, empty, or of another kind: named.
    """
    path = Path(path)
    try:  # a named pipe would keep a plain open waiting for ever
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError as error:
        raise CheckpointError("there is no such file", where=path, fix="Check the path") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot be opened ({reason_of(error)})", where=path, fix="Check the path") from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise CheckpointError(_unusual(mode), where=path, fix="Give a file")
    with os.fdopen(handle, "rb") as file:
        try:
            kind = kind_of(file)
        except OSError as error:
            raise CheckpointError(f"cannot be read ({reason_of(error)})", where=path, fix="Check its disk") from error
        if kind.what:
            raise CheckpointError(f"this is {kind.what}", where=path, fix=kind.fix)
        file.seek(0)
        yield file, kind


def kind_of(file: BinaryIO) -> FileKind:
    """What an open file is, by its first bytes and its last."""
    file.seek(0)
    head = file.read(_HEAD)
    size = file.seek(0, os.SEEK_END)
    if not head.strip(b"\x00"):
        what = "an empty file" if size == 0 else "a file that begins with nothing but zeros"
        return FileKind("empty", f"{what}: a download that never began", _AGAIN)
    for signature, place, name, what, fix in _SIGNATURES:
        if head[place : place + len(signature)] == signature:
            return FileKind(name, what, fix)
    if head[:2] == b"PK":
        return _zip(file, head, size)
    if head[257:262] == b"ustar":
        return _tar(head)
    return _text(head, size) or _safetensors(head, size) or _protobuf(head) or _pickle(head)


def _zip(file: BinaryIO, head: bytes, size: int) -> FileKind:
    """A zip archive: torch.save's, NumPy's, Keras's, a document, or one that was cut off."""
    file.seek(max(0, size - 66_000))
    tail = file.read()
    if head[:4] != b"PK\x03\x04" or b"PK\x05\x06" not in tail:
        return FileKind("torn archive", "an archive without its end: a download that broke off", _AGAIN)
    names = tail + head
    if b".pkl" in names:
        return ARCHIVE
    if b".npy" in names:
        return FileKind("NumPy archive", "a NumPy archive (.npz), whose names PyTorch does not know", _CONVERT)
    if b"model.weights.h5" in names or b"saved_model.pb" in names:
        return FileKind("Keras", "a Keras or TensorFlow model", _CONVERT)
    return FileKind("zip", "a zip archive, but not one of torch.save (it has no data.pkl)", _UNPACK)


def _tar(head: bytes) -> FileKind:
    """A tar archive; PyTorch's own format of 2016 was one."""
    name = head[:100].split(b"\x00")[0]
    if name.rstrip(b"/") in (b"sys_info", b"pickle", b"storages", b"tensors"):
        what = "a file of PyTorch older than 0.1.10 (a tar archive of 2016)"
        return FileKind("tar of PyTorch", what, "Load and save it once with PyTorch 0.2 to 1.5")
    return FileKind("tar", "a tar archive", _UNPACK)


def _text(head: bytes, size: int) -> FileKind | None:
    """A page, a configuration or another text under the name of a checkpoint."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<!--")):
        return FileKind("HTML", "an HTML page: the site answered with a page, not with the file", _LOGIN)
    if start.startswith((b"<?xml", b"<error")):
        return FileKind("XML", "an XML text: the storage answered with an error, not with the file", _LOGIN)
    if start.startswith((b"{", b"[")) and _is_text(head):
        return FileKind("JSON", "a JSON text, without any weights", "Give the file of weights that lies beside it")
    if _is_text(head) and (b"\n" in head or b" " in head) and not _is_old_pickle(head):
        said = " ".join(head[:60].decode("utf-8", "replace").split())
        return FileKind("text", f"a text that begins {said!r}", _LOGIN)
    return None


_LOGIN: Final = "Open its link in a browser (a licence or a login may be asked), download it again"


def _is_text(head: bytes) -> bool:
    try:
        text = head[: len(head) - 3 if len(head) == _HEAD else None].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter in "\n\r\t" for letter in text)


def _is_old_pickle(head: bytes) -> bool:
    """Whether a text may be a pickle of protocol 0: a mark, a name on two lines, a number, a quoted or a put text."""
    first = rb"\((?:[dlt]p\d|[IFNSVLc(]|i[\w.]+\n)|c[\w.]+\n[\w.]+\n|[IL]\d+L?\n|S['\"]|V[^\n]*\np\d"
    return re.match(first, head) is not None


def _safetensors(head: bytes, size: int) -> FileKind | None:
    """8 bytes of header length, then JSON; a length that its file cannot hold is a download that broke off."""
    if len(head) < 10:
        return None
    (length,) = struct.unpack("<Q", head[:8])
    if head[8:9] != b"{" or length > 1 << 40:
        return None
    if 8 + length > size:
        return FileKind("torn safetensors", "a safetensors file without its end: a download that broke off", _AGAIN)
    return SAFETENSORS


def _protobuf(head: bytes) -> FileKind | None:
    """ONNX and TensorFlow files: messages without a signature, told by their first fields."""
    if head[:1] == b"\x08" and len(head) > 2 and head[1] < 32 and head[2:3] in (b"\x12", b"\x3a", b"\x42"):
        return FileKind("ONNX", "an ONNX graph, whose weights have no names of their own", _CONVERT)
    if (
        head[:1] == b"\x0a"
        and b"\x12" in head[:64]
        and any(word in head for word in (b"Placeholder", b"Const", b"serve"))
    ):
        return FileKind("TensorFlow", "a TensorFlow graph", _CONVERT)
    return None


def _pickle(head: bytes) -> FileKind:
    """A pickle: protocols 2 to 5 say so, 0 and 1 begin with a mark, a name or a container."""
    if (head[:1] == b"\x80" and head[1:2] <= b"\x05") or head[:1] in b"(cLI]}NVSi)K.lOXUT":
        return PICKLE
    return FileKind("unknown", f"a file of no known kind (it begins with the bytes {head[:4].hex(' ')})", _CONVERT)


def _unusual(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return f"this is {kinds.get(stat.S_IFMT(mode), 'a socket')}, not a file"


def reason_of(error: BaseException) -> str:
    """An error in a few words."""
    told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(told.split())[:100] or type(error).__name__
