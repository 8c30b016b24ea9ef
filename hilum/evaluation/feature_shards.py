"""How features lie on disk, and how a shard of them is written so that it may be killed at any moment.

    index.json          what the numbers depend on: encoder, preprocessing, blocks, films
    films.parquet       the films in row order: image_id, and the size and time of its file
    cls/00000.npy       class tokens of a shard of films       (rows, blocks, width)          float16
    mean/00000.npy      means of the patch tokens              (rows, blocks, width)          float16
    patch/00000.npy     patch tokens                           (rows, blocks, patches, width) float16
    shards/00000.json   written last: the sizes of this shard's files and a checksum of every film in them

Blocks stand oldest first; the last one is the encoder's output. A shard without its record does not count and is made
again.

float16 keeps 11 binary digits: a value is off by at most 0.05 % of itself (2^-11), or by 3e-8 where it is below 6e-5.
A value beyond 65,504 is refused, not clipped: a head would learn from other numbers than it is given in the end.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.errors import CheckpointError
from hilum.manifest import Manifest
from hilum.run_folder import sync_folder, write_atomic
from hilum.schema import Preprocessing

Kind = Literal["cls", "mean", "patch"]
KINDS: Final[tuple[Kind, ...]] = ("cls", "mean", "patch")
INDEX, FILMS, SHARDS = "index.json", "films.parquet", "shards"
HALF: Final = np.dtype("<f2")
LARGEST: Final = float(np.finfo(np.float16).max)  # 65,504
FACTS: Final = ("bytes", "modified_ns")  # of a film's file; they change when the file does

# --- the index --------------------------------------------------------------------------------------------------------

_WORDS: Final = {
    "encoder_sha256": "encoder weights",
    "films_sha256": "films or their files",
    "films": "number of films",
}


@dataclass(frozen=True)
class StoreIndex:
    """What the numbers of a store depend on, and how they are laid out."""

    encoder_sha256: str  # of the backbone's weights
    preprocessing: dict[str, Any]  # the encoder's record
    precision: str  # arithmetic of the encoder's forward pass
    kinds: tuple[Kind, ...]
    blocks: int  # the last ones of the encoder
    grid: tuple[int, int]  # rows and columns of patches
    width: int  # features of one token
    films: int
    films_sha256: str  # digest of the film table
    shard: int  # films a shard
    origin: dict[str, Any] = field(default_factory=dict)  # where the encoder comes from; decides nothing

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.films // self.shard)

    def span(self, number: int) -> range:
        """Rows of one shard."""
        return range(number * self.shard, min((number + 1) * self.shard, self.films))

    def shape(self, kind: Kind) -> tuple[int, ...]:
        """Of one film's features: (blocks, width) or (blocks, patches, width)."""
        patches = (self.grid[0] * self.grid[1],) if kind == "patch" else ()
        return (self.blocks, *patches, self.width)

    def bytes(self, kind: Kind, films: int) -> int:
        """What so many films take on disk."""
        return HALF.itemsize * int(np.prod(self.shape(kind))) * films

    @property
    def key(self) -> str:
        """sha256 of everything but the origin; every shard carries it."""
        facts = {name: value for name, value in self.to_json().items() if name != "origin"}
        return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        values: dict[str, Any] = json.loads(json.dumps({part.name: getattr(self, part.name) for part in fields(self)}))
        return values

    @classmethod
    def read(cls, folder: Path) -> StoreIndex:
        """The index of a store, finished or not.

        Raises:
            CheckpointError: there is none.
        """
        try:
            values = json.loads((folder / INDEX).read_text())
            values["kinds"], values["grid"] = tuple(values["kinds"]), tuple(values["grid"])
            return cls(**values)
        except (OSError, ValueError, TypeError, KeyError) as error:
            what = f"is not a feature store (no readable {INDEX})"
            raise CheckpointError(what, where=folder, fix="Give the folder of `hilum embed`") from error

    def differences(self, other: StoreIndex) -> list[str]:
        """What sets `other` apart, a phrase each: "blocks 4 and 1"; empty where the numbers are the same."""
        mine, theirs = ({**index.to_json(), **_preprocessing(index)} for index in (self, other))
        return [
            f"{_WORDS.get(name, name)} {_short(mine[name])} and {_short(theirs[name])}"
            for name in mine
            if name not in ("origin", "preprocessing") and mine[name] != theirs[name]
        ]


def _preprocessing(index: StoreIndex) -> dict[str, Any]:
    """Field by field; a field that the record does not have yet holds its default."""
    record = Preprocessing.from_json(index.preprocessing).to_json()
    return {f"preprocessing {name}": value for name, value in record.items()}


def _short(value: Any) -> str:
    if isinstance(value, str) and len(value) == 64:  # a sha256
        return value[:12]
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


# --- the films --------------------------------------------------------------------------------------------------------


def film_table(manifest: Manifest) -> pd.DataFrame:
    """image_id, bytes and modified_ns of every film, in row order."""
    stats = [path.stat() for path in manifest.paths()]
    return pd.DataFrame(
        {
            "image_id": manifest.table["image_id"].to_list(),
            "bytes": np.array([stat.st_size for stat in stats], dtype=np.int64),
            "modified_ns": np.array([stat.st_mtime_ns for stat in stats], dtype=np.int64),
        }
    )


def films_digest(table: pd.DataFrame) -> str:
    """sha256 of a film table's content."""
    return sha256(json.dumps([table[name].tolist() for name in ("image_id", *FACTS)]).encode()).hexdigest()


# --- the shards -------------------------------------------------------------------------------------------------------


def shard_file(folder: Path, kind: Kind, number: int) -> Path:
    """Where one kind of features of a shard lies."""
    return folder / kind / f"{number:05d}.npy"


def record_file(folder: Path, number: int) -> Path:
    """Where the record of a shard lies."""
    return folder / SHARDS / f"{number:05d}.json"


def read_record(folder: Path, number: int) -> dict[str, Any] | None:
    """key, rows and files of a shard; None where there is no readable record."""
    try:
        record: dict[str, Any] = json.loads(record_file(folder, number).read_text())
    except (OSError, ValueError):
        return None
    return record


def shard_is_whole(folder: Path, index: StoreIndex, number: int) -> bool:
    """Whether a shard has a record, of these features, and files of the recorded sizes."""
    record = read_record(folder, number)
    if record is None or record.get("key") != index.key:
        return False
    paths = {kind: shard_file(folder, kind, number) for kind in index.kinds}
    return all(path.is_file() and path.stat().st_size == record["files"][kind]["bytes"] for kind, path in paths.items())


Part = Mapping[Kind, NDArray[np.float32]]  # features of a batch of films: kind -> (rows, *index.shape(kind))


def write_shard(folder: Path, index: StoreIndex, number: int, parts: Iterable[Part], names: Sequence[str]) -> None:
    """Write the files of a shard under temporary names, sync, rename, then write the record that makes them count.

    Args:
        folder: of the store.
        index: of the store.
        number: of the shard.
        parts: features of its films in row order, batch by batch.
        names: their image ids, for messages.

    Raises:
        CheckpointError: a feature is not finite, or beyond what float16 holds; nothing of the shard is kept.
        OSError: the disk is full or cannot be written; nothing of the shard is kept.
    """
    paths = {kind: shard_file(folder, kind, number) for kind in index.kinds}
    record = record_file(folder, number)
    for path in (*paths.values(), record):
        path.parent.mkdir(parents=True, exist_ok=True)
    record.unlink(missing_ok=True)  # of a damaged shard
    partial = {kind: path.with_name(f".{path.name}.partial") for kind, path in paths.items()}
    try:
        sums = _write_films(partial, index, parts, names)
        for kind, path in paths.items():
            os.replace(partial[kind], path)
            sync_folder(path.parent)
    finally:
        for path in partial.values():
            path.unlink(missing_ok=True)
    files = {kind: {"bytes": path.stat().st_size, "crc32": sums[kind]} for kind, path in paths.items()}
    span = index.span(number)
    write_atomic(record, json.dumps({"key": index.key, "rows": [span.start, span.stop], "files": files}) + "\n")


def _write_films(
    paths: Mapping[Kind, Path], index: StoreIndex, parts: Iterable[Part], names: Sequence[str]
) -> dict[Kind, list[int]]:
    """One .npy file a kind, synced; the checksum of each film. Plain writes: a full disk kills who writes to a map."""
    sums: dict[Kind, list[int]] = {kind: [] for kind in paths}
    with ExitStack() as stack:
        files = {kind: stack.enter_context(open(path, "wb")) for kind, path in paths.items()}
        for kind, file in files.items():
            shape = (len(names), *index.shape(kind))
            header = {"descr": np.lib.format.dtype_to_descr(HALF), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            for kind, file in files.items():
                assert part[kind].shape[1:] == index.shape(kind), (kind, part[kind].shape)
                sums[kind] += _append(file, part[kind], names[len(sums[kind]) :])
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    assert all(len(found) == len(names) for found in sums.values()), "a shard without all of its films"
    return sums


def _append(file: BinaryIO, values: NDArray[np.float32], names: Sequence[str]) -> list[int]:
    """Films (R, ...) at the end of a file; the checksum of each."""
    largest = np.abs(values).reshape(len(values), -1).max(axis=1)
    bad = np.flatnonzero(~(largest <= LARGEST))  # NaN is not
    if len(bad):
        raise CheckpointError(
            f"gives film {names[bad[0]]!r} a feature of {largest[bad[0]]:g}; float16 ends at {LARGEST:,.0f}",
            where="encoder",
            fix="Look at that film; heads can also be trained straight from the encoder, without stored features",
        )
    films = values.astype(HALF)
    file.write(films.data)
    return [zlib.crc32(film.data) for film in films]
