"""Films of one split of which some mask is known, with their masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ManifestError
from hilum.manifest import Manifest
from hilum.manifest.masks import Masks
from hilum.schema import Split, label_column


@dataclass(frozen=True)
class MaskedFilms:
    """Films and what is drawn on them, row by row."""

    manifest: Manifest
    masks: Masks

    def __len__(self) -> int:
        return len(self.manifest)

    @property
    def findings(self) -> tuple[str, ...]:
        """Whose masks."""
        return self.masks.findings

    @property
    def image_ids(self) -> list[str]:
        """The films' ids, in row order."""
        return list(self.manifest.table["image_id"])

    def counts(self) -> dict[str, tuple[int, int]]:
        """Films with a mask, and films known to have none, by finding."""
        columns = zip(self.findings, self.masks.stated.T, strict=True)
        return {finding: (int((column == 1).sum()), int((column == 0).sum())) for finding, column in columns}

    def size(self, row: int) -> tuple[int, int] | None:
        """Rows and columns of a film as the manifest has them."""
        table = self.manifest.table
        if "height" not in table or "width" not in table:
            return None
        height, width = table[["height", "width"]].to_numpy(np.float64)[row]
        return (int(height), int(width)) if np.isfinite(height + width) else None

    def spacing(self, row: int) -> tuple[float, float] | None:
        """Millimetres from row to row and from column to column; None where the manifest does not say."""
        if "spacing_mm" not in self.manifest.table:
            return None
        try:
            numbers = [float(part) for part in str(self.manifest.table.loc[row, "spacing_mm"]).split(",")]
        except ValueError:
            return None
        if len(numbers) not in (1, 2) or not all(np.isfinite(n) and n > 0 for n in numbers):
            return None
        return numbers[0], numbers[-1]

    def take(self, rows: NDArray[np.intp]) -> MaskedFilms:
        """Some of them, in the order asked for."""
        table = self.manifest.table.iloc[rows].reset_index(drop=True)
        return MaskedFilms(Manifest(table, self.manifest.root), self.masks.take(rows))


def masked_films(everything: MaskedFilms, chosen: Manifest) -> MaskedFilms:
    """The films of `chosen`, a part of `everything`, of which some mask is known.

    Raises:
        ManifestError: there is none.
    """
    place = {image: row for row, image in enumerate(everything.manifest.table["image"])}
    rows = np.array([place[image] for image in chosen.table["image"]], dtype=np.intp)
    known = rows[~np.isnan(everything.masks.stated[rows]).all(axis=1)]
    if not known.size:
        raise ManifestError(
            f"no known mask of {', '.join(everything.findings)} on any of {len(rows)} films",
            where=everything.manifest.root,
            fix="Check the columns split and label.*, --views and --masks",
        )
    return everything.take(known)


def with_mask_labels(films: MaskedFilms) -> Manifest:
    """The manifest with label columns that say of which findings a mask is given: what fractions are stratified by."""
    columns = {label_column(name): films.masks.stated[:, k] for k, name in enumerate(films.findings)}
    return Manifest(films.manifest.table.assign(**columns), films.manifest.root)


def balanced(films: MaskedFilms, seed: int) -> MaskedFilms:
    """All films with a mask of any finding and, drawn by lot, as many without: what MedIM's harness trains on."""
    positive = (films.masks.stated == 1).any(axis=1)
    with_mask, without = np.flatnonzero(positive), np.flatnonzero(~positive)
    drawn = np.random.default_rng(seed).permutation(without)[: len(with_mask)]
    return films.take(np.sort(np.concatenate([with_mask, drawn])))


def check_teachable(films: MaskedFilms, split: Split) -> None:
    """Refuse findings of which a split has no mask.

    Raises:
        ManifestError: naming them.
    """
    poor: Sequence[str] = [name for name, (masks, _) in films.counts().items() if not masks]
    if poor:
        raise ManifestError(
            f"the {split} split has no mask of {', '.join(poor)}",
            where="labels",
            fix="Drop that finding, or use a larger --fraction",
        )
