"""The manifest: the one table that says which films exist, whose they are, and what is known about them.

In memory every text column is text with "" for blank, ids included ("00123" stays "00123"), and every number
(`label.*`, `time.*`, `event.*`, `age`, sizes) is float64 with NaN for blank.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from hilum.errors import ManifestError
from hilum.lookup import unknown_name
from hilum.manifest.file import read_csv, read_parquet
from hilum.manifest.rules import checked
from hilum.run_folder import write_atomic
from hilum.schema import LABEL_PREFIX, SPLITS, TIME_PREFIX, VIEWS, label_column

FILE_NAMES = ("manifest.parquet", "manifest.csv")  # looked for in this order


@dataclass(frozen=True)
class Manifest:
    """A checked table of films and the folder that its `image` paths start from.

    Args:
        table: one row an image; make it through `read` or `from_table`, which check it.
        root: the folder that `image` is relative to.
    """

    table: pd.DataFrame
    root: Path

    @classmethod
    def read(cls, path: str | Path, *, patients: bool = True) -> Manifest:
        """Read and check a manifest.

        Args:
            path: a folder with `manifest.parquet` or `manifest.csv`, or the file itself.
            patients: refuse a patient who is in two splits; False only to report all of them.

        Raises:
            ManifestError: nothing there, unreadable, or a rule is broken (names line and column).
        """
        file = _find(Path(path))
        table = read_parquet(file) if file.suffix.lower() == ".parquet" else read_csv(file)
        return cls(checked(table, file, patients=patients), file.parent)

    @classmethod
    def from_table(cls, table: pd.DataFrame, root: str | Path) -> Manifest:
        """Check a table made in memory (any dtypes; blanks may be None, NaN or "").

        Raises:
            ManifestError: a rule is broken (names row and column).
        """
        return cls(checked(table.reset_index(drop=True), None), Path(root))

    def write(self, folder: str | Path) -> Path:
        """Check, then write `manifest.parquet` into `folder`: complete or not at all.

        Returns:
            The path of the file.
        """
        table = checked(self.table.reset_index(drop=True), None)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / FILE_NAMES[0]
        content = io.BytesIO()
        table.to_parquet(content, index=False)
        write_atomic(target, content.getvalue())
        return target

    def __len__(self) -> int:
        return len(self.table)

    @property
    def findings(self) -> tuple[str, ...]:
        """The findings that have a `label.` column, in column order."""
        return self._after(LABEL_PREFIX)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The survival endpoints that have a `time.` and an `event.` column."""
        return self._after(TIME_PREFIX)

    def _after(self, prefix: str) -> tuple[str, ...]:
        return tuple(name.removeprefix(prefix) for name in self.table.columns if name.startswith(prefix))

    def select(self, split: str | None = None, views: Sequence[str] | None = None) -> Manifest:
        """The rows of one split and of some view positions; may be empty, so look at `len`.

        Args:
            split: train, val or test; None takes every row.
            views: names of `VIEWS`; films whose view is blank are then left out. None takes every row.

        Raises:
            ConfigError: no such split or view.
        """
        keep = np.ones(len(self.table), dtype=bool)
        if split is not None:
            if split not in SPLITS:
                raise unknown_name(split, list(SPLITS), kind="split")
            keep &= (self.table["split"] == split).to_numpy(dtype=bool)
        if views is not None:
            for view in views:
                if view not in VIEWS:
                    raise unknown_name(view, list(VIEWS), kind="view position")
            keep &= self.table["view_position"].isin(list(views)).to_numpy(dtype=bool)
        return Manifest(self.table.loc[keep].reset_index(drop=True), self.root)

    def labels(self, findings: Sequence[str]) -> np.ndarray:
        """Label states of some findings.

        Returns:
            (N, K) float64: 1 present, 0 absent, -1 uncertain, NaN blank.

        Raises:
            ConfigError: the manifest has no such finding; the message lists those it has.
        """
        for finding in findings:
            if finding not in self.findings:
                raise unknown_name(finding, list(self.findings), kind="finding", where=str(self.root))
        columns = [label_column(finding) for finding in findings]
        return self.table[columns].to_numpy(dtype=np.float64).reshape(len(self), len(columns))

    def paths(self) -> list[Path]:
        """The image files, in row order."""
        return [self.root / image for image in self.table["image"]]

    def check_files(self) -> None:
        """Check that every image file exists; call it before anything long starts.

        Raises:
            ManifestError: files are missing; names the first and says how many.
        """
        missing = [path for path in self.paths() if not path.is_file()]
        if missing:
            raise ManifestError(
                f"{len(missing)} of {len(self)} image files are missing; the first is {missing[0]}",
                where=self.root,
                fix="Put the files there, or correct the column 'image' (relative to the manifest)",
            )

    @cached_property
    def digest(self) -> str:
        """sha256 of the content in row order; the same for a CSV and the Parquet made from it."""
        return _digest(self.table, sorted(self.table.columns))

    @cached_property
    def split_digest(self) -> str:
        """sha256 of who is in which split, whatever the order of rows; changes if a split is drawn again."""
        pairs = self.table[["patient_id", "split"]].drop_duplicates().sort_values(["patient_id", "split"])
        return _digest(pairs, ["patient_id", "split"])


def _find(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise ManifestError(
            "no such file or folder", where=path, fix="Give a folder made by `hilum prepare`, or a manifest"
        )
    for name in FILE_NAMES:
        if (path / name).is_file():
            return path / name
    raise ManifestError(
        f"no {FILE_NAMES[0]} or {FILE_NAMES[1]} in this folder",
        where=path,
        fix="Make one with `hilum prepare DIR --out DATA`, or a CSV with the columns image and patient_id",
    )


def _digest(table: pd.DataFrame, columns: list[str]) -> str:
    total = hashlib.sha256()
    for name in columns:
        column = table[name]
        if pd.api.types.is_numeric_dtype(column.dtype):
            body = np.ascontiguousarray(column.to_numpy(dtype="<f8") + 0.0).tobytes()  # + 0.0: -0.0 becomes 0.0
        else:
            body = "\0".join(column).encode()
        total.update(f"{name}\0{len(body)}\0".encode())
        total.update(body)
    return total.hexdigest()
