"""A share of the training patients: nested, stratified, seeded, and saved with the run that learned from it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ConfigError, ManifestError
from hilum.manifest import Manifest, same_patient
from hilum.schema import ABSENT, PRESENT

Unit = Literal["patient", "image"]  # of which a fraction is taken


def nested_fraction(
    manifest: Manifest, fraction: float, seed: int, findings: Sequence[str] | None = None, unit: Unit = "patient"
) -> Manifest:
    """The manifest with only a share of its training patients; the other splits stay whole.

    The patients with at least one known label are put in one fixed order, which depends on the seed and the
    labels but not on the fraction, and the first `max(1, round(fraction * n))` of them are kept with all
    their training films. Hence 1 % is a subset of 10 % is a subset of 100 %, and no patient is cut in half.
    The order:

    1. Anchors. Finding by finding, the rarest first, the patient with the lowest hash of (seed, patient id)
       who is positive for it, unless an earlier anchor already is; then likewise one negative patient each. A
       fraction that holds the anchors (at most 2K patients) has both classes of every finding that has them
       at all.
    2. All others, stratified: each patient belongs to the stratum of the rarest finding he is positive for
       (or of none), strata are shuffled by the same hash and interleaved evenly, so that every prefix has the
       shares of the whole to within one patient a stratum.

    Args:
        manifest: any manifest with a train split.
        fraction: in (0, 1].
        seed: another seed, another subset.
        findings: those to stratify by; all of the manifest's when None.
        unit: "image" does the same with films in place of patients, as the lists behind published tables were drawn:
            some films of a patient may be learned from and others not. Nobody changes sides, so training and test
            patients stay apart.

    Raises:
        ConfigError: `fraction` outside (0, 1].
        ManifestError: no training patient has a known label.
    """
    if not 0 < fraction <= 1:
        raise ConfigError(f"fraction must be in (0, 1], not {fraction}", where="fraction", fix="Use 0.01, 0.1 or 1")
    names = tuple(manifest.findings if findings is None else findings)
    in_train = (manifest.table["split"] == "train").to_numpy()
    ids = _units(manifest, unit)
    drawn, positive, negative = _labels_of_units(manifest, ids, in_train, names)
    if not len(drawn):
        raise ManifestError(
            f"no training patient has a known label for {', '.join(names) or 'any finding'}",
            where=manifest.root,
            fix="Check the split and label columns",
        )
    order = _fixed_order(drawn, positive, negative, seed)
    kept = drawn[order[: max(1, round(fraction * len(order)))]]
    keep = ~in_train | np.isin(ids, kept)
    return replace(manifest, table=manifest.table[keep].reset_index(drop=True))


def fraction_record(
    manifest: Manifest, fraction: float, seed: int, *, unit: Unit = "patient", shots: int | None = None
) -> dict[str, Any]:
    """What is saved with a run to say whose films were learned from: ids, counts and their digest.

    Args:
        manifest: as `nested_fraction` or `few_shots` left it.
        fraction: of the training patients or films.
        seed: of the draw.
        unit: what the fraction was taken of; for films their ids are listed too, and the rule says what may be cut.
        shots: positive patients a finding, where these decided instead.
    """
    train = manifest.table[manifest.table["split"] == "train"]
    patients = sorted(set(train["patient_id"]))
    record: dict[str, Any] = {
        "fraction": fraction,
        "seed": seed,
        "n_patients": len(patients),
        "n_images": len(train),
        "digest": _sha256(patients),
        "patients": patients,
    }
    if shots is not None:
        record["shots"] = shots
    if unit == "image":
        images = sorted(train["image_id"])
        record |= {"unit": "image", "rule": "films were drawn, so a patient's films may be partly in, partly out"}
        record |= {"images_digest": _sha256(images), "images": images}
    return record


def shuffled_by_hash(ids: Sequence[str] | NDArray[Any], seed: int, key: str = "fraction") -> NDArray[np.int64]:
    """An order (P,) of ids that depends on the seed and the ids alone, whatever their number or order."""
    hashes = [hashlib.sha256(f"{key}:{seed}:{one}".encode()).hexdigest() for one in ids]
    return np.array(sorted(range(len(ids)), key=hashes.__getitem__), dtype=np.int64)


def patients_of(manifest: Manifest) -> NDArray[Any]:
    """The patient of every row (N,), equal where `same_patient` says so."""
    return np.array([same_patient(patient) for patient in manifest.table["patient_id"]], dtype=str)


# --- pieces ------------------------------------------------------------------------------------------------


def _sha256(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _units(manifest: Manifest, unit: Unit) -> NDArray[Any]:
    return patients_of(manifest) if unit == "patient" else np.array(manifest.table["image_id"], dtype=str)


def _labels_of_units(
    manifest: Manifest, units: NDArray[Any], rows: NDArray[np.bool_], names: Sequence[str]
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]:
    """Sorted patients or films of some rows with a known label (P,); has any film of theirs a 1, and a 0 (P, K)."""
    labels = manifest.labels(tuple(names))[rows]
    ids, index = np.unique(units[rows], return_inverse=True)
    positive, negative = (np.zeros((len(ids), len(names)), bool) for _ in range(2))
    np.logical_or.at(positive, index, labels == PRESENT)
    np.logical_or.at(negative, index, labels == ABSENT)
    known = np.zeros(len(ids), bool)
    np.logical_or.at(known, index, ~np.isnan(labels).all(axis=1))
    return ids[known], positive[known], negative[known]


def _fixed_order(
    units: NDArray[Any], positive: NDArray[np.bool_], negative: NDArray[np.bool_], seed: int
) -> NDArray[np.int64]:
    """The fixed order (P,) that `nested_fraction` takes prefixes of."""
    shuffled = shuffled_by_hash(units, seed)
    rarest_first = np.argsort(positive.sum(axis=0), kind="stable")

    anchors: list[int] = []
    for has in (positive, negative):
        for finding in rarest_first:
            candidates = shuffled[has[shuffled, finding]]
            if candidates.size and not has[anchors, finding].any():
                anchors.append(int(candidates[0]))

    stratum = np.full(len(units), -1)
    for finding in rarest_first[::-1]:  # the rarest is written last and wins
        stratum[positive[:, finding]] = finding
    rank = np.empty(len(units))  # of each in its stratum, as a share of it
    for value in np.unique(stratum):
        members = shuffled[stratum[shuffled] == value]
        rank[members] = (np.arange(len(members)) + 0.5) / len(members)
    rank[anchors] = -1.0 - np.arange(len(anchors), 0, -1)
    return shuffled[np.argsort(rank[shuffled], kind="stable")]
