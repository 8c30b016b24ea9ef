"""Films and reports sorted by learned prototypes: the cluster of a report must be told from its film, and back.

Papers: SwAV https://arxiv.org/abs/2006.09882 (codes by Sinkhorn's iteration, swapped prediction); MGCA
    https://arxiv.org/abs/2210.06044, section 3.4 (across films and reports). Facts checked against HKU-MedAI/MGCA at
    680fe4a, nothing copied.
Departures: those of sinkhorn.py.

Codes spread a whole batch evenly over the prototypes: the vectors wanted are those of the global batch (see gather.py).
"""

from __future__ import annotations

import torch
from torch import Tensor

from hilum.losses.sinkhorn import sinkhorn


def prototype_alignment(
    images: Tensor,
    reports: Tensor,
    prototypes: Tensor,
    *,
    temperature: float = 0.2,
    epsilon: float = 0.05,
    iterations: int = 3,
) -> Tensor:
    """Cross-entropy of each modality's prediction against the other's code, mean over samples and directions.

    Args:
        images: (B, E) unit vectors of films.
        reports: (B, E) unit vectors of their reports.
        prototypes: (K, E) unit vectors.
        temperature: of the prediction.
        epsilon: of the codes.
        iterations: of Sinkhorn.

    Returns:
        Scalar in float32 or better; zero of an empty batch.
    """
    exact = torch.promote_types(images.dtype, torch.float32)
    with torch.autocast(images.device.type, enabled=False):
        of_images, of_reports = (vectors.to(exact) @ prototypes.to(exact).T for vectors in (images, reports))
        if not len(images):
            return (of_images.sum() + of_reports.sum()) * 0.0
        losses = []
        for asked, answer in ((of_images, of_reports), (of_reports, of_images)):
            codes = sinkhorn(answer.detach(), epsilon=epsilon, iterations=iterations)
            losses.append(-(codes * (asked / temperature).log_softmax(1)).sum(1).mean())
        return (losses[0] + losses[1]) / 2
