"""The audit of one or several data sets: leaks, blank films, missing files, label faults.

A leak is what makes a test number too good: a patient, or a picture, on both sides of a split, or in two sets at all
(one of them is usually the external test). Rows without a split are only compared across sets.
"""

from __future__ import annotations

import base64
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hilum.auditing.compare import SAME
from hilum.auditing.neighbours import near_pairs
from hilum.auditing.patients import loose_id
from hilum.dicom.decode_worker import decode_all
from hilum.errors import ConfigError, ImageError
from hilum.manifest import Manifest
from hilum.progress import ProgressBar
from hilum.schema import SPLITS

TASK = "hilum.auditing.fingerprint:fingerprint"
COMPARE = "hilum.auditing.compare:compare"
NEAR_BITS = 20  # of 256: how far hashes of near-identical films may be apart ...
NEAR_CORRELATION = 0.88  # ... if their small pictures correlate at least so; then hilum.auditing.compare decides
EXAMPLES = 5

Kind = Literal["patient", "identical image", "near-identical image"]


@dataclass(frozen=True)
class Leak:
    """One patient or picture on two sides; each side is "set/split: id"."""

    kind: Kind
    left: str
    right: str


@dataclass
class Audit:
    """What was found; `leaks` decides the exit code, the rest is to be looked at."""

    sets: list[dict[str, Any]] = field(default_factory=list)
    leaks: list[Leak] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # files that are absent or cannot be read, with the reason
    changed: list[str] = field(default_factory=list)  # files whose pixels are not those of the manifest's sha256
    blank: list[str] = field(default_factory=list)  # films of one grey value
    doubles: int = 0  # identical or near-identical pairs within one split: no leak, but counted twice
    labels: list[str] = field(default_factory=list)  # findings with one class only

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The report for a person."""
        lines = []
        for one in self.sets:
            lines.append(f"{one['name']}: {one['films']} films of {one['patients']} patients ({one['path']})")
            lines += _table(one["splits"], one["prevalence"])
        counts = Counter(leak.kind for leak in self.leaks)
        for kind in ("patient", "identical image", "near-identical image"):
            lines.append(f"{kind} on two sides: {counts[kind]}")
            shown = [leak for leak in self.leaks if leak.kind == kind]
            lines += [f"  {leak.left}  =  {leak.right}" for leak in shown[:EXAMPLES]]
            lines += [f"  ... and {len(shown) - EXAMPLES} more (--out FILE lists all)"] * (len(shown) > EXAMPLES)
        for title, items in (
            ("missing or unreadable files", self.missing),
            ("files whose pixels have changed since the manifest was written", self.changed),
            ("blank films", self.blank),
            ("findings with one class only", self.labels),
        ):
            lines.append(f"{title}: {len(items)}")
            lines += [f"  {item}" for item in items[:EXAMPLES]]
        lines.append(f"pairs of the same picture within one split: {self.doubles}")
        lines.append(f"LEAKS: {len(self.leaks)}" if self.leaks else "No leaks found.")
        return lines


@dataclass(frozen=True)
class _Film:
    name: str  # of its set
    split: str
    patient: str
    image: str
    path: Path
    sha256: str  # as the manifest says, "" if it does not

    def side(self, what: str) -> str:
        return f"{self.name}/{self.split or '(no split)'}: {what}"


def audit_sets(folders: Sequence[Path], *, workers: int = 0, quiet: bool = False) -> Audit:
    """Audit data sets, each alone and all against each other.

    Args:
        folders: manifests, or folders that hold one.
        workers: decoding processes; 0 is one a core.
        quiet: show no progress bar.

    Raises:
        ConfigError: none, or one twice.
        ManifestError: a manifest cannot be read.
    """
    if not folders or len({Path(folder).resolve() for folder in folders}) < len(folders):
        raise ConfigError("give one or more different data sets", where="DATA", fix="hilum audit DATA [DATA2 ...]")
    manifests = [Manifest.read(folder, patients=False) for folder in folders]
    audit, films = Audit(), list[_Film]()
    for name, manifest in zip(_names(manifests), manifests, strict=True):
        films += _films(name, manifest)
        audit.sets.append(_summary(name, manifest))
        audit.labels += _one_class(name, manifest)
    audit.leaks += _patients(films)
    seen = _fingerprints(films, audit, workers, quiet)
    _same_pictures(films, seen, audit, workers)
    return audit


def _names(manifests: Sequence[Manifest]) -> list[str]:
    """The folders' names, numbered where they repeat."""
    names = [manifest.root.resolve().name for manifest in manifests]
    return [name if names.count(name) == 1 else f"{name}#{number + 1}" for number, name in enumerate(names)]


def _films(name: str, manifest: Manifest) -> list[_Film]:
    table = manifest.table
    digests = table["sha256"] if "sha256" in table else [""] * len(table)
    columns = (table["split"], table["patient_id"], table["image_id"], manifest.paths(), digests)
    return [_Film(name, *row) for row in zip(*columns, strict=True)]


def _summary(name: str, manifest: Manifest) -> dict[str, Any]:
    table = manifest.table
    splits = {
        split: {"films": len(rows), "patients": int(rows["patient_id"].nunique())}
        for split in (*SPLITS, "")
        if len(rows := table[table["split"] == split])
    }
    prevalence = {
        finding: {split: _counts(manifest, finding, split) for split in splits} for finding in manifest.findings
    }
    return {
        "name": name,
        "path": str(manifest.root),
        "digest": manifest.digest,
        "films": len(table),
        "patients": int(table["patient_id"].nunique()),
        "splits": splits,
        "prevalence": prevalence,
    }


def _counts(manifest: Manifest, finding: str, split: str) -> dict[str, int]:
    cells = manifest.labels([finding])[(manifest.table["split"] == split).to_numpy(dtype=bool), 0]
    names = {"present": 1.0, "absent": 0.0, "uncertain": -1.0}
    return {name: int((cells == value).sum()) for name, value in names.items()} | {"blank": int(np.isnan(cells).sum())}


def _one_class(name: str, manifest: Manifest) -> list[str]:
    faults = []
    for finding in manifest.findings:
        for split in (*SPLITS, ""):
            counts = _counts(manifest, finding, split)
            if counts["present"] + counts["absent"] and not (counts["present"] and counts["absent"]):
                only = "present" if counts["present"] else "absent"
                place = f"{name}/{split or '(no split)'}"
                faults.append(f"{place}: {finding} is {only} in all {counts[only]} films that say")
    return faults


def _table(splits: dict[str, Any], prevalence: dict[str, Any]) -> list[str]:
    width = max([len(name) for name in prevalence] + [12])
    head = f"  {'':{width}}" + "".join(f"{split or '(no split)':>22}" for split in splits)
    rows = [f"  {'films':{width}}" + "".join(f"{one['films']:>22}" for one in splits.values())]
    rows.append(f"  {'patients':{width}}" + "".join(f"{one['patients']:>22}" for one in splits.values()))
    for finding, by_split in prevalence.items():
        cells = ""
        for counts in by_split.values():
            known = counts["present"] + counts["absent"]
            share = f"{100 * counts['present'] / known:5.1f} %" if known else "      -"
            cells += f"{counts['present']} / {known}  {share}".rjust(22)
        rows.append(f"  {finding:{width}}" + cells)
    return [head, *rows]


def _apart(a: _Film, b: _Film) -> bool:
    """On two sides: in two sets, or in two splits of one."""
    return a.name != b.name or bool(a.split and b.split and a.split != b.split)


def _patients(films: Sequence[_Film]) -> list[Leak]:
    """One leak for each pair of sides that a patient is on."""
    sides: dict[str, dict[tuple[str, str], _Film]] = defaultdict(dict)
    for film in films:
        sides[loose_id(film.patient)].setdefault((film.name, film.split), film)
    return [
        Leak("patient", a.side(repr(a.patient)), b.side(repr(b.patient)))
        for places in sides.values()
        for a, b in combinations(places.values(), 2)
        if _apart(a, b)
    ]


def _fingerprints(films: Sequence[_Film], audit: Audit, workers: int, quiet: bool) -> dict[int, dict[str, Any]]:
    """Film number -> fingerprint of those that can be read and are not blank; the others are entered in `audit`."""
    requests = ({"number": number, "path": str(film.path)} for number, film in enumerate(films))
    seen: dict[int, dict[str, Any]] = {}
    faults: dict[int, tuple[list[str], str]] = {}
    with ProgressBar("comparing films", len(films), quiet=quiet) as bar:
        for request, answer in decode_all(TASK, requests, workers=min(_workers(workers), len(films))):
            bar.advance()
            number = request["number"]
            film = films[number]
            if isinstance(answer, ImageError):
                faults[number] = (audit.missing, f"{film.path}: {answer.what}")
                continue
            if answer["blank"]:
                faults[number] = (audit.blank, film.side(film.image))
                continue
            if film.sha256 and film.sha256 not in (answer["sha256"], answer["file_sha256"]):
                faults[number] = (audit.changed, str(film.path))
            seen[number] = answer
    for number in sorted(faults):
        found, text = faults[number]
        found.append(text)
    return dict(sorted(seen.items()))


def _same_pictures(films: Sequence[_Film], seen: dict[int, dict[str, Any]], audit: Audit, workers: int) -> None:
    """Enter identical and near-identical pictures: leaks if apart, doubles if not."""
    groups: dict[str, list[int]] = defaultdict(list)
    for number, mark in seen.items():
        groups[mark["sha256"]].append(number)
    for members in groups.values():
        for a, b in combinations(members, 2):
            _enter("identical image", films[a], films[b], audit)
    firsts = [members[0] for members in groups.values()]
    if len(firsts) < 2:
        return
    hashes = np.array([list(bytes.fromhex(seen[number]["hash"])) for number in firsts], dtype=np.uint8)
    small = [np.frombuffer(base64.b64decode(seen[number]["small"]), dtype=np.int8) for number in firsts]
    candidates = _near(hashes, np.array(small))
    requests = [
        {"number": n, "path": str(films[firsts[a]].path), "other": str(films[firsts[b]].path)}
        for n, (a, b) in enumerate(candidates)
    ]
    answers = list(decode_all(COMPARE, requests, workers=min(_workers(workers), len(requests)))) if requests else []
    same = {
        request["number"]
        for request, answer in answers
        if not isinstance(answer, ImageError) and answer["same"] >= SAME
    }
    for n in sorted(same):
        a, b = candidates[n]
        pairs = [(x, y) for x in groups[seen[firsts[a]]["sha256"]] for y in groups[seen[firsts[b]]["sha256"]]]
        for x, y in pairs:
            _enter("near-identical image", films[x], films[y], audit)


def _workers(number: int) -> int:
    return number or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else [0])


def _near(hashes: NDArray[np.uint8], small: NDArray[np.int8]) -> NDArray[np.int64]:
    """(P, 2) pairs whose hashes are close and whose small pictures agree, upright or inverted."""
    number = len(hashes)
    both = near_pairs(np.concatenate([hashes, ~hashes]), NEAR_BITS)  # a film inverted has the complement as its hash
    pairs = np.unique(np.sort(both % number, axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    left, right = small[pairs[:, 0]].astype(np.float32), small[pairs[:, 1]].astype(np.float32)
    norms = np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
    correlation = np.abs((left * right).sum(axis=1)) / np.maximum(norms, 1.0)
    return np.asarray(pairs[correlation >= NEAR_CORRELATION])


def _enter(kind: Kind, a: _Film, b: _Film, audit: Audit) -> None:
    if _apart(a, b):
        audit.leaks.append(Leak(kind, a.side(a.image), b.side(b.image)))
    else:
        audit.doubles += 1
