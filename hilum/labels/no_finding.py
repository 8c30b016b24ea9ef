"""Negative screening: the label `NoFinding`, derived where a table has none.

A supplied column wins. Without one a film is normal (1) if every label of the set is 0, abnormal (0) if any is 1, and
unknown otherwise: a film on which something is blank or uncertain is not known to be normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from hilum.errors import ManifestError
from hilum.manifest import Manifest
from hilum.schema import ABSENT, PRESENT, label_column

NO_FINDING: Final = "NoFinding"


def with_no_finding(manifest: Manifest, findings: Sequence[str]) -> tuple[Manifest, str | None]:
    """The manifest with a column `label.NoFinding`, if it is asked for and not there; and the rule in words.

    Args:
        manifest: any rows; the column is derived row by row.
        findings: those asked for.

    Returns:
        The manifest, the same object where nothing was derived, and what the column means (None: nothing derived).

    Raises:
        ManifestError: it is asked for and the table has no label at all to derive it from.
    """
    if NO_FINDING not in findings or NO_FINDING in manifest.findings:
        return manifest, None
    others = manifest.findings
    if not others:
        raise ManifestError(
            "has no label columns: NoFinding cannot be derived", where=manifest.root, fix="Add label.* columns"
        )
    labels = manifest.labels(others)
    normal = np.where((labels == ABSENT).all(axis=1), PRESENT, np.nan)
    normal[(labels == PRESENT).any(axis=1)] = ABSENT
    table = manifest.table.assign(**{label_column(NO_FINDING): normal})
    return Manifest(table, manifest.root), rule_in_words(others)


def rule_in_words(others: Sequence[str]) -> str:
    """What a derived NoFinding means: for the log, the plan and the results page."""
    return (
        f"NoFinding is derived from {len(others)} labels ({', '.join(others)}): 1 where all are 0, 0 where any is 1, "
        "unknown where none is 1 and some are blank or uncertain"
    )
