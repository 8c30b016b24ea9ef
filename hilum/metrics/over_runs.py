"""Several runs of one method, that differ by their seed, as one result: the mean over runs, in every bootstrap draw.

The interval is that of the mean over these runs on other patients; how much single runs spread is `spread`. With three
runs no interval over seeds is honest, so none is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hilum.metrics.bootstrap import NOT_PAIRED, Bootstrap


def mean_over_runs(runs: Sequence[Bootstrap]) -> Bootstrap:
    """Points and replicates averaged over runs that were judged on the same films with the same draws.

    Raises:
        ValueError: no runs, or runs that do not share patients, labels, findings, draws and seed.
    """
    if not runs or any(_shared(run) != _shared(runs[0]) for run in runs):
        raise ValueError(NOT_PAIRED)
    return replace(
        runs[0],
        points={name: np.mean([run.points[name] for run in runs], axis=0) for name in runs[0].points},
        replicates={name: np.mean([run.replicates[name] for run in runs], axis=0) for name in runs[0].replicates},
        jackknife={name: np.mean([run.jackknife[name] for run in runs], axis=0) for name in runs[0].jackknife},
    )


def _shared(run: Bootstrap) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """What runs to be averaged must have in common."""
    return run.pairing, run.findings, tuple(run.jackknife)


def spread(runs: Sequence[Bootstrap], metric: str) -> float | None:
    """Standard deviation (n - 1) of the macro value over runs; None for a single run or an undefined metric."""
    values = [run.macro(metric).value for run in runs]
    if len(values) < 2 or any(value is None for value in values):
        return None
    return float(np.std(np.array(values, dtype=np.float64), ddof=1))
