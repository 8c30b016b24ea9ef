"""Similar cases to look at: a query, the nearest films of other studies, and what their reports say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hilum.errors import ConfigError
from hilum.evaluation.features import Runner
from hilum.evaluation.joint_space import JointEncoder, text_vectors
from hilum.evaluation.retrieval import Archive
from hilum.films import decode
from hilum.heads.retrieval import Index
from hilum.results.pictures import data_uri, sheet, thumbnail
from hilum.results.retrieval import Case, SimilarCases
from hilum.schema import PRESENT
from hilum.transforms.image import prepare_film

SIDE: Final = 190  # pixels of a thumbnail
LONGEST: Final = 400  # characters of a report that are shown
FILM_FILES: Final = (".png", ".jpg", ".jpeg", ".dcm", ".tif", ".tiff")


@dataclass(frozen=True)
class Query:
    """Something to find similar cases for."""

    title: str
    vector: Tensor  # (E,)
    film: NDArray[np.uint8] | None  # what is shown of it
    text: str
    row: int | None = None  # of the film in the archive, whose study is left out


def example_queries(archive: Archive, count: int, seed: int) -> list[Query]:
    """Films with a report to show as examples, drawn by `seed`, no two of one patient or with the same text."""
    rows, queries = np.random.default_rng(seed).permutation(archive.pairs.film), list[Query]()
    seen: set[Any] = set()
    for row in map(int, rows):
        keys = {("patient", archive.patients[row]), ("group", int(archive.films.group[row]))}
        if len(queries) < count and not keys & seen:
            seen |= keys
            film = decode(archive.manifest.paths()[row])
            title = str(archive.manifest.table["image_id"].iloc[row])
            queries.append(Query(title, archive.films.vectors[row], film, archive.reports.texts[row], row))
    return queries


def given_queries(encoder: JointEncoder, given: Sequence[str], runner: Runner, *, cosine: bool) -> list[Query]:
    """Queries of a person: files of films, or sentences.

    Raises:
        ConfigError: something that looks like a file and is not there, or blank.
        ImageError: a file is not a film.
    """
    queries = []
    for text in given:
        path = Path(text)
        if path.suffix.lower() in FILM_FILES and not path.is_file():
            raise ConfigError(f"no such file: {text}", where="query", fix="Give a film's file, or a sentence")
        if not text.strip():
            raise ConfigError("is blank", where="query", fix="Give a film's file, or a sentence")
        film = decode(path) if path.suffix.lower() in FILM_FILES else None
        if film is None:
            vector = text_vectors(encoder, [text])[0]
        else:
            encoder.to(runner.torch_device)
            image = prepare_film(film, encoder.preprocessing)[None].to(runner.torch_device)
            vector = encoder.project(image)[0].float().cpu()
        vector = F.normalize(vector, dim=-1) if cosine else vector
        queries.append(Query(path.name if film is not None else f"“{text}”", vector, film, ""))
    return queries


def similar_cases(
    archive: Archive, queries: Sequence[Query], index: Index, neighbours: int, findings: Sequence[str]
) -> tuple[list[SimilarCases], Image.Image]:
    """Nearest films of other studies for each query: for the page, and as one picture.

    Args:
        archive: what is searched.
        queries: at least one.
        index: over `archive.films`.
        neighbours: how many to show.
        findings: labels that are named under a film.
    """
    crowd = int(np.bincount(archive.films.study).max())  # films of the query's own study may fill the first places
    found = index.search(torch.stack([query.vector for query in queries]), min(neighbours + crowd, len(archive.films)))
    cases, rows = [], []
    for query, scores, items in zip(queries, found.scores, found.items, strict=True):
        others = [
            (float(score), int(item))
            for score, item in zip(scores, items, strict=True)
            if item >= 0 and (query.row is None or archive.films.study[item] != archive.films.study[query.row])
        ][:neighbours]
        shown = [
            _shown(archive, row, f"{place}. score {score:.3f}", findings)
            for place, (score, row) in enumerate(others, 1)
        ]
        blank = Image.new("RGB", (SIDE, SIDE), "white")
        picture = thumbnail(query.film, SIDE) if query.film is not None else blank
        note = "asked for" if query.row is None else _labels(archive, query.row, findings)
        asked = Case(query.title, data_uri(picture) if query.film is not None else None, _short(query.text), note)
        cases.append(SimilarCases(asked, tuple(case for case, _ in shown)))
        rows.append([(picture, f"asked: {query.title}"), *((p, f"{case.note} {case.text}") for case, p in shown)])
    return cases, sheet(rows, SIDE)


def _shown(archive: Archive, row: int, note: str, findings: Sequence[str]) -> tuple[Case, Image.Image]:
    picture = thumbnail(decode(archive.manifest.paths()[row]), SIDE)
    title = str(archive.manifest.table["image_id"].iloc[row])
    labels = _labels(archive, row, findings)
    case = Case(title, data_uri(picture), _short(archive.reports.texts[row]), f"{note}{'; ' if labels else ''}{labels}")
    return case, picture


def _labels(archive: Archive, row: int, findings: Sequence[str]) -> str:
    if not findings:
        return ""
    states = archive.manifest.labels(tuple(findings))[row]
    return ", ".join(name for name, state in zip(findings, states, strict=True) if state == PRESENT)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"
