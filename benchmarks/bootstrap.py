"""Patient-level bootstrap beside a scikit-learn loop: 1,000 draws, 14 findings, 5,000 images.

Judged are AUROC and AUPRC. Both contestants run in turn in one process on one thread, after a warm-up that
pays for imports and compilation. The scikit-learn loop is run for a few replicates and scaled; ours is run in
full, several times, with its draws, sorting and intervals included. The same replicates are then compared
number by number.

Run: `OMP_NUM_THREADS=1 python benchmarks/bootstrap.py [--replicates 4] [--repeats 7]`
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from importlib.metadata import version

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from hilum.metrics.bootstrap import bootstrap
from hilum.metrics.replicates import draw_blocks

DRAWS, FINDINGS, IMAGES, SEED = 1000, 14, 5000, 0


def make_scores() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels (N, K) of 1 to 50 % prevalence, scores (N, K) of 3 digits (ties), patient ids (N,)."""
    rng = np.random.default_rng(7)
    prevalence = np.geomspace(0.01, 0.5, FINDINGS)
    labels = (rng.random((IMAGES, FINDINGS)) < prevalence).astype(float)
    scores = np.round(1 / (1 + np.exp(-(rng.normal(size=labels.shape) + labels - 1))), 3)
    return labels, scores, np.arange(IMAGES)  # one image a patient: the most to draw


def sklearn_replicate(labels: np.ndarray, scores: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(2, K) AUROC and average precision of one replicate by scikit-learn."""
    return np.array(
        [
            [metric(labels[:, k], scores[:, k], sample_weight=weight) for k in range(labels.shape[1])]
            for metric in (roc_auc_score, average_precision_score)
        ]
    )


def main() -> None:
    """Time both, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=4, help="replicates given to scikit-learn")
    parser.add_argument("--repeats", type=int, default=7, help="full runs of ours; the median counts")
    options = parser.parse_args()

    labels, scores, patients = make_scores()
    names = [f"finding {k}" for k in range(FINDINGS)]
    bootstrap(labels[:200], scores[:200], patients[:200], findings=names, draws=2)
    sklearn_replicate(labels, scores, np.ones(IMAGES))

    seconds = []
    for _ in range(options.repeats):
        began = time.perf_counter()
        result = bootstrap(labels, scores, patients, findings=names, draws=DRAWS, seed=SEED)
        for metric in ("auroc", "auprc"):
            result.macro(metric)
            for name in names:
                result.estimate(metric, name)
        seconds.append(time.perf_counter() - began)
    ours = statistics.median(seconds)

    ids, row = np.unique(patients.astype(str), return_inverse=True)
    counts = next(draw_blocks(ids.size, DRAWS, SEED))[row]
    began = time.perf_counter()
    theirs = np.stack(
        [sklearn_replicate(labels, scores, counts[:, lane]) for lane in range(options.replicates)], axis=-1
    )
    loop = (time.perf_counter() - began) / options.replicates * DRAWS
    gap = max(
        np.abs(theirs[place] - result.replicates[metric][:, : options.replicates]).max()
        for place, metric in enumerate(("auroc", "auprc"))
    )

    print(f"{DRAWS} draws x {FINDINGS} findings x {IMAGES} images, AUROC + AUPRC, one thread")
    print(
        f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "scikit-learn"))
    )
    print(f"{'way':<44}{'seconds':>10}{'ratio':>10}")
    print(f"{f'scikit-learn loop ({options.replicates} replicates, scaled)':<44}{loop:>10.1f}{1:>10}")
    print(f"{'hilum, median of ' + str(options.repeats):<44}{ours:>10.3f}{loop / ours:>10.0f}")
    print(f"hilum min {min(seconds):.3f} s, max {max(seconds):.3f} s; largest absolute difference {gap:.1e}")


if __name__ == "__main__":
    main()
