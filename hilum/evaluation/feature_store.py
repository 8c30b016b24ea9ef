"""Features of many films, read from the folder that `hilum embed` wrote: by heads, and by anyone with NumPy.

store = hilum.FeatureStore.open("FEATURES")
store.read("cls", blocks=1)[:, 0]            # (N, D) float32: the class tokens of the encoder's output
store.image_ids                              # whose they are

Files are mapped into memory, so opening costs nothing and only what is asked for is read. The first time a film is
read its checksum is compared: a damaged shard is named, and nothing is learned from it. How the files lie is said in
`feature_shards`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.encoder import Encoder
from hilum.errors import CheckpointError, ConfigError, ManifestError
from hilum.evaluation.feature_shards import (
    FACTS,
    FILMS,
    HALF,
    Kind,
    StoreIndex,
    film_table,
    films_digest,
    read_record,
    record_file,
    shard_file,
    shard_is_whole,
)
from hilum.evaluation.features import weights_digest
from hilum.manifest import Manifest

Rows = Sequence[int] | NDArray[np.integer[Any]]
REPEAT: Final = "Repeat the `hilum embed` command: it makes what is missing"
ANEW: Final = "Run `hilum embed` again, into a new folder"


class FeatureStore:
    """A finished folder of features, opened with `FeatureStore.open`.

    Attributes:
        folder: where it lies.
        index: what the numbers depend on: encoder, preprocessing, kinds, blocks, grid, width.
        image_ids: the films, in row order.
    """

    def __init__(self, folder: Path, index: StoreIndex, table: pd.DataFrame) -> None:
        self.folder, self.index, self.table = folder, index, table
        self.image_ids: list[str] = table["image_id"].tolist()
        self._row_of = {image_id: row for row, image_id in enumerate(self.image_ids)}
        self._maps: dict[tuple[Kind, int], NDArray[np.float16]] = {}
        self._sums: dict[tuple[Kind, int], NDArray[np.int64]] = {}
        self._checked = {kind: np.zeros(index.films, dtype=bool) for kind in index.kinds}

    @classmethod
    def open(cls, folder: str | Path) -> FeatureStore:
        """Open the folder of `hilum embed`; features are read when they are asked for.

        Raises:
            CheckpointError: not a store, not finished, or a file is missing or of another size; it is named.
        """
        folder = Path(folder)
        index = StoreIndex.read(folder)
        missing = [number for number in range(index.shards) if not shard_is_whole(folder, index, number)]
        if missing:
            what = f"{len(missing)} of {index.shards} shards are missing or damaged, first number {missing[0]}"
            raise CheckpointError(f"{what} ({record_file(folder, missing[0]).name})", where=folder, fix=REPEAT)
        try:
            table = pd.read_parquet(folder / FILMS)
            whole = films_digest(table) == index.films_sha256
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"cannot be read ({error})", where=folder / FILMS, fix=REPEAT) from error
        if not whole:
            raise CheckpointError("is damaged: not the films of the index", where=folder / FILMS, fix=REPEAT)
        return cls(folder, index, table)

    def __len__(self) -> int:
        return self.index.films

    def rows(self, image_ids: Iterable[str]) -> NDArray[np.int64]:
        """Where films stand in the store.

        Raises:
            ManifestError: a film is not in the store.
        """
        ids = list(image_ids)
        absent = [image_id for image_id in ids if image_id not in self._row_of]
        if absent:
            what = f"{len(absent)} of {len(ids)} films are not among its {len(self)}, first {absent[0]!r}"
            raise ManifestError(what, where=self.folder, fix="Run `hilum embed` over these films too, in a new folder")
        return np.array([self._row_of[image_id] for image_id in ids], dtype=np.int64)

    def read(self, kind: str, rows: Rows | None = None, blocks: int | None = None) -> NDArray[np.float32]:
        """Features of some films.

        Args:
            kind: cls, mean or patch.
            rows: which films, in the order wanted; all of them where omitted.
            blocks: how many blocks, counted from the last; all where omitted.

        Returns:
            (R, blocks, width), or (R, blocks, patches, width) for patch; oldest block first.

        Raises:
            ConfigError: a kind, a row or a number of blocks that the store does not have.
            CheckpointError: a shard is damaged; it is named.
        """
        return self.take(kind, rows, blocks).astype(np.float32)

    def take(self, kind: str, rows: Rows | None = None, blocks: int | None = None) -> NDArray[np.float16]:
        """The same as `read`, in float16 as stored."""
        known, last = self._kind(kind), self._blocks(blocks)
        wanted = np.arange(len(self)) if rows is None else np.asarray(rows, dtype=np.int64).reshape(-1)
        if len(wanted) and not (wanted.min() >= 0 and wanted.max() < len(self)):
            what = f"asked for rows {wanted.min()} to {wanted.max()} of {len(self)} films"
            raise ConfigError(what, where=self.folder, fix="Take them from store.rows(image_ids)")
        depth, *rest = self.index.shape(known)
        found = np.empty((len(wanted), last, *rest), dtype=HALF)
        order = np.argsort(wanted, kind="stable")  # one shard after another, each from its start to its end
        shards = wanted[order] // self.index.shard
        for number in np.unique(shards).tolist():
            places = order[shards == number]
            inside = wanted[places] - number * self.index.shard
            films = self._map(known, number)
            self._check(known, number, films, inside)
            for place, row in zip(places, inside, strict=True):
                found[place] = films[row, depth - last :]
        return found

    def check_encoder(self, encoder: Encoder) -> None:
        """Refuse an encoder whose features these are not.

        Raises:
            CheckpointError: other weights or another preprocessing; the sentence says which.
        """
        digest, record = weights_digest(encoder.model), encoder.preprocessing.to_json()
        asked = replace(self.index, encoder_sha256=digest, preprocessing=record)
        differences = self.index.differences(asked)
        if differences:
            what = f"holds features of another encoder than the one given: {'; '.join(differences)}"
            raise CheckpointError(what, where=self.folder, fix=f"Give the encoder they came from. {ANEW}")

    def check_films(self, manifest: Manifest) -> NDArray[np.int64]:
        """Rows of a manifest's films, once it is sure that their files are the ones that were embedded.

        Raises:
            ManifestError: a film is not in the store, or its file has changed since.
        """
        now = film_table(manifest)
        rows = self.rows(now["image_id"])
        then = self.table.iloc[rows].reset_index(drop=True)
        changed = (then[list(FACTS)] != now[list(FACTS)]).any(axis=1).to_numpy()
        if changed.any():
            first = int(changed.argmax())
            told = [f"{fact} {then[fact][first]} and {now[fact][first]}" for fact in FACTS]
            what = f"{int(changed.sum())} of {len(now)} films have changed since they were embedded"
            what += f", first {now['image_id'][first]!r} ({', '.join(told)})"
            raise ManifestError(what, where=self.folder, fix=ANEW)
        return rows

    def _kind(self, kind: str) -> Kind:
        for known in self.index.kinds:
            if kind == known:
                return known
        held = ",".join(self.index.kinds)
        raise ConfigError(
            f"holds {held} and no {kind} tokens",
            where=self.folder,
            fix=f"Run `hilum embed` with --kinds {held},{kind}, into a new folder",
        )

    def _blocks(self, blocks: int | None) -> int:
        if blocks is None:
            return self.index.blocks
        if not 1 <= blocks <= self.index.blocks:
            what = f"asked for the last {blocks} blocks and holds {self.index.blocks}"
            raise ConfigError(what, where=self.folder, fix="Run `hilum embed` with more --blocks, into a new folder")
        return blocks

    def _map(self, kind: Kind, number: int) -> NDArray[np.float16]:
        """One file, mapped into memory: (rows, *index.shape(kind)), and its checksums."""
        if (kind, number) not in self._maps:
            record = read_record(self.folder, number)
            try:
                films = np.load(shard_file(self.folder, kind, number), mmap_mode="r")
            except (OSError, ValueError) as error:
                raise self._damaged(kind, number) from error
            shape = (len(self.index.span(number)), *self.index.shape(kind))
            if record is None or films.shape != shape or films.dtype != HALF:
                raise self._damaged(kind, number)
            self._sums[kind, number] = np.array(record["files"][kind]["crc32"], dtype=np.int64)
            self._maps[kind, number] = films
        return self._maps[kind, number]

    def _check(self, kind: Kind, number: int, films: NDArray[np.float16], rows: NDArray[np.int64]) -> None:
        """Compare the checksums of films that are read for the first time; rows (R,) inside the shard."""
        span, sums = self.index.span(number), self._sums[kind, number]
        checked = self._checked[kind][span.start : span.stop]
        for row in np.unique(rows[~checked[rows]]):
            if zlib.crc32(films[row]) != sums[row]:
                raise self._damaged(kind, number)
            checked[row] = True

    def _damaged(self, kind: Kind, number: int) -> CheckpointError:
        return CheckpointError(
            "is damaged: its content is not what was written",
            where=shard_file(self.folder, kind, number),
            fix="Delete this file and repeat the `hilum embed` command: it makes the shard again",
        )
