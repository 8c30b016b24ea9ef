"""`hilum retrieve` as a library call: vectors of a split, ranks and class shares, similar cases, and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hilum.encoder import load
from hilum.errors import ConfigError
from hilum.evaluation.features import Runner
from hilum.evaluation.joint_space import (
    JointEncoder,
    asked_of,
    film_vectors,
    films_to_read,
    split_notes,
    text_vectors,
)
from hilum.evaluation.retrieval import (
    CLASS_K,
    Archive,
    class_results,
    direction_results,
    film_classes,
    make_archive,
    query_items,
    rank_all,
    rank_table,
)
from hilum.evaluation.similar_cases import example_queries, given_queries, similar_cases
from hilum.heads.prompt_file import read_prompts
from hilum.heads.retrieval import IndexKind, make_index
from hilum.labels import check_findings
from hilum.manifest import Manifest
from hilum.optional import require
from hilum.reports import normalised, reports_of
from hilum.results.classification import plain, software_versions
from hilum.results.notes import draws_note
from hilum.results.pictures import png
from hilum.results.reading import write_reading
from hilum.results.retrieval import retrieval_markdown, retrieval_page
from hilum.run_folder import RunFolder
from hilum.schema import Split


@dataclass(frozen=True)
class Retrieval:
    """What decides a retrieval result."""

    split: Split = "test"
    views: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()  # of the reports; () takes them whole
    similarity: Literal["cosine", "dot"] = "cosine"
    labels: tuple[str, ...] = ()  # findings for retrieval by class; () takes all
    prompts: str = "findings"  # its terms find the side that a report names
    query: tuple[str, ...] = ()  # sentences, or files of films, for the sheet instead of examples of the split
    examples: int = 6  # rows of the sheet
    neighbours: int = 5  # similar cases a row
    index: IndexKind = "exact"  # of the sheet; ranks are always exact
    draws: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("examples", "neighbours", "draws"):
            if getattr(self, name) < (name == "neighbours"):
                raise ConfigError(f"{getattr(self, name)} is too few", where=name, fix="Give a larger number")


def run_retrieval(
    encoder: str | JointEncoder,
    data: str,
    out: str,
    options: Retrieval,
    *,
    runner: Runner | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Search a split; writes results.html, .md, .json, ranks.parquet, items.parquet and similar_cases.png.

    Args:
        encoder: a run or encoder folder with a text tower, or the encoder itself.
        data: folder with a manifest that has reports.
        out: a new folder.
        options: what is asked.
        runner: device, batch size and so on.
        command: shown on the page.

    Returns:
        The results as plain JSON values.

    Raises:
        ConfigError: a name that does not exist, or a non-empty `out`.
        CheckpointError: the encoder has no text tower.
        ManifestError: no films, or reports of fewer than two studies.
        MissingDependencyError: the index needs faiss.
    """
    runner = runner or Runner()
    RunFolder(out)  # refuses a folder with something in it
    if options.index == "faiss":
        require("faiss", extra="search")  # before an hour of encoding, not after
    everything, prompts = Manifest.read(data), read_prompts(options.prompts)
    findings = options.labels or everything.findings
    if findings:
        check_findings(everything, findings)
    manifest = films_to_read(everything, options.split, options.views)
    loaded = load(encoder) if isinstance(encoder, str) else encoder
    loaded.require_towers()
    reports = reports_of(manifest, options.sections)
    films = film_vectors(loaded, manifest, runner)
    texts = text_vectors(loaded, [text for text in reports.texts if text])
    archive = make_archive(manifest, reports, films, texts, cosine=options.similarity == "cosine")
    resampling = {"draws": options.draws, "seed": options.seed}
    ranked = rank_all(archive)
    results = plain(
        {
            "task": "retrieval",
            "directions": {name: direction_results(hits, archive, **resampling) for name, hits in ranked.items()},
            "classes": class_results(archive, film_classes(archive, findings, prompts), **resampling),
            "class_k": CLASS_K,
            "counts": _counts(archive),
            "bootstrap": {"unit": "patient", "confidence": 0.95, **resampling},
            "versions": software_versions(),
            "notes": [reports.line().capitalize() + ".", *_notes(options), *draws_note(options.draws)],
            "context": _context(loaded, encoder, data, everything, options, command),
        }
    )
    ranks = rank_table(ranked, archive)
    rows, picture = _sheet(loaded, archive, options, findings, runner)
    write_reading(
        out,
        results,
        html=retrieval_page(results, rows),
        markdown=retrieval_markdown(results),
        tables={"ranks": ranks, "items": query_items(ranks)},
        pictures={"similar_cases.png": picture} if rows else {},
    )
    return dict(results)


def _sheet(
    encoder: JointEncoder, archive: Archive, options: Retrieval, findings: Sequence[str], runner: Runner
) -> tuple[list[Any], bytes]:
    queries = (
        given_queries(encoder, options.query, runner, cosine=options.similarity == "cosine")
        if options.query
        else example_queries(archive, options.examples, options.seed)
    )
    if not queries:
        return [], b""
    index = make_index(options.index, archive.films.vectors)
    rows, picture = similar_cases(archive, queries, index, options.neighbours, findings)
    return rows, png(picture)


def _counts(archive: Archive) -> dict[str, int]:
    texts = {normalised(text) for text in archive.reports.texts if text}
    return {
        "films": len(archive.films),
        "patients": int(np.unique(archive.patients).size),
        "studies": _distinct(archive.films.study),
        "films_with_report": len(archive.pairs),
        "reports": len(archive.distinct_reports),
        "distinct_texts": len(texts),
    }


def _distinct(values: NDArray[np.int64]) -> int:
    return int(np.unique(values).size)


def _notes(options: Retrieval) -> list[str]:
    notes = split_notes(options.split)
    if options.index == "faiss":
        notes.append("The similar cases come from an approximate index (faiss, HNSW); all numbers are exact.")
    return notes


def _context(
    encoder: JointEncoder,
    source: str | JointEncoder,
    data: str,
    manifest: Manifest,
    options: Retrieval,
    command: str,
) -> dict[str, Any]:
    chosen = {name: value for name, value in asdict(options).items() if name not in ("draws", "seed", "query")}
    return {
        "title": f"Retrieval on the {options.split} split of {Path(data).resolve().name}",
        **asked_of(encoder, source, data, manifest),
        **chosen,
        "command": command,
    }
