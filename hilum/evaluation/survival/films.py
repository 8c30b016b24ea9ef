"""Films of one split with follow-up: targets of findings and endpoints side by side, and the counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ManifestError
from hilum.evaluation.survival.endpoints import Follow, endpoint_targets, follow_up
from hilum.labels import LabelPolicy, targets_of
from hilum.manifest import Manifest
from hilum.metrics.survival import label_at
from hilum.schema import Split


@dataclass(frozen=True)
class FollowedFilms:
    """Films of which at least one endpoint or finding is known."""

    manifest: Manifest
    targets: NDArray[np.float64]  # (N, K + 2E): K findings (1, 0, NaN), then days and event code of each endpoint
    findings: tuple[str, ...]
    endpoints: tuple[str, ...]
    follow: dict[str, Follow]  # of each endpoint, over all films of the split, those left out included

    def __len__(self) -> int:
        return len(self.manifest)

    def followed(self, endpoint: str) -> NDArray[np.float64]:
        """Days and event code (N, 2) of one endpoint."""
        first = len(self.findings) + 2 * self.endpoints.index(endpoint)
        return self.targets[:, first : first + 2]

    def counts(self, horizon: float) -> dict[str, dict[str, Any]]:
        """What is known of each endpoint, also at the horizon: `yes`, `no`, and `lost` before it."""
        found = {}
        for endpoint in self.endpoints:
            time, event = self.followed(endpoint).T
            came = label_at(time, event, horizon)
            at_horizon = {"yes": int((came == 1).sum()), "no": int((came == 0).sum())}
            lost = self.follow[endpoint].films - sum(at_horizon.values())
            found[endpoint] = self.follow[endpoint].to_json() | {"at_horizon": {**at_horizon, "lost": lost}}
        return found


def followed_films(
    manifest: Manifest, split: Split, endpoints: Sequence[str], findings: Sequence[str], policy: LabelPolicy
) -> FollowedFilms:
    """The films of a split that have something to learn from or to choose by.

    Raises:
        ConfigError: an unknown finding.
        ManifestError: no such film.
    """
    chosen = manifest.select(split=split)
    labels = targets_of(chosen, findings, policy).astype(np.float64) if findings else np.empty((len(chosen), 0))
    times = endpoint_targets(chosen.table, endpoints)
    known = ~np.isnan(np.hstack([labels, times])).all(axis=1)
    if not (~np.isnan(times)).any():
        raise ManifestError(
            f"the {split} split has {len(chosen)} films and none with follow-up for {', '.join(endpoints)}",
            where=manifest.root,
            fix="Check the columns split, time.* and event.*, and --views",
        )
    rows = Manifest(chosen.table.iloc[np.flatnonzero(known)].reset_index(drop=True), manifest.root)
    return FollowedFilms(
        rows,
        np.hstack([labels, times])[known],
        tuple(findings),
        tuple(endpoints),
        {endpoint: follow_up(chosen.table, endpoint) for endpoint in endpoints},
    )
