"""K-shot training sets: K positive patients of every finding, and as many negative ones as that needs.

CXRBase (arXiv 2410.08861) detects from 50 films a finding and classifies from a few that it does not count; how the
negatives were chosen nobody says, so here is a rule. Patients stand in one order, by a hash of (seed, patient). Shot by
shot k = 1 ... K, each finding that has fewer than k positive patients so far gets its next positive one, the rarest
finding first; then each finding that has fewer than k negative patients gets its next negative one, of those without
any of the findings if there are such. The patients after shot k are a subset of those after shot k + 1. A patient is
positive if a film of his is; he is negative if a film is and none is positive; all his training films are kept.

Two findings that go together can leave one with more than K positive patients; never with fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ConfigError, ManifestError
from hilum.labels.fractions import patients_of, shuffled_by_hash
from hilum.labels.policy import LabelPolicy
from hilum.labels.targets import Targets, targets_of
from hilum.manifest import Manifest


def few_shots(
    manifest: Manifest,
    shots: int,
    seed: int,
    findings: Sequence[str],
    policy: LabelPolicy | None = None,
    kind: Targets = "multilabel",
) -> Manifest:
    """The manifest with K positive training patients a finding and the negatives they need; other splits stay whole.

    Args:
        manifest: any manifest with a train split.
        shots: K, at least 1.
        seed: another seed, another subset.
        findings: those counted.
        policy: what uncertain labels count as; ignored when None.
        kind: independent findings, or classes, of which each is the others' negative.

    Raises:
        ConfigError: K below 1, or an unknown finding.
        ManifestError: a finding has fewer than K positive or K negative training patients.
    """
    if shots < 1:
        raise ConfigError(f"must be at least 1, not {shots}", where="shots", fix="Use e.g. 10, or leave it out")
    in_train = (manifest.table["split"] == "train").to_numpy()
    targets = targets_of(manifest.select("train"), findings, policy or LabelPolicy(), kind)
    units = patients_of(manifest)
    patients, index = np.unique(units[in_train], return_inverse=True)
    positive, negative = (np.zeros((len(patients), len(findings)), bool) for _ in range(2))
    np.logical_or.at(positive, index, targets == 1)
    np.logical_or.at(negative, index, targets == 0)
    negative &= ~positive
    _check_enough(positive, negative, findings, shots)
    chosen = patients[_draw(positive, negative, shuffled_by_hash(patients, seed, "shots"), shots)]
    keep = ~in_train | np.isin(units, chosen)
    return replace(manifest, table=manifest.table[keep].reset_index(drop=True))


def _draw(
    positive: NDArray[np.bool_], negative: NDArray[np.bool_], order: NDArray[np.int64], shots: int
) -> NDArray[np.int64]:
    """Rows of the chosen patients, from who is positive and negative for what (P, K) each."""
    healthy_first = order[np.argsort(positive[order].any(axis=1), kind="stable")]
    rarest_first = np.argsort(positive.sum(axis=0), kind="stable")
    queues = [
        (has, finding, iter(line[has[line, finding]]))
        for has, line in ((positive, order), (negative, healthy_first))
        for finding in rarest_first
    ]
    chosen = np.zeros(len(order), bool)
    for shot in range(1, shots + 1):
        for has, finding, line in queues:
            while (chosen & has[:, finding]).sum() < shot:
                chosen[next(line)] = True  # one that is chosen already changes nothing
    return np.flatnonzero(chosen)


def _check_enough(
    positive: NDArray[np.bool_], negative: NDArray[np.bool_], findings: Sequence[str], shots: int
) -> None:
    poor = [
        f"{finding} ({has[:, column].sum()} {word})"
        for has, word in ((positive, "positive"), (negative, "negative"))
        for column, finding in enumerate(findings)
        if has[:, column].sum() < shots
    ]
    if poor:
        raise ManifestError(
            f"fewer than {shots} training patients of {', '.join(poor)}",
            where="shots",
            fix="Use fewer --shots, or drop these findings",
        )
