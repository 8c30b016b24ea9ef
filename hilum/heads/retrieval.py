"""Who is nearest? Ranks, nearest items and their classes from an exact product, a block of queries at a time.

The similarity matrix of a large archive does not fit in memory and need not: a block of queries meets the whole
gallery, leaves a few counts a query, and is forgotten. Equal gallery vectors are multiplied once, so that their scores
are equal to the last bit and count as ties (`metrics/retrieval.py`), which two columns of a matrix product need not be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum.errors import ConfigError
from hilum.metrics.retrieval import Ranks
from hilum.optional import require

CELLS: Final = 2**24  # scores held at once: 64 MiB of float32, and a few times that for what is derived from them
NOBODY: Final = -1

IndexKind = Literal["exact", "faiss"]


class Nearest(NamedTuple):
    """The first k gallery items of each query, best first."""

    scores: NDArray[np.float32]  # (Q, k)
    items: NDArray[np.int64]  # (Q, k) rows of the gallery


class Index(Protocol):
    """Anything that finds nearest items."""

    def search(self, queries: Tensor, k: int) -> Nearest:
        """The first `k` items of each query (Q, E)."""
        ...


def rank_hits(
    queries: Tensor, gallery: Tensor, query_group: Tensor, gallery_group: Tensor, *, own: Tensor | None = None
) -> Ranks:
    """Count what the rank of each query's best hit follows from; a hit is a gallery item of the query's group.

    Args:
        queries: (Q, E) vectors; the score is the dot product, so cosine where both sides have unit length.
        gallery: (G, E).
        query_group: (Q,) int64.
        gallery_group: (G,) int64.
        own: (Q,) gallery row of the query itself, which is neither hit nor wrong; -1 where it is not in the gallery.
    """
    found: list[Tensor] = []
    for rows, scores in score_blocks(queries, gallery):
        hit = query_group[rows, None].to(scores.device) == gallery_group[None].to(scores.device)
        counted = torch.ones_like(hit)
        if own is not None:
            there = (own[rows] != NOBODY).nonzero().flatten()
            counted[there, own[rows][there]] = False
        hit &= counted
        wrong = counted & ~hit
        best = scores.masked_fill(~hit, -torch.inf).amax(dim=1, keepdim=True)
        level = scores == best
        numbers = ((scores > best) & wrong, level & wrong, level & hit, hit, counted)
        found.append(torch.stack([mask.sum(dim=1) for mask in numbers]).cpu())
    table = torch.cat(found, dim=1) if found else torch.zeros(5, 0, dtype=torch.int64)
    return Ranks(*(row.numpy().astype(np.int64) for row in table))


def share_of_class(
    queries: Tensor,
    gallery: Tensor,
    belongs: Tensor,
    k: int,
    *,
    query_study: Tensor | None = None,
    gallery_study: Tensor | None = None,
) -> NDArray[np.float64]:
    """Which share of a query's first k items belongs to a class; items tied for the last places count by their share.

    Args:
        queries: (Q, E), those that belong to the class.
        gallery: (G, E), only items of which it is known whether they belong.
        belongs: (G,) bool.
        k: items looked at; the whole gallery where it is smaller.
        query_study: (Q,) int64; with `gallery_study`, items of the query's own study are left out.
        gallery_study: (G,) int64.

    Returns:
        (Q,) in [0, 1]; NaN where no item is left.
    """
    found: list[Tensor] = []
    for rows, scores in score_blocks(queries, gallery):
        if query_study is not None and gallery_study is not None:
            same = query_study[rows, None].to(scores.device) == gallery_study[None].to(scores.device)
            scores = scores.masked_fill(same, -torch.inf)
        left = torch.isfinite(scores).sum(dim=1)
        size = left.clamp(max=k)
        places = scores.topk(min(k, scores.shape[1]), dim=1).values
        last = places.gather(1, (size - 1).clamp(min=0)[:, None])
        inside = belongs[None].to(scores.device)
        above, level = scores > last, scores == last
        free = size - above.sum(dim=1)
        share = (level & inside).sum(dim=1) / level.sum(dim=1)
        total = ((above & inside).sum(dim=1) + free * share) / size
        found.append(torch.where(left > 0, total.double(), torch.nan).cpu())
    return torch.cat(found).numpy() if found else np.zeros(0)


def score_blocks(queries: Tensor, gallery: Tensor, cells: int = CELLS) -> Iterator[tuple[slice, Tensor]]:
    """Dot products block by block: (rows of the block, scores (b, G)); equal gallery rows have equal scores."""
    distinct, which = _distinct(gallery)
    step = max(1, cells // max(1, len(gallery)))
    for start in range(0, len(queries), step):
        scores = queries[start : start + step] @ distinct.T
        yield slice(start, start + step), scores if which is None else scores[:, which]


class ExactIndex:
    """Nearest items by the whole product: slower than an approximate index, and never wrong.

    Args:
        gallery: (G, E) vectors.
    """

    def __init__(self, gallery: Tensor) -> None:
        self.gallery = gallery

    def search(self, queries: Tensor, k: int) -> Nearest:
        """The first `k` items of each query; of equal scores the earlier gallery row comes first."""
        k = min(k, len(self.gallery))
        scores, items = np.zeros((len(queries), k), np.float32), np.zeros((len(queries), k), np.int64)
        for rows, block in score_blocks(queries, self.gallery):
            values, order = block.sort(dim=1, descending=True, stable=True)
            scores[rows], items[rows] = values[:, :k].cpu().numpy(), order[:, :k].cpu().numpy()
        return Nearest(scores, items)


class FaissIndex:
    """Nearest items by faiss: a graph index (HNSW, 32 links an item) that searches millions of items in milliseconds.

    Args:
        gallery: (G, E) vectors.

    Raises:
        MissingDependencyError: faiss is not installed.
    """

    def __init__(self, gallery: Tensor) -> None:
        faiss: Any = require("faiss", extra="search")
        vectors = np.ascontiguousarray(gallery.cpu().numpy(), dtype=np.float32)
        self.index = faiss.IndexHNSWFlat(vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
        self.index.hnsw.efSearch = 128
        self.index.add(vectors)

    def search(self, queries: Tensor, k: int) -> Nearest:
        """The first `k` items of each query, as far as the graph leads to them."""
        scores, items = self.index.search(np.ascontiguousarray(queries.cpu().numpy(), dtype=np.float32), k)
        return Nearest(scores, items.astype(np.int64))


INDEXES: Final[dict[IndexKind, Callable[[Tensor], Index]]] = {"exact": ExactIndex, "faiss": FaissIndex}


def make_index(kind: IndexKind, gallery: Tensor) -> Index:
    """An index over gallery vectors (G, E).

    Raises:
        ConfigError: an empty gallery.
        MissingDependencyError: the kind needs a package that is not installed.
    """
    if not len(gallery):
        raise ConfigError("the gallery is empty", where="index", fix="Name a split that holds films")
    return INDEXES[kind](gallery)


def _distinct(gallery: Tensor) -> tuple[Tensor, Tensor | None]:
    """Distinct rows and, where some repeat, which of them each row is."""
    rows = np.ascontiguousarray(gallery.detach().cpu().numpy()) + 0.0  # + 0.0: -0.0 becomes 0.0
    if not rows.size:
        return gallery, None
    whole = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, which = np.unique(whole, return_index=True, return_inverse=True)
    if len(first) == len(rows):
        return gallery, None
    place = torch.from_numpy(which.astype(np.int64)).to(gallery.device)
    return gallery[torch.from_numpy(first).to(gallery.device)], place
