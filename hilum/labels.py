"""From label columns to training targets: uncertain labels by a named policy, blanks, fractions, checks.

A cell is 1 (present), 0 (absent), -1 (the reader hedged) or blank (nobody said). The policy turns every -1
into one of the other three; a blank, and a -1 that is ignored, becomes NaN and from there on enters neither a
loss nor a metric.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ConfigError, ManifestError
from hilum.lookup import unknown_name
from hilum.manifest import Manifest, same_patient
from hilum.schema import ABSENT, PRESENT, UNCERTAIN

UncertainRule = Literal["ones", "zeros", "ignore"]
Targets = Literal["multilabel", "multiclass"]
_VALUE: Final = {"ones": PRESENT, "zeros": ABSENT, "ignore": math.nan}


@dataclass(frozen=True)
class LabelPolicy:
    """What an uncertain label (-1) counts as, for each finding."""

    default: UncertainRule = "ignore"  # for every finding not named below
    rules: dict[str, UncertainRule] = field(default_factory=dict)  # finding -> rule

    @classmethod
    def parse(cls, text: str) -> LabelPolicy:
        """Read `"ignore"`, `"Atelectasis=ones,Edema=zeros"` or both: `"zeros,Edema=ones"`.

        Raises:
            ConfigError: a rule other than ones, zeros, ignore, or two rules for the same finding.
        """
        default: UncertainRule | None = None
        rules: dict[str, UncertainRule] = {}
        for part in filter(None, map(str.strip, text.split(","))):
            finding, equals, name = part.partition("=") if "=" in part else ("", "", part)
            rule = _rule(name.strip())
            if (not equals and default is not None) or finding.strip() in rules:
                raise ConfigError(
                    f"two rules for {finding.strip() or 'all findings'} in {text!r}",
                    where="policy",
                    fix="Name each finding once, and the rule for all the others once",
                )
            if equals:
                rules[finding.strip()] = rule
            else:
                default = rule
        return cls(default or "ignore", rules)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> LabelPolicy:
        """Read what `to_json` wrote."""
        return cls(_rule(values["default"]), {finding: _rule(rule) for finding, rule in values["rules"].items()})

    def to_json(self) -> dict[str, Any]:
        """The policy as plain JSON values."""
        return {"default": self.default, "rules": dict(self.rules)}

    def rule(self, finding: str) -> UncertainRule:
        """The rule that holds for `finding`."""
        return self.rules.get(finding, self.default)

    def apply(self, labels: NDArray[np.float64], findings: Sequence[str]) -> NDArray[np.float32]:
        """Targets from label cells.

        Args:
            labels: (N, K) of 1, 0, -1 and NaN.
            findings: the K names of the columns.

        Returns:
            (N, K) float32 of 1, 0 and NaN; NaN enters neither loss nor metric.
        """
        if unknown := set(self.rules) - set(findings):
            raise unknown_name(min(unknown), list(findings), kind="finding", where="policy")
        uncertain = np.array([_VALUE[self.rule(finding)] for finding in findings])
        return np.where(labels == UNCERTAIN, uncertain, labels).astype(np.float32)


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


def nested_fraction(manifest: Manifest, fraction: float, seed: int, findings: Sequence[str] | None = None) -> Manifest:
    """The manifest with only a share of its training patients; the other splits stay whole.

    The patients with at least one known label are put in one fixed order, which depends on the seed and the
    labels but not on the fraction, and the first `max(1, round(fraction * n))` of them are kept with all
    their training films. Hence 1 % is a subset of 10 % is a subset of 100 %, and no patient is cut in half.
    The order:

    1. Anchors. Finding by finding, the rarest first, the patient with the lowest hash of (seed, patient id)
       who is positive for it, unless an earlier anchor already is; then likewise one negative patient each. A
       fraction that holds the anchors (at most 2K patients) has both classes of every finding that has them
       at all.
    2. All others, stratified: each patient belongs to the stratum of the rarest finding he is positive for
       (or of none), strata are shuffled by the same hash and interleaved evenly, so that every prefix has the
       shares of the whole to within one patient a stratum.

    Args:
        manifest: any manifest with a train split.
        fraction: in (0, 1].
        seed: another seed, another subset.
        findings: those to stratify by; all of the manifest's when None.

    Raises:
        ConfigError: `fraction` outside (0, 1].
        ManifestError: no training patient has a known label.
    """
    if not 0 < fraction <= 1:
        raise ConfigError(f"fraction must be in (0, 1], not {fraction}", where="fraction", fix="Use 0.01, 0.1 or 1")
    names = tuple(manifest.findings if findings is None else findings)
    in_train = (manifest.table["split"] == "train").to_numpy()
    patients, positive, negative = _patient_labels(manifest, in_train, names)
    if not len(patients):
        raise ManifestError(
            f"no training patient has a known label for {', '.join(names) or 'any finding'}",
            where=manifest.root,
            fix="Check the split and label columns",
        )
    order = _patient_order(patients, positive, negative, seed)
    kept = patients[order[: max(1, round(fraction * len(order)))]]
    keep = ~in_train | np.isin(_patients(manifest), kept)
    return replace(manifest, table=manifest.table[keep].reset_index(drop=True))


def fraction_record(manifest: Manifest, fraction: float, seed: int) -> dict[str, Any]:
    """What is saved with a run to say whose films were learned from: ids, counts and their digest."""
    train = manifest.table[manifest.table["split"] == "train"]
    patients = sorted(set(train["patient_id"]))
    digest = hashlib.sha256("\n".join(patients).encode()).hexdigest()
    return {
        "fraction": fraction,
        "seed": seed,
        "n_patients": len(patients),
        "n_images": len(train),
        "digest": digest,
        "patients": patients,
    }


# --- pieces ------------------------------------------------------------------------------------------------


def _rule(name: str) -> UncertainRule:
    for rule in get_args(UncertainRule):
        if rule == name:
            return rule  # type: ignore[no-any-return]
    raise unknown_name(name, list(get_args(UncertainRule)), kind="rule for uncertain labels", where="policy")


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


def _patients(manifest: Manifest) -> NDArray[Any]:
    return np.array([same_patient(patient) for patient in manifest.table["patient_id"]], dtype=str)


def _patient_labels(
    manifest: Manifest, rows: NDArray[np.bool_], names: Sequence[str]
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]:
    """Sorted training patients with a known label (P,); has any film of theirs a 1, and a 0 (P, K)."""
    labels = manifest.labels(tuple(names))[rows]
    ids, index = np.unique(_patients(manifest)[rows], return_inverse=True)
    positive, negative = (np.zeros((len(ids), len(names)), bool) for _ in range(2))
    np.logical_or.at(positive, index, labels == PRESENT)
    np.logical_or.at(negative, index, labels == ABSENT)
    known = np.zeros(len(ids), bool)
    np.logical_or.at(known, index, ~np.isnan(labels).all(axis=1))
    return ids[known], positive[known], negative[known]


def _patient_order(
    patients: NDArray[Any], positive: NDArray[np.bool_], negative: NDArray[np.bool_], seed: int
) -> NDArray[np.int64]:
    """The fixed order (P,) that `nested_fraction` takes prefixes of."""
    hashes = [hashlib.sha256(f"fraction:{seed}:{patient}".encode()).hexdigest() for patient in patients]
    shuffled = np.array(sorted(range(len(patients)), key=hashes.__getitem__), dtype=np.int64)
    rarest_first = np.argsort(positive.sum(axis=0), kind="stable")

    anchors: list[int] = []
    for has in (positive, negative):
        for finding in rarest_first:
            candidates = shuffled[has[shuffled, finding]]
            if candidates.size and not has[anchors, finding].any():
                anchors.append(int(candidates[0]))

    stratum = np.full(len(patients), -1)
    for finding in rarest_first[::-1]:  # the rarest is written last and wins
        stratum[positive[:, finding]] = finding
    rank = np.empty(len(patients))  # of each patient in his stratum, as a share of it
    for value in np.unique(stratum):
        members = shuffled[stratum[shuffled] == value]
        rank[members] = (np.arange(len(members)) + 0.5) / len(members)
    rank[anchors] = -1.0 - np.arange(len(anchors), 0, -1)
    return shuffled[np.argsort(rank[shuffled], kind="stable")]
