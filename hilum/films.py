"""The films of a manifest as 8-bit arrays, decoded once.

Films of one common size are kept in a memory-mapped file beside the manifest, so an epoch costs copies, not decoding.
Films of mixed sizes, and archives too large for that, are decoded at each access; the pixels are the same either way.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hilum.dicom.read import read_film
from hilum.errors import ImageError
from hilum.manifest import Manifest
from hilum.progress import ProgressBar

CACHE_LIMIT = 8 * 2**30  # bytes; larger archives are decoded at each access


class FilmStore:
    """Random access to the films of a manifest.

    Args:
        manifest: the films, in row order.
        cache: keep decoded films on disk where their sizes allow it.
        quiet: show no progress bar.
    """

    def __init__(self, manifest: Manifest, *, cache: bool = True, quiet: bool = False) -> None:
        self.paths = [str(path) for path in manifest.paths()]
        self._shape: tuple[int, int, int] | None = None
        self._cached: Path | None = None
        self._map: npt.NDArray[np.uint8] | None = None
        sizes = {(int(h), int(w)) for h, w in _stored_sizes(manifest)}
        if cache and len(sizes) == 1:
            height, width = sizes.pop()
            if len(self.paths) * height * width <= CACHE_LIMIT:
                self._shape = (len(self.paths), height, width)
                self._cached = _fill(self.paths, self._shape, manifest.root, quiet=quiet)

    def __len__(self) -> int:
        return len(self.paths)

    def __getstate__(self) -> dict[str, object]:
        return {
            **self.__dict__,
            "_map": None,
        }  # a memory map pickles as its whole content: loader processes reopen it

    def film(self, row: int) -> npt.NDArray[np.uint8]:
        """Film `row` as (H, W) uint8, 0 = black = air."""
        if self._cached is None:
            return decode(self.paths[row])
        if self._map is None:
            self._map = np.memmap(self._cached, dtype=np.uint8, mode="r", shape=self._shape)
        return np.array(self._map[row])


def decode(path: str | Path) -> npt.NDArray[np.uint8]:
    """One file through the pixel door, as (H, W) uint8."""
    grey: npt.NDArray[np.uint8] = np.rint(read_film(path).pixels * 255.0).astype(np.uint8)
    return grey


def _stored_sizes(manifest: Manifest) -> list[tuple[float, float]]:
    table = manifest.table
    if "height" not in table or "width" not in table or table[["height", "width"]].isna().any(axis=None):
        return []
    return list(table[["height", "width"]].drop_duplicates().itertuples(index=False, name=None))


def _fill(paths: list[str], shape: tuple[int, int, int], root: Path, *, quiet: bool) -> Path | None:
    """Decode all films into one file under `root/.hilum`; None where that folder cannot be written."""
    stamp = [[path, os.path.getsize(path), os.stat(path).st_mtime_ns] for path in paths]
    name = hashlib.sha256(json.dumps([stamp, shape]).encode()).hexdigest()[:16]
    target = root / ".hilum" / f"films-{name}.u8"
    if target.is_file() and target.stat().st_size == int(np.prod(shape)):
        return target
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(exist_ok=True)
        with open(partial, "wb") as file, ProgressBar("decoding films", len(paths), quiet=quiet) as bar:
            for path in paths:
                film = decode(path)
                if film.shape != shape[1:]:
                    raise ImageError(
                        f"is {film.shape[0]} x {film.shape[1]} pixels, its manifest row says {shape[1]} x {shape[2]}",
                        where=path,
                        fix="Correct height and width in the manifest, or run hilum prepare",
                    )
                file.write(film.tobytes())
                bar.advance()
        os.replace(partial, target)
    except OSError:  # read-only or full: work without the cache
        partial.unlink(missing_ok=True)
        return None
    except ImageError:
        partial.unlink(missing_ok=True)
        raise
    return target
