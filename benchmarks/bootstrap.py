"""Patient-level bootstrap beside a scikit-learn loop, in turn: AUROC and AUPRC of every finding in 1,000 draws.

Two sizes: 14 findings x 5,000 images, and 40 x 50,000 (goal: at most 15 s on 2 cores). One image a patient, the most
to draw; prevalences from 1 to 50 %; scores of six digits, so few ties. After a warm-up that pays for imports and
compilation, the two take turns: the loop does a few replicates and is scaled to all draws, ours runs in full with its
draws, sorting and intervals, and with the ECE and Brier replicates that every bootstrap now has. Given are seconds by
the clock and of the processor, the median of the paired ratios of processor seconds with the smallest and the largest,
and the largest difference of the same replicates. The result is also compared with one thread's, bit by bit.

Run: `OMP_NUM_THREADS=1 python -m benchmarks.bootstrap [--turns 3] [--replicates 2] [--cases small large]`
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from hilum.metrics import cores
from hilum.metrics.bootstrap import Bootstrap, bootstrap
from hilum.metrics.replicates import draw_blocks

DRAWS, SEED = 1000, 0
CASES = {"small": (14, 5_000), "large": (40, 50_000)}


def make_scores(findings: int, images: int, strength: float = 1.0, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N, K) of 1 to 50 % prevalence, and scores (N, K) of six digits."""
    labels = (np.random.default_rng(0).random((images, findings)) < np.geomspace(0.01, 0.5, findings)).astype(float)
    noise = np.random.default_rng(seed).normal(size=labels.shape)
    return labels, np.round(1 / (1 + np.exp(-(noise + strength * labels - 1))), 6)


def timed(work: Callable[[], object]) -> tuple[float, float, object]:
    """Seconds by the clock, seconds of the processor, and the result."""
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - wall, time.process_time() - processor, found


def machine(*packages: str) -> str:
    """What the numbers were measured with."""
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    return ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages), load])


def ours(labels: np.ndarray, scores: np.ndarray) -> Bootstrap:
    """All draws, and every interval of the table."""
    names = [f"finding {k}" for k in range(labels.shape[1])]
    result = bootstrap(labels, scores, np.arange(len(labels)), findings=names, draws=DRAWS, seed=SEED)
    for metric in ("auroc", "auprc"):
        result.macro(metric)
        for name in names:
            result.estimate(metric, name)
    return result


def loop(labels: np.ndarray, scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(2, K, R) AUROC and average precision of the replicates in `counts` (N, R) by scikit-learn."""
    return np.array(
        [
            [
                [metric(labels[:, k], scores[:, k], sample_weight=weight) for weight in counts.T]
                for k in range(labels.shape[1])
            ]
            for metric in (roc_auc_score, average_precision_score)
        ]
    )


def measure(findings: int, images: int, turns: int, replicates: int) -> None:
    """One size: turns, ratios, agreement."""
    labels, scores = make_scores(findings, images)
    ids, row = np.unique(np.arange(images).astype(str), return_inverse=True)
    counts = next(draw_blocks(ids.size, DRAWS, SEED))[row][:, :replicates]
    clocks, processors, peers = [], [], []
    for _ in range(turns):
        wall, processor, theirs = timed(lambda: loop(labels, scores, counts))
        peers.append(processor / replicates * DRAWS)
        wall, processor, result = timed(lambda: ours(labels, scores))
        clocks.append(wall)
        processors.append(processor)
    gap = max(
        np.abs(theirs[place] - result.replicates[metric][:, :replicates]).max()  # type: ignore[index, attr-defined]
        for place, metric in enumerate(("auroc", "auprc"))
    )
    ratios = sorted(peer / one for peer, one in zip(peers, processors, strict=True))
    print(f"{DRAWS} draws x {findings} findings x {images:,} images, {turns} turns")
    print(f"  scikit-learn, {replicates} replicates scaled, processor s  {statistics.median(peers):10.1f}")
    print(f"  hilum, processor s                            {statistics.median(processors):10.3f}")
    print(f"  hilum, clock s                                {statistics.median(clocks):10.3f}", end="")
    print(f"  [{min(clocks):.3f}, {max(clocks):.3f}]")
    print(f"  ratio of processor seconds                    {statistics.median(ratios):10.0f}", end="")
    print(f"  [{ratios[0]:.0f}, {ratios[-1]:.0f}]")
    print(f"  largest absolute difference                   {gap:10.1e}")


def main() -> None:
    """Warm up, measure, compare with one thread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--replicates", type=int, default=2, help="replicates given to scikit-learn in each turn")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    options = parser.parse_args()
    small = make_scores(3, 300)
    both = ours(*small)
    loop(*small, np.ones((300, 1)))
    print(machine("numpy", "numba", "scikit-learn"))
    for name in options.cases:
        measure(*CASES[name], options.turns, options.replicates)
    cores._cores = lambda: 1  # type: ignore[assignment]
    alone = ours(*small)
    same = all(np.array_equal(both.replicates[m], alone.replicates[m], equal_nan=True) for m in both.replicates)
    print(f"one thread gives the same bits: {same}")


if __name__ == "__main__":
    main()
