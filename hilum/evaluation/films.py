"""Films with targets, split by split: what every protocol starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ManifestError
from hilum.labels import LabelPolicy, Targets, targets_of
from hilum.manifest import Manifest
from hilum.schema import Split


@dataclass(frozen=True)
class LabelledFilms:
    """Films of one split of which at least one label is known, and their targets."""

    manifest: Manifest
    targets: NDArray[np.float32]  # (N, K) of 1, 0, NaN
    findings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.manifest)

    @property
    def image_ids(self) -> list[str]:
        """The films' ids, in row order."""
        return list(self.manifest.table["image_id"])

    def counts(self) -> dict[str, tuple[int, int]]:
        """Positives and negatives of each finding."""
        return {
            finding: (int((column == 1).sum()), int((column == 0).sum()))
            for finding, column in zip(self.findings, self.targets.T, strict=True)
        }


def labelled_films(
    manifest: Manifest, split: Split, findings: Sequence[str], policy: LabelPolicy, kind: Targets = "multilabel"
) -> LabelledFilms:
    """The films of a split with at least one known label.

    Raises:
        ConfigError: a finding the manifest does not have.
        ManifestError: no such film.
    """
    chosen = manifest.select(split=split)
    targets = targets_of(chosen, findings, policy, kind)
    known = ~np.isnan(targets).all(axis=1)
    if not known.any():
        raise ManifestError(
            f"the {split} split has {len(chosen)} films and none with a known label for {', '.join(findings)}",
            where=manifest.root,
            fix="Check the columns split and label.*, and --views",
        )
    table = chosen.table.iloc[np.flatnonzero(known)].reset_index(drop=True)
    return LabelledFilms(Manifest(table, manifest.root), targets[known], tuple(findings))
