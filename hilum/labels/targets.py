"""From label cells to training targets (N, K): uncertain labels by a policy, findings or exclusive classes, checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ConfigError, ManifestError
from hilum.labels.policy import LabelPolicy
from hilum.lookup import unknown_name
from hilum.manifest import Manifest

Targets = Literal["multilabel", "multiclass"]


def check_findings(manifest: Manifest, findings: Sequence[str]) -> None:
    """Refuse findings that the manifest does not have, an empty list, and repeats.

    Raises:
        ConfigError: with the findings that are there.
    """
    if not findings:
        raise ConfigError(
            "no finding named", where="labels", fix=f"Choose from: {', '.join(manifest.findings) or 'none'}"
        )
    for finding in findings:
        if finding not in manifest.findings:
            raise unknown_name(finding, list(manifest.findings), kind="finding", where="labels")
    if len(set(findings)) < len(findings):
        raise ConfigError(f"a finding is named twice in {','.join(findings)}", where="labels", fix="Name each one once")


def targets_of(
    manifest: Manifest, findings: Sequence[str], policy: LabelPolicy, kind: Targets = "multilabel"
) -> NDArray[np.float32]:
    """Targets (N, K) float32 of 1, 0 and NaN for all rows of a manifest.

    With `kind="multiclass"` the K findings are classes of which exactly one holds: a row with one present
    class is that class, whatever is blank beside it; a row in which some cell is unknown and none is present
    is unknown (all NaN).

    Raises:
        ConfigError: a finding the manifest does not have.
        ManifestError: multi-class, and a row has two classes present, or all of them absent.
    """
    check_findings(manifest, findings)
    targets = policy.apply(manifest.labels(tuple(findings)), findings)
    return targets if kind == "multilabel" else _one_of(targets, manifest, findings)


def check_both_classes(targets: NDArray[np.float32], findings: Sequence[str], *, split: str) -> None:
    """Refuse findings that cannot be learned or judged because one of the two classes is missing.

    Raises:
        ManifestError: naming the findings with their counts of positives and negatives.
    """
    counts = [(int((column == 1).sum()), int((column == 0).sum())) for column in targets.T]
    poor = [
        f"{name} ({pos} positive, {neg} negative)"
        for name, (pos, neg) in zip(findings, counts, strict=True)
        if not (pos and neg)
    ]
    if poor:
        raise ManifestError(
            f"the {split} split lacks one of the two classes of {', '.join(poor)}",
            where="labels",
            fix="Drop that finding, use a larger --fraction, or another --policy for uncertain labels",
        )


def _one_of(targets: NDArray[np.float32], manifest: Manifest, findings: Sequence[str]) -> NDArray[np.float32]:
    present = (targets == 1).sum(axis=1)
    wrong = np.flatnonzero((present > 1) | ((targets == 0).all(axis=1)))
    if wrong.size:
        raise ManifestError(
            f"{wrong.size} of {len(targets)} films do not have exactly one of {', '.join(findings)}, "
            f"first {manifest.table['image_id'].iloc[wrong[0]]!r}",
            where="labels",
            fix="Use --targets multilabel, or classes of which each film has exactly one",
        )
    classes = np.where(targets == 1, np.float32(1), np.float32(0))
    classes[present == 0] = np.nan
    return classes
