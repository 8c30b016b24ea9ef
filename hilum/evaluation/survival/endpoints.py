"""From the columns `time.<Endpoint>` and `event.<Endpoint>` to targets, with everything that can be wrong said first.

A film of which an endpoint is blank, or whose time is 0 (the event or the end of follow-up came on the day of the film,
so nobody was observed), has no target for it; both are counted and said. Negative times and other codes than 0, 1, 2
are refused at the manifest's door.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.errors import ConfigError, ManifestError
from hilum.lookup import unknown_name
from hilum.manifest import Manifest
from hilum.schema import ALL_CAUSE, EVENT_PREFIX, TIME_PREFIX

CENSORED, EVENT, COMPETING = 0.0, 1.0, 2.0


@dataclass(frozen=True)
class Follow:
    """How many films of a split end in what, for one endpoint."""

    films: int  # with a target
    events: int
    competing: int
    censored: int
    blank: int  # nobody followed this film up
    same_day: int  # time 0: left out
    longest: float  # days of the longest observation; 0 without films

    def to_json(self) -> dict[str, Any]:
        """The counts as plain JSON values."""
        return dict(vars(self))


def check_endpoints(manifest: Manifest, endpoints: Sequence[str]) -> None:
    """Refuse endpoints that the manifest does not have, an empty list, repeats, and competing causes of any death.

    Raises:
        ConfigError: naming the endpoints that are there.
        ManifestError: an event 2 of an endpoint with which nothing can compete.
    """
    known = ", ".join(manifest.endpoints) or "none: add columns time.<Endpoint> (days) and event.<Endpoint>"
    if not endpoints:
        raise ConfigError("no endpoint named", where="endpoints", fix=f"Choose from: {known}")
    for endpoint in endpoints:
        if not manifest.endpoints:
            raise ConfigError(f"{endpoint!r} has no follow-up in this data", where="endpoints", fix=f"It has {known}")
        if endpoint not in manifest.endpoints:
            raise unknown_name(endpoint, list(manifest.endpoints), kind="endpoint", where="endpoints")
    if len(set(endpoints)) < len(endpoints):
        raise ConfigError(f"an endpoint is named twice in {','.join(endpoints)}", where="endpoints", fix="Name it once")
    for endpoint in set(endpoints) & set(ALL_CAUSE):
        competing = (manifest.table[EVENT_PREFIX + endpoint] == COMPETING).to_numpy()
        if competing.any():
            first = manifest.table["image_id"].iloc[int(competing.argmax())]
            raise ManifestError(
                f"{int(competing.sum())} films have event 2, first {first!r}, but no cause competes with {endpoint}",
                where=EVENT_PREFIX + endpoint,
                fix="Write 1 for every death, or name the endpoint after its cause, e.g. CardiovascularDeath",
            )


def endpoint_targets(table: pd.DataFrame, endpoints: Sequence[str]) -> NDArray[np.float64]:
    """Targets (N, 2E): time in days (> 0) and event (0, 1, 2) of each endpoint in turn; NaN pairs where there is none.

    Args:
        table: of a checked manifest.
        endpoints: E names; one that the table lacks is unknown throughout.
    """
    targets = np.full((len(table), 2 * len(endpoints)), np.nan)
    for place, endpoint in enumerate(endpoints):
        if TIME_PREFIX + endpoint in table:
            time = table[TIME_PREFIX + endpoint].to_numpy(np.float64)
            event = table[EVENT_PREFIX + endpoint].to_numpy(np.float64)
            observed = (time > 0) & ~np.isnan(event)
            targets[observed, 2 * place], targets[observed, 2 * place + 1] = time[observed], event[observed]
    return targets


def follow_up(table: pd.DataFrame, endpoint: str) -> Follow:
    """The counts of one endpoint over the films of a table."""
    time, event = endpoint_targets(table, (endpoint,)).T
    same_day = int((table[TIME_PREFIX + endpoint] == 0).sum()) if TIME_PREFIX + endpoint in table else 0
    known = ~np.isnan(event)
    return Follow(
        films=int(known.sum()),
        events=int((event == EVENT).sum()),
        competing=int((event == COMPETING).sum()),
        censored=int((event == CENSORED).sum()),
        blank=len(table) - int(known.sum()) - same_day,
        same_day=same_day,
        longest=float(time[known].max()) if known.any() else 0.0,
    )


def check_learnable(follow: Follow, endpoint: str, *, split: str, horizon: float) -> None:
    """Refuse films from which an endpoint cannot be learned, or by which nothing can be chosen, up to the horizon.

    Raises:
        ManifestError: no event in the split.
        ConfigError: the horizon is not positive, or lies beyond all follow-up.
    """
    if not horizon > 0:
        raise ConfigError(f"must be a positive number of days, not {horizon:g}", where="horizon")
    if not follow.events:
        raise ManifestError(
            f"the {split} split ({follow.films} films with follow-up) has no event of {endpoint}",
            where=EVENT_PREFIX + endpoint,
            fix="Choose another endpoint, or give the split patients who had it",
        )
    if horizon > follow.longest:
        raise ConfigError(
            f"{horizon:g} days lie beyond the follow-up of {endpoint}: the longest of the {split} split is "
            f"{follow.longest:g} days",
            where="horizon",
            fix=f"Use at most {follow.longest:g}",
        )
