"""Tasks that tests hand to worker processes: one that looks at a film, and some that misbehave."""

from __future__ import annotations

import os
import time
from typing import Any

from hilum.dicom.read import read_film
from hilum.dicom.store import store_film
from hilum.errors import ImageError


def shape(request: dict[str, Any]) -> dict[str, Any]:
    """Shape of a film, and whether its pixels are in range."""
    pixels = read_film(request["path"]).pixels
    return {"shape": pixels.shape, "inside": bool((pixels >= 0).all() and (pixels <= 1).all())}


def misbehave(request: dict[str, Any]) -> dict[str, Any]:
    """Do what the file's name says."""
    name = request["path"]
    if "abort" in name:
        os.abort()
    if "exit" in name:
        os._exit(3)
    if "hang" in name:
        time.sleep(60)
    if "memory" in name:
        return {"bytes": len(bytearray(2**40))}
    if "bad" in name:
        raise ImageError("is bad", where=name)
    if "bug" in name:
        raise KeyError(name)
    if "full" in name:
        raise OSError(28, "No space left on device", "images/x.png")
    if "print" in name:
        print("a codec that talks")  # noqa: T201
        os.write(1, b"on file descriptor one\n")
    return {"pid": os.getpid(), "name": name}


def store_or_abort(request: dict[str, Any]) -> dict[str, Any]:
    """The real task, but one file kills its process as a broken codec would."""
    if "killer" in request["path"]:
        os.abort()
    return store_film(request)
