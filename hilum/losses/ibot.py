"""iBOT: the student names the prototypes of patches it cannot see, as the teacher, which sees them, does.

Papers: iBOT https://arxiv.org/abs/2111.07832, eq. 2; DINOv2 https://arxiv.org/abs/2304.07193, section 4. Facts checked
    against RPIDIAL/CheXFound at a4bac49, nothing copied.
Departures: none. A film's masked patches weigh 1 together, and the sum is divided by all global crops, also by those
    without a mask, so half of the crops masked gives half of the mean.
"""

from __future__ import annotations

from torch import Tensor

from hilum.losses.soft_cross_entropy import soft_cross_entropy


def ibot_loss(student: Tensor, teacher: Tensor, weights: Tensor, images: int, *, temperature: float = 0.1) -> Tensor:
    """Mean over images of the mean cross-entropy of their masked patches.

    Args:
        student: (M, K) logits of the masked patches, any floating type.
        teacher: (M, K) probabilities of the same patches.
        weights: (M,) 1 / number of masked patches of the patch's image (`patch_weights`).
        images: how many images could have been masked; the same on every rank, then the mean over ranks is the loss
            of the global batch.
        temperature: of the student.

    Returns:
        Scalar in float32 or better; zero, with a gradient of zeros, without a masked patch.
    """
    return (weights * soft_cross_entropy(student, teacher, temperature)).sum() / images


def patch_weights(masks: Tensor) -> Tensor:
    """What each masked patch weighs: masks (B, P) bool, M of them set -> (M,) float32, image after image."""
    return (1 / masks.sum(1, keepdim=True)).expand_as(masks)[masks]
