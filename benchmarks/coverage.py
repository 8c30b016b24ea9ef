"""How often do the intervals of an AUROC hold the truth? Percentile and BCa bootstrap, and DeLong, on drawn scores.

Scores are normal with unit variance, positives shifted by as much as the true AUROC asks. Patients have two images,
whose scores share half of their variance; positives and negatives are whole patients. DeLong is asked twice: with
images as independent, and with patients as clusters. An interval that could not be made counts as one that misses.

Run: `OMP_NUM_THREADS=1 python -m benchmarks.coverage [--studies 500]`
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.stats import norm

from hilum.metrics.bootstrap import bootstrap
from hilum.metrics.delong import delong

TWO = 2  # images a patient


def study(rng: np.random.Generator, patients: int, positives: int, truth: float) -> tuple[np.ndarray, ...]:
    """Labels, scores, patient ids of one drawn test set with exactly `positives` ill patients."""
    ill = (np.arange(patients) < positives).astype(float)
    shared, own = rng.normal(size=patients), rng.normal(size=(patients, TWO))
    shift = np.sqrt(2) * norm.ppf(truth)
    scores = shift * ill[:, None] + np.sqrt(0.5) * shared[:, None] + np.sqrt(0.5) * own
    return np.repeat(ill, TWO), scores.ravel(), np.repeat(np.arange(patients), TWO)


def covered(studies: int, patients: int, positives: int, truth: float) -> dict[str, float]:
    """Share of studies whose interval holds the truth, by kind of interval."""
    hits = dict.fromkeys(("percentile", "BCa", "DeLong of images", "DeLong of patients"), 0)
    for number in range(studies):
        labels, scores, ids = study(np.random.default_rng(number), patients, positives, truth)
        table = labels[:, None], scores[:, None], ids
        found = {
            "percentile": bootstrap(*table, findings=["x"], seed=number).macro("auroc"),
            "BCa": bootstrap(*table, findings=["x"], seed=number, interval="bca").macro("auroc"),
            "DeLong of images": delong(labels, scores),
            "DeLong of patients": delong(labels, scores, ids),
        }
        for name, one in found.items():
            hits[name] += one.low is not None and one.high is not None and one.low <= truth <= one.high
    return {name: count / studies for name, count in hits.items()}


def main() -> None:
    """Print one row a setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=500)
    options = parser.parse_args()
    print("| patients | with the finding | true AUROC | percentile | BCa | DeLong of images | DeLong of patients |")
    print("|---|---|---|---|---|---|---|")
    for patients, positives, truth in ((300, 100, 0.8), (300, 10, 0.8), (300, 10, 0.95), (300, 4, 0.9)):
        shares = covered(options.studies, patients, positives, truth)
        print(
            f"| {patients} | {positives} | {truth} | " + " | ".join(f"{share:.3f}" for share in shares.values()) + " |"
        )


if __name__ == "__main__":
    main()
