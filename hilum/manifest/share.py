"""Some of the patients: a nested share to pretrain on less, the first few of a split to judge in less time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from hilum.errors import ConfigError
from hilum.manifest.rules import same_patient
from hilum.manifest.split import keyed_draws
from hilum.manifest.table import Manifest


def share_of_patients(films: Manifest, fraction: float, seed: int) -> tuple[Manifest, int]:
    """The films of a share of the patients; no labels are looked at, unlike `labels.nested_fraction`.

    Patients stand in one order, by a hash of the seed and their id, and the first `round(fraction * n)` are kept: for
    one seed a smaller share lies inside every larger one.

    Args:
        films: whose patients are counted.
        fraction: in (0, 1].
        seed: another seed, another order.

    Returns:
        The films kept and the number of patients.

    Raises:
        ConfigError: `fraction` outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ConfigError(f"must be in (0, 1], not {fraction}", where="--data-fraction", fix="Use e.g. 0.2 or 1")
    names = np.asarray([same_patient(name) for name in films.table["patient_id"]], dtype=object)
    codes, unique = pd.factorize(names)
    place = np.argsort(np.argsort(keyed_draws(unique, f"hilum share {seed}"), kind="stable"), kind="stable")
    count = max(1, round(fraction * len(unique)))
    kept = place[codes] < count
    return Manifest(films.table.loc[kept].reset_index(drop=True), films.root), count


def first_patients(films: Manifest, limits: Mapping[str, int]) -> Manifest:
    """The films of the first so many patients of each split named, in table order; other splits stay whole."""
    table = films.table
    kept = ~table["split"].isin(list(limits))
    for split, patients in limits.items():
        mine = table["split"] == split
        kept |= mine & table["patient_id"].isin(table.loc[mine, "patient_id"].unique()[:patients])
    return Manifest(table[kept].reset_index(drop=True), films.root)
