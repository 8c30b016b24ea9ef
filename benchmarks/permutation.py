"""Paired permutation test beside scipy.stats.permutation_test, in turn: AUROC and AUPRC, 1,000 permutations.

40 findings x 50,000 images (the goal: at most 40 s on 2 cores for both metrics and the macro averages), one image a
patient, prevalences from 1 to 50 %, scores of six digits. After a warm-up the two take turns: scipy gets one finding of
middling prevalence, scikit-learn's metrics as its statistic and a few permutations, and is scaled to 1,000 of 40; ours
runs in full. Both swap ranks. Given are seconds by the clock and of the processor, the median of the paired ratios of
processor seconds with the smallest and the largest, and the largest difference to scikit-learn over the same swaps.

Run: `OMP_NUM_THREADS=1 python -m benchmarks.permutation [--turns 3] [--permutations 8]`
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np
from scipy.stats import permutation_test as scipy_test
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.bootstrap import CASES, machine, make_scores, timed
from hilum.metrics.permutation import permutation_test
from hilum.metrics.swaps import pool, precision_gaps, ranking_gaps, swap_blocks

PERMUTATIONS, SEED = 1000, 0
MEASURES = {"auroc": roc_auc_score, "auprc": average_precision_score}


def ours(labels: np.ndarray, first: np.ndarray, second: np.ndarray, permutations: int = PERMUTATIONS) -> None:
    """Both metrics of every finding, and their macro averages."""
    for metric in MEASURES:
        permutation_test(
            labels, first, second, np.arange(len(labels)), metric=metric, permutations=permutations, seed=SEED
        )


def scipys(label: np.ndarray, first: np.ndarray, second: np.ndarray, permutations: int) -> None:
    """Both metrics of one finding."""
    for measure in MEASURES.values():
        scipy_test(
            (first, second),
            lambda a, b, measure=measure: measure(label, a) - measure(label, b),
            permutation_type="samples",
            vectorized=False,
            n_resamples=permutations,
            rng=SEED,
        )


def agreement(label: np.ndarray, first: np.ndarray, second: np.ndarray, permutations: int) -> float:
    """Largest difference to scikit-learn over the first swaps."""
    order = pool(label == 1, first, second, np.arange(label.size))
    coins = next(swap_blocks(label.size, permutations, SEED))[:, :permutations].astype(bool)
    worst = 0.0
    for measure, gaps in zip(MEASURES.values(), (ranking_gaps, precision_gaps), strict=True):
        found = gaps([order], label.size, permutations, SEED)[0]
        expected = [
            measure(label, np.where(coin, second, first)) - measure(label, np.where(coin, first, second))
            for coin in coins.T
        ]
        worst = max(worst, float(np.abs(found - expected).max()))
    return worst


def main() -> None:
    """Warm up, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--permutations", type=int, default=8, help="permutations given to scipy in each turn")
    options = parser.parse_args()
    findings, images = CASES["large"]
    labels, first = make_scores(findings, images)
    second = make_scores(findings, images, strength=0.95, seed=8)[1]
    middle = findings // 2
    one = labels[:, middle], rankdata(first[:, middle]), rankdata(second[:, middle])
    ours(labels[:300], first[:300], second[:300], 2)
    scipys(one[0][:3000], one[1][:3000], one[2][:3000], 1)

    clocks, processors, peers = [], [], []
    for _ in range(options.turns):
        _, processor, _ = timed(lambda: scipys(*one, options.permutations))
        # scipy also takes the observed statistic: one more evaluation than it has permutations
        peers.append(processor / (options.permutations + 1) * PERMUTATIONS * findings)
        wall, processor, _ = timed(lambda: ours(labels, first, second))
        clocks.append(wall)
        processors.append(processor)
    ratios = sorted(peer / mine for peer, mine in zip(peers, processors, strict=True))
    print(machine("numpy", "numba", "scipy", "scikit-learn"))
    print(
        f"{PERMUTATIONS} permutations x {findings} findings x {images:,} images, AUROC + AUPRC, {options.turns} turns"
    )
    print(f"  scipy, {options.permutations} of one finding scaled, processor s    {statistics.median(peers):10.0f}")
    print(f"  hilum, processor s                            {statistics.median(processors):10.3f}")
    print(f"  hilum, clock s                                {statistics.median(clocks):10.3f}", end="")
    print(f"  [{min(clocks):.3f}, {max(clocks):.3f}]")
    print(f"  ratio of processor seconds                    {statistics.median(ratios):10.0f}", end="")
    print(f"  [{ratios[0]:.0f}, {ratios[-1]:.0f}]")
    print(f"  largest absolute difference                   {agreement(*one, options.permutations):10.1e}")


if __name__ == "__main__":
    main()
