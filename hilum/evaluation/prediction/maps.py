"""Where on a film an answer comes from, for any head: four ways, none of which has seen a box.

- `attention`: what the head's queries weigh (GLoRI); for a head without queries where the encoder's class token looks,
  which is the same for every finding.
- `rollout`: the attention of all blocks together, from what the head reads back to the patches
  (`hilum.heads.rollout`); a finding has its own only where the head has queries.
- `gradient`: the attention of all blocks as far as it raises the finding's score (`hilum.heads.gradient_maps`).
- `cam`: Grad-CAM of the patch tokens that the head reads. Where it reads the class token alone, of the tokens that
  enter the last block: nothing behind them reaches the score but through that token.

A convolutional encoder has no attention over its patches: `gradient` is `cam` there, of the last map. `auto` takes
attention where there are queries, cam where the head reads patches, and gradient else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.errors import ConfigError
from hilum.evaluation.features import Runner, row_batches, run_films
from hilum.evaluation.prediction.explained import Explained, is_convolution
from hilum.films import FilmStore
from hilum.heads.gradient_maps import grad_cam, relevance
from hilum.heads.grounding import grid_side
from hilum.heads.rollout import read_rows, rollout
from hilum.lookup import unknown_name
from hilum.manifest import Manifest
from hilum.models.backbone import Convolutional, cells_at
from hilum.models.vit import VisionTransformer

Floats = NDArray[np.float64]
Way = Literal["attention", "rollout", "gradient", "cam"]
Asked = Literal["auto", "attention", "rollout", "gradient", "cam"]

WAYS: Final[tuple[Way, ...]] = get_args(Way)
EVERY: Final = "every finding"  # the name of a map that is the same for all
MEMORY: Final = 2**29  # bytes that the attention of a batch and its gradient may take


def resolve_way(model: Explained, asked: str) -> Way:
    """The way that is meant, of those the model knows.

    Raises:
        ConfigError: no such way, or one that the encoder has not.
    """
    if asked not in (*WAYS, "auto"):
        raise unknown_name(asked, [*WAYS, "auto"], kind="way of making maps", where="maps")
    if asked == "auto":
        asked = "attention" if model.has_queries else "cam" if model.reads_patches else "gradient"
    if is_convolution(model):
        if asked == "rollout" or (asked == "attention" and not model.has_queries):
            what = f"a convolutional encoder has no attention, so no {asked}"
            raise ConfigError(what, where="maps", fix="Use --maps cam")
        asked = "cam" if asked == "gradient" else asked
    if asked == "attention" and not model.has_queries and not model.backbone.config.class_token:
        what = "neither the head nor the encoder has a token that looks at the patches"
        raise ConfigError(what, where="maps", fix="Use --maps cam or gradient")
    return cast(Way, asked)


def names_of(model: Explained, way: Way, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """What the maps of a film are called, in their order: findings, or `EVERY` where they do not differ.

    Raises:
        ConfigError: a wanted name that the model does not know.
    """
    for name in wanted:
        if name not in model.names:
            raise unknown_name(name, list(model.names), kind="finding", where="findings")
    if way in ("attention", "rollout") and not model.has_queries:
        return (EVERY,)
    return tuple(name for name in model.names if not wanted or name in wanted)


def film_maps(
    model: Explained, manifest: Manifest, way: Way, *, wanted: Sequence[str] = (), runner: Runner
) -> Iterator[Floats]:
    """Maps over the patches of each film of a manifest, in order.

    Args:
        model: goes to the runner's device.
        manifest: N films.
        way: of `resolve_way`.
        wanted: only these findings; all where omitted.
        runner: device, batch size and so on.

    Returns:
        N arrays (M, S, S), one map for each of `names_of`; attention and rollout sum to at most 1, gradient and cam are
        at least 0 and their scale means nothing from one film to the next.
    """
    model.network.to(runner.torch_device).eval()
    asked = [model.names.index(name) for name in names_of(model, way, wanted) if name != EVERY]
    beside = None if model.beside is None else model.beside(manifest.table)
    batches = row_batches(range(len(manifest)), _batch_size(model, way, runner))
    waiting = iter(batches)

    def explain(images: Tensor) -> Tensor:
        rows = list(next(waiting))
        given = None if beside is None else beside[rows].to(images)
        return MAKERS[way](model, images, given, asked)

    films = FilmStore(manifest, cache=False)
    for batch in run_films(explain, films, model.preprocessing, runner, batches=batches, title=f"maps ({way})"):
        side = grid_side(batch.shape[-1])
        yield from batch.double().numpy().reshape(*batch.shape[:2], side, side)


def _attention(model: Explained, images: Tensor, beside: Tensor | None, asked: Sequence[int]) -> Tensor:
    """(B, M, P): of the queries asked for, mean over heads; without queries (B, 1, P) of the class token."""
    if model.has_queries:
        weights: Tensor = model.head.attention(model.taps(images))
        return weights.mean(dim=1)[:, list(asked)]
    vit = cast(VisionTransformer, model.backbone)
    return vit.forward_with_attention(images)[1].mean(dim=1)[:, None, model.prefix :]


def _rollout(model: Explained, images: Tensor, beside: Tensor | None, asked: Sequence[int]) -> Tensor:
    """(B, M, P), or (B, 1, P) without queries; of a head on several blocks the mean over their rollouts."""
    vit = cast(VisionTransformer, model.backbone)
    with vit.recorded_attention(lambda weights: weights.mean(dim=1)) as kept:
        if model.has_queries:
            read = _padded(model, _attention(model, images, beside, asked))
        else:
            tokens = vit(images)
            read = model.reading(tokens.shape[1]).to(tokens)
    joint = torch.stack(rollout(kept)[-model.blocks :]).mean(dim=0)
    return read_rows(joint, read)[..., model.prefix :]


def _gradient(model: Explained, images: Tensor, beside: Tensor | None, asked: Sequence[int]) -> Tensor:
    """(B, M, P): rows of the relevance that the head reads; a query's own weights count by their gradient, too."""
    vit, found = cast(VisionTransformer, model.backbone), []
    with torch.enable_grad(), vit.recorded_attention() as kept, _query_weights(model) as looked:
        totals = _totals(model, images, beside, asked)
    for total, more in totals:
        gradients = torch.autograd.grad(total, [*kept, *looked], retain_graph=more, materialize_grads=True)
        joint = relevance([weights.detach() for weights in kept], gradients[: len(kept)])
        if looked:  # only the query of this output has a gradient, so the sum over queries is its row
            of_query = (looked[0].detach() * gradients[-1]).clamp(min=0).mean(dim=1).sum(dim=1, keepdim=True)
            read = _padded(model, of_query)
        else:
            read = model.reading(joint.shape[-1]).to(joint)
        found.append(read_rows(joint, read)[..., model.prefix :])
    return torch.cat(found, dim=1)


def _cam(model: Explained, images: Tensor, beside: Tensor | None, asked: Sequence[int]) -> Tensor:
    """(B, M, P) of the features that the head reads; those of several blocks are channels of one map."""
    with torch.enable_grad(), _features(model) as kept:
        totals = _totals(model, images, beside, asked)
    places = torch.cat([_places(model, one) for one in kept], dim=-1).detach()
    found = []
    for total, more in totals:
        gradients = torch.autograd.grad(total, kept, retain_graph=more)
        found.append(grad_cam(places, torch.cat([_places(model, one) for one in gradients], dim=-1)))
    return torch.stack(found, dim=1)


Maker = Callable[[Explained, Tensor, Tensor | None, Sequence[int]], Tensor]
MAKERS: Final[dict[Way, Maker]] = {"attention": _attention, "rollout": _rollout, "gradient": _gradient, "cam": _cam}


def _totals(model: Explained, images: Tensor, beside: Tensor | None, asked: Sequence[int]) -> list[tuple[Tensor, bool]]:
    """The sum over films of each answer asked for, whose gradient is that of each film; and whether another follows."""
    answers = model.answer(images.detach().requires_grad_(), beside)
    return [(answers[:, output].sum(), number + 1 < len(asked)) for number, output in enumerate(asked)]


def _padded(model: Explained, patches: Tensor) -> Tensor:
    """Weights of patches as weights of all tokens: (B, M, P) -> (B, M, prefix + P)."""
    return nn.functional.pad(patches, (model.prefix, 0))


def _places(model: Explained, features: Tensor) -> Tensor:
    """Features of the patches (B, P, D), of tokens (B, N, D) or of a map (B, D, rows, columns)."""
    if features.ndim == 4:
        return features.flatten(2).transpose(1, 2)
    return features[:, model.prefix :]


@contextmanager
def _query_weights(model: Explained) -> Iterator[list[Tensor]]:
    """The weights of the head's queries (B, heads, M, P), in the graph; nothing where it has none."""
    kept: list[Tensor] = []
    if not model.has_queries:
        yield kept
        return
    dropout: nn.Module = model.head.attend.dropout  # in evaluation it hands on the weights as they are
    hook = dropout.register_forward_hook(lambda part, given, out: kept.append(out))
    try:
        yield kept
    finally:
        hook.remove()


@contextmanager
def _features(model: Explained) -> Iterator[list[Tensor]]:
    """The features that Grad-CAM weighs, in the graph."""
    kept: list[Tensor] = []
    backbone = model.backbone
    if isinstance(backbone, Convolutional):
        parts: list[nn.Module] = [backbone.last_map]
    elif not model.reads_patches:
        parts = [backbone.blocks[-1]]
    elif backbone.norm is not None:  # every tap passes it
        parts = [backbone.norm]
    else:
        parts = list(backbone.blocks[-model.blocks :])

    def enters(part: nn.Module, given: tuple[Any, ...]) -> None:
        kept.append(given[0])

    def leaves(part: nn.Module, given: tuple[Any, ...], out: Tensor) -> None:
        kept.append(out)

    before = not isinstance(backbone, Convolutional) and not model.reads_patches
    hooks = [part.register_forward_pre_hook(enters) if before else part.register_forward_hook(leaves) for part in parts]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


def _batch_size(model: Explained, way: Way, runner: Runner) -> int:
    """As many films as the attention of all blocks leaves room for."""
    backbone = model.backbone
    if way not in ("rollout", "gradient") or isinstance(backbone, Convolutional):
        return runner.batch_size
    sizes = backbone.config
    tokens = model.prefix + math.prod(cells_at(sizes, model.preprocessing.size))
    kept = 3 * sizes.depth * sizes.heads if way == "gradient" else sizes.depth + 2 * sizes.heads
    return max(1, min(runner.batch_size, MEMORY // (4 * kept * tokens**2)))
