"""Is A better than B, by how much, how sure: judgements of the same items, compared metric by metric.

Everything is paired: the same items and the same draws of patients. For each metric there are the difference with its
bootstrap interval, the permutation test where the metric has one, tests of every finding corrected for their number,
the test across findings, and, if a margin is named, whether the first is at most that much worse. The first judgement
is compared with each of the others; all of them are ranked in every draw.

Sources: Efron 1979 (bootstrap); Phipson and Smyth 2010 (p of a permutation is never 0); Holm 1979; Benjamini and
Hochberg 1995; Piaggio et al. 2012 (non-inferiority).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from hilum.errors import ConfigError, UserError
from hilum.lookup import unknown_name
from hilum.metrics.estimate import Difference, Estimate, percentile_interval, two_sided_share
from hilum.metrics.multiplicity import benjamini_hochberg, holm
from hilum.metrics.non_inferiority import NonInferiority, non_inferiority
from hilum.metrics.permutation import permute_findings
from hilum.results.classification import plain, software_versions
from hilum.results.judgement import Judgement, Metric, Replicates
from hilum.results.notes import draws_note, permutations_note
from hilum.results.page import p_text

Floats = NDArray[np.float64]

SURE: Final = 0.05  # the level at which a sentence says "better"
DISHONEST: Final = (
    "NOT AN HONEST RESULT",
    "Learning rate, epoch and thresholds were chosen",
)  # notes that are repeated


@dataclass(frozen=True)
class Resampling:
    """How often and from where it is drawn."""

    draws: int = 1000
    permutations: int = 1000
    seed: int = 0
    confidence: float = 0.95


def compare_judgements(
    *judgements: Judgement,
    metrics: Sequence[str] = (),
    draws: int = 1000,
    permutations: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    margin: float | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Compare the first judgement with each of the others.

    Args:
        judgements: two or more of one kind of task, on the same items; their names must differ.
        metrics: names of those to compare; default those that every judgement has, numbers of side maps left aside.
        draws: bootstrap replicates of patients.
        permutations: of the permutation tests.
        seed: of both.
        confidence: coverage of the intervals, in (0, 1).
        margin: of non-inferiority, above 0, in units of each metric.
        command: shown on the page.

    Returns:
        Plain JSON values: `runs`, `metrics` (name -> `title`, `higher`, `categories`, `left_out`, `runs` with estimates
        and ranks, `pairs` with differences and tests), `verdicts` (sentences), `counts`, `notes`, and how it was drawn.

    Raises:
        ConfigError: fewer than two, other tasks, equal names, an unknown metric, or a margin that is not above 0.
        UserError: the judgements are not of the same items, patients and truth, or have no category in common.
    """
    _check(judgements, margin)
    categories, notes = _common_categories(judgements)
    first = judgements[0].like(judgements[0], categories)
    alike = [first, *(other.like(judgements[0], categories) for other in judgements[1:])]
    known = [name for name in first.metrics if all(name in other.metrics for other in alike)]
    for name in metrics:
        if name not in known:
            raise unknown_name(name, known, kind="metric", where="metrics")
    how = Resampling(draws, permutations, seed, confidence)
    asked = metrics or [name for name in known if not first.metrics[name].aside]
    compared = {name: _compare_metric(alike, name, how, margin) for name in asked}
    results: dict[str, Any] = plain(
        {
            "task": "comparison",
            "of": first.family,
            "runs": [_run(judgement) for judgement in judgements],
            "metrics": compared,
            "verdicts": _verdicts(compared),
            "counts": {
                "noun": first.evidence.noun,
                "items": first.evidence.items.size,
                "patients": np.unique(first.evidence.patients).size,
            },
            "margin": margin,
            "bootstrap": {"unit": "patient", "draws": draws, "seed": seed, "confidence": confidence},
            "permutations": permutations,
            "versions": software_versions(),
            "notes": [*notes, *_standing(judgements), *draws_note(draws), *permutations_note(permutations)],
            "context": {"title": _title(judgements), "command": command},
        }
    )
    return results


def _check(judgements: Sequence[Judgement], margin: float | None) -> None:
    names = [judgement.name for judgement in judgements]
    if len(judgements) < 2:
        raise ConfigError("a comparison needs two results or more", where="runs", fix="Name another run")
    if len(set(names)) < len(names):
        raise ConfigError(f"two results are called alike: {', '.join(names)}", where="names", fix="Give --names A,B")
    families = {judgement.name: judgement.family for judgement in judgements}
    if len(set(families.values())) > 1:
        said = ", ".join(f"{name}: {family}" for name, family in families.items())
        raise ConfigError(f"the tasks differ ({said})", where="runs", fix="Compare results of one task")
    if margin is not None and not margin > 0:
        raise ConfigError(f"must be above 0, got {margin:g}", where="margin", fix="Name the largest loss you accept")


def _common_categories(judgements: Sequence[Judgement]) -> tuple[list[str], list[str]]:
    """The categories that all have, in the order of the first, and a note on each judgement that has more."""
    common = [
        name
        for name in judgements[0].evidence.categories
        if all(name in other.evidence.categories for other in judgements)
    ]
    if not common:
        said = "; ".join(f"{one.name}: {', '.join(one.evidence.categories)}" for one in judgements)
        raise UserError(f"no finding is in all of them ({said})", where="test sets", fix="Compare the same findings")
    more = {
        judgement.name: [name or "unnamed" for name in judgement.evidence.categories if name not in common]
        for judgement in judgements
    }
    return common, [
        f"Not compared, since not all have it: {', '.join(names)} (in {judgement})."
        for judgement, names in more.items()
        if names
    ]


def _compare_metric(alike: Sequence[Judgement], name: str, how: Resampling, margin: float | None) -> dict[str, Any]:
    """One metric of all judgements: estimates, ranks, and the first against each of the others."""
    metric = alike[0].metrics[name]
    sampled = [judgement.replicates(name, how.draws, how.seed) for judgement in alike]
    points = np.stack([one.points for one in sampled])  # (M, K)
    defined: NDArray[np.bool_] = np.asarray(~np.isnan(points).any(axis=0))
    macros = np.stack([_mean(one.values[defined]) for one in sampled])  # (M, draws)
    names = sampled[0].categories
    reasons = ["; ".join(dict.fromkeys(one.reasons[k] for one in sampled if one.reasons[k])) for k in range(len(names))]
    patients = int(np.unique(alike[0].evidence.patients).size)
    runs: list[dict[str, Any]] = []
    for judgement, one, macro in zip(alike, sampled, macros, strict=True):
        runs.append(
            {
                "name": judgement.name,
                "macro": _macro_estimate(one, defined, macro, alike[0].evidence.items.size, patients, how),
                "categories": {category: _estimate(one, k, how) for k, category in enumerate(names)},
                "rank": _rank(macros, len(runs), higher=metric.higher) if defined.any() else None,
            }
        )
    return {
        "title": metric.title,
        "higher": metric.higher,
        "categories": list(names),
        "left_out": {name: reasons[k] or "undefined for one of them" for k, name in enumerate(names) if not defined[k]},
        "runs": runs,
        "pairs": [
            _pair(alike[0], other, name, sampled[0], two, defined, how, margin)
            for other, two in zip(alike[1:], sampled[1:], strict=True)
        ],
    }


def _pair(
    first: Judgement,
    second: Judgement,
    name: str,
    one: Replicates,
    two: Replicates,
    defined: NDArray[np.bool_],
    how: Resampling,
    margin: float | None,
) -> dict[str, Any]:
    """The first minus the second, macro and by category, with every test there is."""
    metric = first.metrics[name]
    some = bool(defined.any())
    tests = first.evidence.tests(second.evidence, name, how.permutations, how.seed) if some else None
    gaps = [
        _difference(one.points[k] - two.points[k], one.values[k] - two.values[k], one.counts[k].n_patients, how)
        if defined[k]
        else Difference(None, None, None, None, 0, one.reasons[k] or two.reasons[k] or "undefined")
        for k in range(defined.size)
    ]
    macro_points = [float(part.points[defined].mean()) if some else np.nan for part in (one, two)]
    macro_gap = _mean(one.values[defined]) - _mean(two.values[defined])
    patients = max((count.n_patients for count in one.counts), default=0)
    macro = (
        _difference(macro_points[0] - macro_points[1], macro_gap, patients, how)
        if some
        else Difference(None, None, None, None, 0, "no category is defined for both")
    )
    permuted = [None if tests is None or not defined[k] else tests.permutation[k] for k in range(defined.size)]
    deciding = permuted if tests is not None else [gap.p for gap in gaps]
    corrected = {"holm": holm(deciding), "bh": benjamini_hochberg(deciding)}
    beside = {} if tests is None else tests.beside
    return {
        "first": first.name,
        "second": second.name,
        "corrected": "permutation" if tests is not None else "bootstrap",
        "macro": {
            "difference": macro.to_json(),
            "permutation": tests.macro if tests is not None else None,
            "non_inferiority": _margin(macro, metric, margin),
        },
        "categories": {
            category: {
                "difference": gaps[k].to_json(),
                "permutation": permuted[k],
                "holm": corrected["holm"][k],
                "bh": corrected["bh"][k],
                **{test: values[k] for test, values in beside.items()},
                "non_inferiority": _margin(gaps[k], metric, margin),
            }
            for k, category in enumerate(one.categories)
        },
        "across": _across(one.points[defined], two.points[defined], how),
    }


def _across(first: Floats, second: Floats, how: Resampling) -> dict[str, Any] | None:
    """Signs of the differences of whole findings flipped; None for fewer than two."""
    if first.size < 2:
        return None
    found = permute_findings(first.tolist(), second.tolist(), permutations=how.permutations, seed=how.seed)
    return {"p": found.p, "findings": int(first.size), "permutations": found.permutations}


def _difference(value: float, replicates: Floats, patients: int, how: Resampling) -> Difference:
    if patients < 2:
        return Difference(float(value), None, None, None, 0, "one patient: no interval")
    low, high, used = percentile_interval(replicates, how.confidence)
    return Difference(
        float(value), low, high, two_sided_share(replicates), used, "" if used else "no usable draw: no interval"
    )


def _margin(gap: Difference, metric: Metric, margin: float | None) -> dict[str, Any] | None:
    """Non-inferiority of the first; where small is good, of the difference turned round."""
    if margin is None:
        return None
    if not metric.higher and gap.value is not None:
        turned = [None if end is None else -end for end in (gap.value, gap.high, gap.low)]
        gap = Difference(turned[0], turned[1], turned[2], gap.p, gap.draws, gap.reason)
    found: NonInferiority = non_inferiority(gap, margin)
    return found.to_json()


def _estimate(one: Replicates, k: int, how: Resampling) -> dict[str, Any]:
    counts = one.counts[k]
    rest = (counts.n, counts.n_patients, counts.n_positive)
    if np.isnan(one.points[k]):
        return Estimate(None, None, None, *rest, 0, one.reasons[k] or "undefined").to_json()
    if counts.n_patients < 2:
        return Estimate(float(one.points[k]), None, None, *rest, 0, "one patient: no interval").to_json()
    low, high, used = percentile_interval(one.values[k], how.confidence)
    return Estimate(float(one.points[k]), low, high, *rest, used, "" if used else "no usable draw").to_json()


def _macro_estimate(
    one: Replicates, defined: NDArray[np.bool_], macro: Floats, items: int, patients: int, how: Resampling
) -> dict[str, Any]:
    if not defined.any():
        return Estimate(None, None, None, items, patients, 0, 0, "no category is defined for all").to_json()
    value = float(one.points[defined].mean())
    if patients < 2:
        return Estimate(value, None, None, items, patients, 0, 0, "one patient: no interval").to_json()
    low, high, used = percentile_interval(macro, how.confidence)
    return Estimate(value, low, high, items, patients, 0, used, "" if used else "no usable draw").to_json()


def _rank(macros: Floats, row: int, *, higher: bool) -> dict[str, Any] | None:
    """Place of one judgement among all over the draws, 1 the best, equals sharing the mean place."""
    usable = macros[:, ~np.isnan(macros).any(axis=0)]
    if not usable.size:
        return None
    places = rankdata(-usable if higher else usable, axis=0)
    low, high = np.quantile(places[row], (0.025, 0.975))
    return {
        "mean": float(places[row].mean()),
        "low": float(low),
        "high": float(high),
        "best": float((places[row] == places.min(axis=0)).mean()),
    }


def _mean(values: Floats) -> Floats:
    """Mean over categories (K, draws) -> (draws,), leaving NaN out; NaN where nothing is left."""
    known = ~np.isnan(values)
    found = np.full(values.shape[1], np.nan)
    np.divide(np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0), out=found, where=known.any(axis=0))
    return found


def _verdicts(compared: dict[str, Any]) -> list[str]:
    """One sentence a pair on the first metric: who is better, by how much, how sure."""
    if not compared:
        return []
    entry = next(iter(compared.values()))
    return [verdict(entry, pair) for pair in entry["pairs"]]


def verdict(entry: dict[str, Any], pair: dict[str, Any]) -> str:
    """What a pair's macro difference of one metric says, in one sentence.

    "Better" needs an interval without 0 and, where a permutation test was made, its p below 0.05.
    """
    first, second, macro = pair["first"], pair["second"], pair["macro"]
    gap, p = macro["difference"], macro["permutation"]
    title = entry["title"] if len(entry["categories"]) == 1 else f"macro {entry['title']}"
    if gap["value"] is None:
        return f"{first} and {second} cannot be compared by {title}: {gap['reason']}."
    said = str(Difference(**gap))
    sure = f"permutation p = {p_text(p)}" if p is not None else f"bootstrap p = {p_text(gap['p'])}"
    facts = f"{title} differs by {said}, {sure}"
    if gap["low"] is None:
        return f"How sure cannot be said: {facts}; {gap['reason']}."
    apart = gap["low"] > 0 or gap["high"] < 0
    if apart and (p is None or p < SURE):
        better = (gap["value"] > 0) == entry["higher"]
        return f"{first} is {'better' if better else 'worse'} than {second}: {facts}."
    if apart or (p is not None and p < SURE):
        return f"Interval and permutation test disagree on {first} and {second}: {facts}."
    return f"No difference between {first} and {second} was shown: {facts}."


def _run(judgement: Judgement) -> dict[str, Any]:
    return {
        "name": judgement.name,
        "folder": judgement.folder.as_posix(),
        "task": judgement.task,
        "context": judgement.results.get("context", {}),
    }


def _standing(judgements: Sequence[Judgement]) -> list[str]:
    """What a reader of the comparison must know of the results that went in."""
    notes = [
        f"{judgement.name}: {note}"
        for judgement in judgements
        for note in judgement.results.get("notes", [])
        if note.startswith(DISHONEST)
    ]
    digests = {judgement.results.get("context", {}).get("manifest_sha256") for judgement in judgements}
    if len(digests) > 1:
        notes.append("The manifests are not the same file; the items, patients and labels compared here are the same.")
    if len({judgement.task for judgement in judgements}) > 1:
        tasks = ", ".join(f"{judgement.name}: {judgement.task}" for judgement in judgements)
        notes.append(f"The scores come from different tasks on the same films ({tasks}).")
    return notes


def _title(judgements: Sequence[Judgement]) -> str:
    first, *others = (judgement.name for judgement in judgements)
    return f"{first} against {', '.join(others)}"
