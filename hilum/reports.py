"""The report of every film: the sections asked for, and which films must not be each other's negatives.

Films of one study share a report, and many reports are word for word the same ("no acute process"). Films that share
either form one group; a contrastive method treats a group as one thing, since calling its members different would
be false.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hilum.errors import ManifestError
from hilum.lookup import unknown_name
from hilum.manifest import Manifest, same_patient
from hilum.transforms.text.sections import REPORT, SECTIONS, choose_sections, split_sections
from hilum.transforms.text.sentences import is_boilerplate, is_empty, split_sentences

COLUMNS = ("report", "findings", "impression")  # manifest columns that hold report text


@dataclass(frozen=True)
class Reports:
    """One text a film, "" where it has none.

    Args:
        texts: N texts.
        groups: (N,) int64; films with the same number share a study or the same normalised text.
        empty: films whose report is there and says nothing ("N/A", only blanks); their text is "".
        lacking: section -> number of films whose report lacks it.
        undivided: films whose report has no headings and was taken whole although sections were asked for.
    """

    texts: tuple[str, ...]
    groups: npt.NDArray[np.int64]
    empty: int = 0
    lacking: Mapping[str, int] = field(default_factory=dict)
    undivided: int = 0

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """(N,) whether a film has report text."""
        return np.array([bool(text) for text in self.texts], dtype=bool)

    def line(self) -> str:
        """The counts in one line, for the log."""
        present = int(self.present.sum())
        distinct = {normalised(text) for text in self.texts if text}
        hollow = sum(is_boilerplate(text) and all(map(is_boilerplate, split_sentences(text))) for text in distinct)
        parts = [
            f"reports: {present:,} of {len(self):,} films have text, {self.empty:,} say nothing, "
            f"{len(self) - present - self.empty:,} have none",
            f"{len(distinct):,} distinct texts, {hollow:,} of them boiler-plate only",
            f"{len(np.unique(self.groups)):,} groups of films that share a study or a text",
        ]
        parts += [f"section {name!r} missing in {count:,}" for name, count in self.lacking.items()]
        if self.undivided:
            parts.append(f"{self.undivided:,} reports without headings taken whole")
        return "; ".join(parts)


def reports_of(manifest: Manifest, sections: Sequence[str] = ()) -> Reports:
    """The report text of every film of a manifest.

    Args:
        manifest: with at least one of the columns `report`, `findings`, `impression` filled.
        sections: which sections, in this order, one a line: from the columns `findings` and `impression` where they are
            filled, otherwise cut out of `report`. () takes the whole `report`, or `findings` and `impression` where it
            is blank. A report without headings cannot be cut and is taken whole.

    Raises:
        ConfigError: no such section.
        ManifestError: the manifest has no report text, or none of the sections asked for.
    """
    for name in sections:
        if name not in SECTIONS:
            raise unknown_name(name, list(SECTIONS), kind="section", where="sections")
    rows = list(zip(*(_cells(manifest, name) for name in COLUMNS), strict=True))
    if not any(map(any, rows)):
        raise _no_text(manifest)
    texts, empty, undivided, lacking = [], 0, 0, dict.fromkeys(sections, 0)
    split = lru_cache(maxsize=None)(split_sections)  # films of one study repeat their report
    for report, findings, impression in rows:
        if sections:
            parts = _with_columns(split(report), findings, impression)
            undivided += set(parts) == {REPORT}
            text = choose_sections(parts, sections)
            for name in lacking:
                lacking[name] += bool(parts) and set(parts) != {REPORT} and not choose_sections(parts, [name])
        else:
            text = report or "\n".join(filter(None, (findings, impression)))
        says_nothing = bool(text) and is_empty(text)
        empty += says_nothing
        texts.append("" if says_nothing else text)
    if not any(texts):
        raise _no_text(manifest, sections)
    table = manifest.table
    return Reports(tuple(texts), groups_of(table["patient_id"], table["study_id"], texts), empty, lacking, undivided)


def groups_of(patient_ids: Iterable[str], study_ids: Iterable[str], texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Number the films so that those linked through a study or a normalised text, however far, share a number.

    Args:
        patient_ids: N ids; a study is one only within its patient, so "study 1" may occur often.
        study_ids: N ids.
        texts: N reports; films without a report are linked through their study alone.

    Returns:
        (N,) int64 from 0 without gaps.
    """
    studies = [(same_patient(patient), study) for patient, study in zip(patient_ids, study_ids, strict=True)]
    reports = [normalised(text) for text in texts]
    nodes: dict[object, int] = {}
    links = [(i, nodes.setdefault(("study", key), len(nodes))) for i, key in enumerate(studies)]
    links += [(i, nodes.setdefault(("text", key), len(nodes))) for i, key in enumerate(reports) if key]
    films, others = np.array(links, dtype=np.int64).reshape(-1, 2).T
    size = len(reports) + len(nodes)
    graph = coo_array((np.ones(len(films), dtype=np.int8), (films, others + len(reports))), shape=(size, size))
    labels = connected_components(graph, directed=False)[1][: len(reports)]
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def normalised(text: str) -> str:
    """The form in which two reports are the same: lower case, white space collapsed."""
    return " ".join(text.lower().split())


def _cells(manifest: Manifest, column: str) -> list[str]:
    table = manifest.table
    return [cell.strip() for cell in table[column]] if column in table else [""] * len(table)


def _with_columns(parts: Mapping[str, str], findings: str, impression: str) -> dict[str, str]:
    """The sections of a report, overruled by the columns that name a section; a whole text yields to them."""
    filled = {name: text for name, text in (("findings", findings), ("impression", impression)) if text}
    kept = {name: text for name, text in parts.items() if not (filled and name == REPORT)}
    return {**kept, **filled}


def _no_text(manifest: Manifest, sections: Sequence[str] = ()) -> ManifestError:
    """The error for a manifest without any report text, or without the sections asked for."""
    if sections:
        what = f"the method reads reports and this manifest has no report with {' or '.join(map(repr, sections))}"
        fix = "Choose other sections, or none to take whole reports"
        return ManifestError(what, where=manifest.root, fix=fix)
    absent = [name for name in COLUMNS if name not in manifest.table]
    columns = f"the columns {', '.join(absent)} are missing" if absent else f"all of {', '.join(COLUMNS)} are blank"
    fix = "Fill 'report' (or 'findings' and 'impression') for some films, or use a method that reads none, such as mae"
    what = f"the method reads reports and this manifest has no report text: {columns}"
    return ManifestError(what, where=manifest.root, fix=fix)
