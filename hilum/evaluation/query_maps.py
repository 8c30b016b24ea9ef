"""Where the queries of a trained head look on a film, beside where the encoder's own class token looks.

A head with queries (GLoRI: https://arxiv.org/abs/2502.05142, III-B) has one attention map a query, so it answers
"where" without having seen a box; the map is the mean over its heads. A class token has attention too, for every
finding the same: a query that does not beat it has added a classifier and no place. Both are scored as they are,
without a filter, laid over the film bilinearly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.checkpoint import CONFIG, read_config
from hilum.errors import CheckpointError, ConfigError, ManifestError
from hilum.evaluation.boxes import match_films, read_boxes
from hilum.evaluation.classifier import Record, load_classifier
from hilum.evaluation.features import Runner, run_films
from hilum.evaluation.grounding_pairs import Pair, Questions, given_size
from hilum.evaluation.survival.model import is_risk_run, load_risk
from hilum.films import FilmStore
from hilum.heads.grounding import GroundingRule, centre_prior, grid_side
from hilum.heads.taps import Taps, taps_of
from hilum.lookup import unknown_name
from hilum.manifest import Manifest
from hilum.models.backbone import Backbone
from hilum.models.vit import VisionTransformer
from hilum.schema import Preprocessing

Floats = NDArray[np.float64]

RULE: Final = GroundingRule(tau=None, sigma=0.0)  # no filter; scaled to [-1, 1] for thresholds


@dataclass(frozen=True)
class QueryModel:
    """A trained model whose head has queries."""

    backbone: Backbone
    head: nn.Module  # `attention(taps)` -> (B, heads, M, P)
    preprocessing: Preprocessing
    names: tuple[str, ...]  # (M,) findings, then endpoints
    record: Record  # findings, label policy, origin


@dataclass(frozen=True)
class FilmMaps:
    """Attention over the patches of one film."""

    queries: Floats  # (M, S, S), each summing to 1
    class_token: Floats | None  # (S, S), mean over heads; what it pays to itself is left out

    def ways(self, query: int) -> dict[str, Floats]:
        """The maps (S, S) that are compared on a question about one query."""
        own = {} if self.class_token is None else {"class_token": self.class_token}
        return {"query": self.queries[query], **own, "centre": centre_prior(len(self.queries[query]))}


def is_trained_model(source: str | Path) -> bool:
    """Whether a folder holds a classifier or a model of risk, and not an encoder."""
    path = Path(source)
    folder = path / "model" if (path / "model" / CONFIG).is_file() else path
    return (folder / CONFIG).is_file() and read_config(folder).get("kind") in ("classifier", "survival")


def load_queries(source: str | Path) -> QueryModel:
    """A run of `hilum adapt` whose head has queries.

    Raises:
        CheckpointError: damaged, of another kind, or its head has no queries.
    """
    trained: Any = load_risk(source) if is_risk_run(source) else load_classifier(source)
    record, head = trained.record, trained.model.head
    if not hasattr(head, "attention"):
        raise CheckpointError(
            f"its head ({record.head}) has no queries, so it cannot say where it looks",
            where=source,
            fix="Use --maps cam, gradient or rollout, or train one with: hilum adapt classify --head glori",
        )
    if not isinstance(record, Record):
        record = Record(record.findings, policy=record.policy, origin=record.origin, head=record.head)
    names = (*record.findings, *getattr(trained.record, "endpoints", ()))
    return QueryModel(trained.model.backbone, head, trained.preprocessing, names, record)


def film_maps(model: QueryModel, manifest: Manifest, rows: Sequence[int], runner: Runner) -> dict[int, FilmMaps]:
    """Attention maps of some films of a manifest, by row; each film is encoded once for queries, once for its token."""
    backbone, head = model.backbone.to(runner.torch_device).eval(), model.head.to(runner.torch_device).eval()
    config, attention = cast(Any, head.config), cast(Callable[[Taps], Tensor], head.attention)
    own = isinstance(backbone, VisionTransformer) and backbone.config.class_token

    def attend(images: Tensor) -> Tensor:
        """(B, C, S, S) -> (B, M [+ 1], P)."""
        found = attention(taps_of(backbone, images, config.blocks, config.parts)).mean(dim=1)
        if not own or not isinstance(backbone, VisionTransformer):
            return found
        weights = backbone.forward_with_attention(images)[1].mean(dim=1)[:, None, backbone.num_prefix_tokens :]
        return torch.cat([found, weights.to(found)], dim=1)

    part = Manifest(manifest.table.iloc[list(rows)].reset_index(drop=True), manifest.root)
    batches = run_films(attend, FilmStore(part, cache=False), model.preprocessing, runner, title="attention")
    found = dict[int, FilmMaps]()
    for row, maps in zip(rows, (film for batch in batches for film in batch), strict=True):
        side = grid_side(maps.shape[-1])
        grids: Floats = maps.double().numpy().reshape(-1, side, side)
        found[row] = FilmMaps(grids[:-1], grids[-1]) if own else FilmMaps(grids, None)
    return found


def questions_of_queries(manifest: Manifest, boxes: str | Path, names: Sequence[str], ask: Sequence[str]) -> Questions:
    """One question a film and query: the boxes of the query's finding, of several categories perhaps, as a union.

    Args:
        manifest: the films that may be asked about.
        boxes: a file that `read_boxes` reads.
        names: of the queries; a category of that name is theirs, in any case, with or without spaces.
        ask: "category=name", for boxes that are called otherwise.

    Raises:
        ConfigError: a broken file, or an `ask` that names no category or no query.
        ManifestError: no question is left.
    """
    table, strangers = match_films(read_boxes(boxes), manifest)
    notes = [f"{strangers} boxes are of films that are not among those judged."] if strangers else []
    known = {_plain(name): name for name in names}
    known |= _asked(ask, list(names), boxes)
    table["query"] = table["category"].map(_plain).map(known)
    lost = table.loc[table["query"].isna(), "category"].value_counts()
    if len(lost):
        shown = ", ".join(f"{category or 'without a category'} ({count})" for category, count in lost.items())
        notes.append(f"Boxes left out, since no query is called so (see --ask): {shown}.")
    pairs = [
        Pair(
            int(group["row"].iloc[0]),
            (),
            str(name),
            group[["x", "y", "w", "h"]].to_numpy(dtype=np.float64),
            given_size(group),
        )
        for (_, name), group in table.dropna(subset="query").groupby(["row", "query"], sort=True)
    ]
    if not pairs:
        raise ManifestError(
            f"no film of {len(manifest)} has a box of {', '.join(names)}",
            where=boxes,
            fix="Check that the boxes name films of this split; --ask 'category=finding' says whose boxes they are",
        )
    return Questions(tuple(pairs), tuple(notes))


def _asked(ask: Sequence[str], names: list[str], boxes: str | Path) -> Mapping[str, str]:
    """`ask` as a table: category, as `_plain` has it -> name of a query."""
    found = dict[str, str]()
    for entry in ask:
        category, sign, name = entry.partition("=")
        if not sign:
            raise ConfigError(
                f"must be category=finding, not {entry!r}", where="ask", fix="E.g. --ask Opacity=Pneumonia"
            )
        if name not in names:
            raise unknown_name(name, names, kind="query", where="ask")
        found[_plain(category)] = name
    there = set(read_boxes(boxes)["category"].map(_plain)) if found else set()
    if missing := set(found) - there:
        raise ConfigError(f"no box is called {min(missing)!r}", where="ask", fix=f"See the categories of {boxes}")
    return found


def _plain(name: str) -> str:
    """A category's name in lower case, without spaces and the like: `Lung Opacity` is `LungOpacity`."""
    return re.sub(r"[\W_]", "", name).lower()
