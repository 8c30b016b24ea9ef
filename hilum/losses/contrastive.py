"""Films against reports: the cross-entropy of finding each film's report in the batch, plain and with MaCo's weights.

Papers: CLIP https://arxiv.org/abs/2103.00020 (`clip_contrast`); MaCo https://arxiv.org/abs/2309.05904, eq. 2 and 3
    (`paper_contrast`). `released_contrast` is what SZUHvern/MaCo computes at 7f64d95, which differs from the paper
    (facts checked, nothing copied).
Departures: films of one study share a report, and "no acute process" repeats; `groups` takes such false negatives out
of the denominators (None is the naive rule of all three). A film without a report is left out, as if it were not in
the batch. Arithmetic is in float32 or better under any autocast.

Vectors are those of the global batch (see gather.py); every function returns its scalar loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Directions = Literal["both", "sum", "image"]  # mean of film->report and report->film; their sum; film->report alone
Reduction = Literal["weighted", "mean", "sum"]  # of w_l * loss: sum / number of groups of D; over the batch
DIRECTIONS: Final = ("both", "sum", "image")
REDUCTIONS: Final = ("weighted", "mean", "sum")


@dataclass(frozen=True)
class Contrast:
    """The pairs that take part: K of the B films, those with a report."""

    cosine: Tensor  # (K, K) float32 or better: film i, report k
    apart: Tensor | None  # (K, K) bool, True where i and k may be told apart; None: everywhere
    rows: Tensor | None  # (K,) int64 their places in the batch; None: all

    def of(self, values: Tensor) -> Tensor:
        """The pairs' own values, flat and in the precision of the arithmetic: (B,) or (B, 1) -> (K,)."""
        chosen = values.flatten() if self.rows is None else values.flatten()[self.rows]
        return chosen.to(self.cosine.dtype)

    def losses(self, gain: Tensor, *, back: bool = False) -> Tensor:
        """Cross-entropy of each pair, (K,); `gain` (K, 1) or (1,) multiplies its row; `back`: reports ask."""
        logits = gain * (self.cosine.T if back else self.cosine)
        if self.apart is not None:
            logits = logits.masked_fill(~self.apart, -torch.inf)
        return logits.logsumexp(dim=1) - logits.diagonal()


def contrast_of(
    images: Tensor, texts: Tensor, *, groups: Tensor | None = None, has_report: Tensor | None = None
) -> Contrast:
    """Compare every film with every report.

    Args:
        images: (B, E) vectors of films, any length.
        texts: (B, E) vectors of their reports.
        groups: (B,) int64; items of the same group are no negatives of each other. None: all are.
        has_report: (B,) bool; films without one take no part. None: all have one.
    """
    rows = None if has_report is None else has_report.nonzero().flatten()
    if rows is not None:
        images, texts = images[rows], texts[rows]
        groups = None if groups is None else groups[rows]
    exact = torch.promote_types(images.dtype, torch.float32)
    with torch.autocast(images.device.type, enabled=False):
        cosine = F.normalize(images.to(exact), dim=1) @ F.normalize(texts.to(exact), dim=1).T
    apart = None
    if groups is not None:
        apart = (groups[:, None] != groups[None]) | torch.eye(len(groups), dtype=torch.bool, device=groups.device)
    return Contrast(cosine, apart, rows)


def clip_contrast(
    images: Tensor,
    texts: Tensor,
    scale: Tensor | float,
    *,
    directions: Directions = "both",
    groups: Tensor | None = None,
    has_report: Tensor | None = None,
) -> Tensor:
    """CLIP's loss: mean cross-entropy of `scale` * cosine, from films to reports and back.

    Args:
        images: (B, E) vectors of films, any length.
        texts: (B, E) vectors of their reports.
        scale: 1 / temperature, a positive number or a tensor of one element.
        directions: mean of both, sum of both, or films to reports alone.
        groups: see `contrast_of`.
        has_report: see `contrast_of`.
    """
    contrast = contrast_of(images, texts, groups=groups, has_report=has_report)
    gain = torch.as_tensor(scale, dtype=contrast.cosine.dtype, device=contrast.cosine.device).reshape(1)
    return _combine([_mean(contrast.losses(gain, back=back)) for back in _ways(directions)], directions)


def released_contrast(
    images: Tensor,
    texts: Tensor,
    importance: Tensor,
    scale: Tensor,
    *,
    directions: Directions = "both",
    groups: Tensor | None = None,
    has_report: Tensor | None = None,
) -> Tensor:
    """MaCo as released: half with a gain on the logits, half with a weight on the losses.

    With g = softplus(importance), the first half is the mean cross-entropy of g_i * scale * cosine, where g_i
    multiplies row i in both directions; the second is sum(g_i l_i) / sum(g_i) of the cross-entropies l of
    scale * cosine, in which g takes no gradient.

    Args:
        images: (B, E) vectors of films, any length.
        texts: (B, E) vectors of their reports.
        importance: (B,) or (B, 1) score of each film's mask.
        scale: 1 / temperature, one element.
        directions: as in `clip_contrast`.
        groups: see `contrast_of`.
        has_report: see `contrast_of`.
    """
    contrast = contrast_of(images, texts, groups=groups, has_report=has_report)
    gain, scale = F.softplus(contrast.of(importance)), scale.reshape(1).to(contrast.cosine.dtype)
    share = gain.detach()
    share = share / share.sum().clamp_min(torch.finfo(share.dtype).tiny)
    losses = []
    for back in _ways(directions):
        gained = _mean(contrast.losses(gain[:, None] * scale, back=back))
        weighed = (share * contrast.losses(scale, back=back)).sum()
        losses.append((gained + weighed) / 2)
    return _combine(losses, directions)


def paper_contrast(
    images: Tensor,
    texts: Tensor,
    importance: Tensor,
    scale: Tensor,
    *,
    tau1: float = 1.0,
    tau2: float = 16.0,
    group_size: int = 16,
    directions: Directions = "image",
    reduction: Reduction = "weighted",
    groups: Tensor | None = None,
    has_report: Tensor | None = None,
) -> Tensor:
    """MaCo as written, eq. 2 and 3: temperature w_t * tau3 and weight w_l of every film.

    The paper does not say how the batch is reduced. w_l sums to 1 over a mini-batch of D, so `weighted`, a weighted
    mean in each mini-batch and the mean over these, keeps the size of a cross-entropy; `mean` is D times smaller.

    Args:
        images: (B, E) vectors of films, any length.
        texts: (B, E) vectors of their reports.
        importance: (B,) or (B, 1) score p of each film's mask.
        scale: 1 / tau3, one element.
        tau1: temperature of the softmax in w_t.
        tau2: temperature of the softmax in w_l.
        group_size: D, consecutive films over which both are taken; the last mini-batch may be smaller.
        directions: as in `clip_contrast`; eq. 3 has films to reports alone.
        reduction: how w_l * loss becomes a scalar.
        groups: see `contrast_of`.
        has_report: see `contrast_of`.
    """
    contrast = contrast_of(images, texts, groups=groups, has_report=has_report)
    w_t, w_l = paper_weights(contrast.of(importance), tau1=tau1, tau2=tau2, group_size=group_size)
    gain = (scale.reshape(1).to(w_t.dtype) / w_t)[:, None]
    count = {"weighted": -(-len(w_l) // group_size), "mean": len(w_l), "sum": 1}[reduction]
    losses = [(w_l * contrast.losses(gain, back=back)).sum() / max(count, 1) for back in _ways(directions)]
    return _combine(losses, directions)


def paper_weights(importance: Tensor, *, tau1: float, tau2: float, group_size: int) -> tuple[Tensor, Tensor]:
    """Eq. 2: w_t = exp(softmax(p / tau1)) with gradient, w_l = softmax(p / tau2) without; both (B,) of p (B,)."""
    parts = torch.split(importance, group_size)
    w_t = torch.cat([(part / tau1).softmax(0) for part in parts]).exp()
    w_l = torch.cat([(part.detach() / tau2).softmax(0) for part in parts])
    return w_t, w_l


def _ways(directions: Directions) -> tuple[bool, ...]:
    """Whether each direction goes back from reports to films."""
    return (False,) if directions == "image" else (False, True)


def _combine(losses: Sequence[Tensor], directions: Directions) -> Tensor:
    """One loss of one or two directions."""
    together = torch.stack(list(losses)).sum()
    return together if directions == "sum" else together / len(losses)


def _mean(losses: Tensor) -> Tensor:
    """The mean; of no pair at all zero, still with a gradient (of zeros)."""
    return losses.sum() / max(len(losses), 1)
