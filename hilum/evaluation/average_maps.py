"""Where a query looks on the chests of many patients, on one chest: attention maps averaged on an anchor film.

Paper: CheXFound, https://arxiv.org/abs/2502.05142, Fig. 7: the mean map of 25 films after affine registration. Films
are those that have the finding, drawn by lot, one a patient, until enough could be registered; how many could not, and
why, belongs to the picture. A map sums to 1 over the patches, so every film counts the same.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.errors import ConfigError
from hilum.evaluation.features import Runner
from hilum.evaluation.query_maps import QueryModel, film_maps
from hilum.evaluation.registration import Registration, average, register
from hilum.films import decode
from hilum.heads.grounding import on_film
from hilum.labels import LabelPolicy, targets_of
from hilum.manifest import Manifest, same_patient
from hilum.progress import ProgressBar
from hilum.schema import FRONTAL_VIEWS

Floats = NDArray[np.float64]

SIDE: Final = 256  # pixels of the longer side at which maps are averaged


@dataclass(frozen=True)
class AverageMap:
    """The mean attention of one query over films that have its finding."""

    finding: str
    heat: Floats  # (H, W) on the anchor, small; NaN where no film has a value
    positives: int  # patients with the finding
    used: int  # films
    left_out: dict[str, int]  # why a film could not be registered -> how many

    def to_json(self) -> dict[str, Any]:
        """The numbers under the picture."""
        left_out = dict(sorted(self.left_out.items()))
        return {"finding": self.finding, "patients_with_it": self.positives, "films": self.used, "left_out": left_out}


def find_anchor(manifest: Manifest, image_id: str) -> NDArray[np.uint8]:
    """The film on which others are laid.

    Raises:
        ConfigError: no such film, or it is not frontal.
    """
    found = manifest.table.index[manifest.table["image_id"] == image_id]
    if not len(found):
        example = manifest.table["image_id"].iloc[0]
        raise ConfigError(f"no film has the image_id {image_id!r}", where="anchor", fix=f"Give one such as {example!r}")
    view = manifest.table["view_position"].iloc[found[0]]
    if view and view not in FRONTAL_VIEWS:
        raise ConfigError(f"{image_id} is a {view} film", where="anchor", fix="Give a frontal one: PA or AP")
    return decode(manifest.paths()[found[0]])


def average_maps(
    model: QueryModel,
    manifest: Manifest,
    anchor: NDArray[np.uint8],
    *,
    registered: int = 25,
    seed: int = 0,
    runner: Runner | None = None,
) -> tuple[list[AverageMap], pd.DataFrame]:
    """Average the maps of every query whose finding the manifest has.

    Args:
        model: with queries.
        manifest: films that may be averaged; those that are known not to be frontal are passed over.
        anchor: (H, W) uint8.
        registered: films an average, where there are as many.
        seed: of the lot.
        runner: device, batch size and so on.

    Returns:
        One map a finding with at least one film, and a table of the registrations: image_id, likeness before and after,
        reason, and the motion.

    Raises:
        ConfigError: fewer than 1 film an average.
        MissingDependencyError: SimpleITK is not installed.
    """
    if registered < 1:
        raise ConfigError(f"must be at least 1, not {registered}", where="registered")
    runner = runner or Runner()
    done = dict[int, Registration]()
    chosen = dict[str, list[int]]()
    candidates = _candidates(model, manifest, seed)
    paths = manifest.paths()
    with ProgressBar("registering films", sum(map(len, candidates.values())), quiet=runner.quiet) as bar:
        for finding, rows in candidates.items():
            tried = chosen.setdefault(finding, [])
            for row in rows:
                if sum(done[one].usable for one in tried) < registered:
                    if row not in done:
                        done[row] = register(decode(paths[row]), anchor)
                    tried.append(row)
                bar.advance(1)
    rows = sorted(row for row, one in done.items() if one.usable)
    maps = film_maps(model, manifest, rows, runner) if rows else {}
    small = _small(anchor.shape)
    found = list[AverageMap]()
    for finding, tried in chosen.items():
        query = model.names.index(finding)
        record = model.preprocessing
        laid = (
            (
                on_film(maps[row].queries[query][None], _shape(manifest, row), record.resize, seen=record.seen)[0],
                done[row],
            )
            for row in tried
            if done[row].usable
        )
        heat, used = average(laid, small)
        left_out = Counter(done[row].reason for row in tried if not done[row].usable)
        found.append(AverageMap(finding, heat, len(candidates[finding]), used, dict(left_out)))
    return found, _table(manifest, done)


def _candidates(model: QueryModel, manifest: Manifest, seed: int) -> dict[str, list[int]]:
    """Rows of the films that have each finding, in the order of the lot, one a patient."""
    findings = [name for name in model.record.findings if name in manifest.findings]
    policy = LabelPolicy.from_json({"default": "ignore", "rules": {}, **model.record.policy})
    rules = {name: rule for name, rule in policy.rules.items() if name in findings}
    targets = targets_of(manifest, findings, LabelPolicy(policy.default, rules))
    frontal = manifest.table["view_position"].isin([*FRONTAL_VIEWS, ""]).to_numpy()
    patients = [same_patient(patient) for patient in manifest.table["patient_id"]]
    found = dict[str, list[int]]()
    for column, finding in enumerate(findings):
        order = np.random.default_rng([seed, column]).permutation(len(manifest))
        rows = [int(row) for row in order if frontal[row] and targets[row, column] == 1]
        first = {patients[row]: row for row in reversed(rows)}
        if rows:
            found[finding] = [row for row in rows if first[patients[row]] == row]
    return found


def _shape(manifest: Manifest, row: int) -> tuple[int, int]:
    """The shape of a film, small: maps need no more pixels."""
    return _small(decode(manifest.paths()[row]).shape)


def _small(shape: tuple[int, ...]) -> tuple[int, int]:
    height, width = (max(1, round(side * SIDE / max(shape))) for side in shape[:2])
    return height, width


def _table(manifest: Manifest, done: dict[int, Registration]) -> pd.DataFrame:
    names = ("xx", "xy", "yx", "yy")
    return pd.DataFrame(
        [
            {"image_id": manifest.table["image_id"].iloc[row], "reason": one.reason}
            | {"before": one.before, "after": one.after}
            | {f"matrix_{name}": value for name, value in zip(names, one.matrix.flat, strict=True)}
            | {"shift_x": one.shift[0], "shift_y": one.shift[1]}
            for row, one in sorted(done.items())
        ],
        columns=["image_id", "reason", "before", "after", *(f"matrix_{name}" for name in names), "shift_x", "shift_y"],
    )
