"""The losses of DINOv2, written slowly from the papers: loops over crops, samples and prototypes, in float64.

DINO https://arxiv.org/abs/2104.14294, eq. 1 to 4; iBOT https://arxiv.org/abs/2111.07832, eq. 2; KoLeo
https://arxiv.org/abs/1806.03198, eq. 2; Sinkhorn's iteration as in SwAV https://arxiv.org/abs/2006.09882. Independent
of hilum; gradients come from autograd through the loops.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def softmax(row: Tensor) -> list[Tensor]:
    exponentials = [value.exp() for value in row]
    return [value / sum(exponentials) for value in exponentials]


def cross_entropy(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """One sample: -sum_k t_k log softmax(s / temperature)_k."""
    loss = student.new_zeros(())
    for share, predicted in zip(teacher, softmax(student / temperature), strict=True):
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
    return torch.stack([torch.stack(softmax((row - centre) / temperature)) for row in logits])


def moved_centre(centre: Tensor, logits: Tensor, momentum: float) -> Tensor:
    """Eq. 4, (K,)."""
    moved = []
    for k, old in enumerate(centre):
        moved.append(momentum * old + (1 - momentum) * sum(row[k] for row in logits) / len(logits))
    return torch.stack(moved)


def sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Exponentials; then prototypes to equal sums, and samples to equal sums, in turn."""
    samples, prototypes = scores.shape
    highest = float(scores.max())
    plan = [[math.exp((float(scores[b, k]) - highest) / epsilon) for k in range(prototypes)] for b in range(samples)]
    for _ in range(iterations):
        for k in range(prototypes):
            mass = sum(plan[b][k] for b in range(samples))
            for b in range(samples):
                plan[b][k] /= mass * prototypes
        for b in range(samples):
            mass = sum(plan[b])
            plan[b] = [value / (mass * samples) for value in plan[b]]
    return torch.tensor([[value * samples for value in row] for row in plan], dtype=torch.float64)


def koleo(x: Tensor) -> Tensor:
    """Each unit vector's smallest distance to another, by trying all; no epsilon anywhere."""
    units = [row / (row * row).sum().sqrt() for row in x]
    loss = x.new_zeros(())
    for i, one in enumerate(units):
        distances = [((one - other) ** 2).sum().sqrt() for j, other in enumerate(units) if j != i]
        loss = loss - min(distances).log() / len(units)
    return loss
