"""The losses of DINOv2, written slowly from the papers: loops over crops, samples and prototypes, in float64.

DINO https://arxiv.org/abs/2104.14294, eq. 1 to 4; iBOT https://arxiv.org/abs/2111.07832, eq. 2; KoLeo
https://arxiv.org/abs/1806.03198, eq. 2; Sinkhorn's iteration as in SwAV https://arxiv.org/abs/2006.09882. Independent
of hilum; gradients come from autograd through the loops.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tests.oracles.medim import softmax


def cross_entropy(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """One sample: -sum_k t_k log softmax(s / temperature)_k."""
    loss = student.new_zeros(())
    for share, predicted in zip(teacher, softmax(list(student / temperature)), strict=True):
        loss = loss - share * predicted.log()
    return loss


def dino(students: list[Tensor], teachers: list[Tensor], temperature: float) -> Tensor:
    """Every student with every teacher, sample by sample."""
    loss = students[0].new_zeros(())
    for student in students:
        for teacher in teachers:
            for one, other in zip(student, teacher, strict=True):
                loss = loss + cross_entropy(one, other, temperature) / len(student)
    return loss


def ibot(student: list[Tensor], teacher: list[Tensor], temperature: float) -> Tensor:
    """Films' masked patches, each (masked, K): the mean in each film that has some, over the number of films."""
    loss = torch.zeros((), dtype=torch.float64)
    for of_student, of_teacher in zip(student, teacher, strict=True):
        for one, other in zip(of_student, of_teacher, strict=True):
            loss = loss + cross_entropy(one, other, temperature) / len(of_student) / len(student)
    return loss


def centred_targets(logits: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """Eq. 1 with the centre of eq. 4: (B, K) logits, (K,) centre."""
    return torch.stack([torch.stack(softmax(list((row - centre) / temperature))) for row in logits])


def moved_centre(centre: Tensor, logits: Tensor, momentum: float) -> Tensor:
    """Eq. 4, (K,)."""
    moved = []
    for k, old in enumerate(centre):
        moved.append(momentum * old + (1 - momentum) * sum(row[k] for row in logits) / len(logits))
    return torch.stack(moved)


def koleo(x: Tensor) -> Tensor:
    """Each unit vector's smallest distance to another, by trying all; no epsilon anywhere."""
    units = [row / (row * row).sum().sqrt() for row in x]
    loss = x.new_zeros(())
    for i, one in enumerate(units):
        distances = [((one - other) ** 2).sum().sqrt() for j, other in enumerate(units) if j != i]
        loss = loss - min(distances).log() / len(units)
    return loss
