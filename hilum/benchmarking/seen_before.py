"""Has an encoder seen the test films? What can be checked is checked by patient; the rest is told from what is known.

An encoder of ours names the table it was pretrained on: where that still lies there unchanged, its training patients
are compared with the test patients. Of any other encoder only the names of collections are known, and collections share
images (`xray_collections`), so the answer is then "may have seen", with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from hilum.benchmarking.encoder_facts import EncoderFacts
from hilum.benchmarking.xray_collections import OPAQUE, find_collection, image_roots, title_of
from hilum.errors import UserError
from hilum.manifest import Manifest, same_patient
from hilum.manifest.share import share_of_patients
from hilum.manifest.where import select_where

Verdict = Literal["no", "seen", "possible", "unknown"]
MARKS = {"no": "", "seen": "‡", "possible": "†", "unknown": "?"}  # beside an encoder's name


@dataclass(frozen=True)
class Overlap:
    """What is known of an encoder and a test set."""

    verdict: Verdict
    text: str  # one sentence

    @property
    def mark(self) -> str:
        """The sign that stands beside the encoder."""
        return MARKS[self.verdict]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class TestFilms:
    """Who is tested on."""

    __test__ = False  # no test case of pytest's

    collections: tuple[str, ...]  # by name, else sources as they are written
    patients: frozenset[tuple[str, str]]  # (source, patient)
    digest: str

    @classmethod
    def of(cls, manifest: Manifest, *, folder: str, collection: str | None = None, split: str = "test") -> TestFilms:
        """The test films of a data set; whose they are is told, or found from `source` and the folder's name."""
        table = manifest.table[manifest.table["split"] == split]
        sources = sorted(set(table["source"]) - {""}) if "source" in table else []
        named = [collection] if collection else [find_collection(name) or name for name in sources]
        named = named or [found for found in [find_collection(Path(folder).name)] if found]
        return cls(tuple(dict.fromkeys(named)), _patients(table), manifest.digest)


def seen_before(facts: EncoderFacts, test: TestFilms) -> Overlap:
    """What is known of an encoder's pretraining and a test set."""
    if facts.known == "random":
        return Overlap("no", "Random weights: nothing was seen.")
    learned = _learned_patients(facts)
    if learned is not None and facts.begun_on is not None:
        before = image_roots(facts.begun_on) & image_roots(test.collections)
        return _by_name(facts, test, before) if before else _by_patient(learned, test)
    if not facts.pretrained_on:
        return Overlap("unknown", "What it was pretrained on is not known.")
    if not test.collections:
        return Overlap("unknown", f"Pretrained on {_list(facts.data_titles)}; whose films are tested on is not said.")
    shared = image_roots(test.collections) & image_roots(facts.pretrained_on)
    if not shared:
        if hidden := [name for name in facts.pretrained_on if name in OPAQUE]:
            return Overlap("unknown", f"Pretrained on {_list(map(title_of, hidden))} among others.")
        return Overlap("no", f"Pretrained on {_list(facts.data_titles)}, which shares no films with the test set.")
    return _by_name(facts, test, shared)


def _by_name(facts: EncoderFacts, test: TestFilms, shared: frozenset[str]) -> Overlap:
    """Of collections that share images."""
    names = [name for name in facts.pretrained_on if image_roots([name]) & shared]
    also = {"labels": ", with their labels", "reports": ", with their reports"}.get(facts.supervision, "")
    what = f"Pretrained on {_list(map(title_of, names))}{also}"
    if not set(names) & set(test.collections):
        common = _list(title_of(name) for name in sorted(shared - set(test.collections)) or sorted(shared))
        tested = _list(title_of(name) for name in test.collections if image_roots([name]) & shared)
        what += f"; {tested} has images in common with that" if common in what else f"; {tested} has {common} too"
    if facts.known == "own":
        return Overlap("possible", f"{what}; its training films are not at hand, so patients could not be compared.")
    if shared <= image_roots(facts.held_out):
        return Overlap("possible", f"{what}, without the official test part; this test set need not be that part.")
    return Overlap("seen", f"{what}; as far as is known, test films were among them.")


def _by_patient(learned: frozenset[tuple[str, str]], test: TestFilms) -> Overlap:
    """Of patients; where one side does not say its source, ids alone decide."""
    ids, nameless = {patient for _, patient in learned}, {patient for source, patient in learned if not source}
    known = sum(pair in learned or pair[1] in nameless or (not pair[0] and pair[1] in ids) for pair in test.patients)
    if known:
        return Overlap("seen", f"{known:,} of {len(test.patients):,} test patients were in its pretraining (checked).")
    return Overlap("no", f"None of the {len(test.patients):,} test patients was in its pretraining (checked).")


def _learned_patients(facts: EncoderFacts) -> frozenset[tuple[str, str]] | None:
    """The patients an encoder of ours was pretrained on; None where their table is gone or has changed."""
    if facts.films is None or facts.films["data"] is None:
        return None
    try:
        films = Manifest.read(facts.films["data"]).select(views=facts.films["views"] or None)
        films, _ = select_where(films, facts.films["where"] or ())
    except UserError:
        return None
    if (films.table["split"] != "").any():
        films = films.select(split="train")
    share = facts.films["data_fraction"] or 1.0
    if share != 1.0:
        films, _ = share_of_patients(films, share, facts.films["settings"]["seed"])
    return _patients(films.table) if films.digest == facts.films["manifest_sha256"] else None


def _patients(table: pd.DataFrame) -> frozenset[tuple[str, str]]:
    sources = table["source"] if "source" in table else [""] * len(table)
    return frozenset(zip(sources, map(same_patient, table["patient_id"]), strict=True))


def _list(names: Iterable[str]) -> str:
    *most, last = list(names) or [""]
    return f"{', '.join(most)} and {last}" if most else last
