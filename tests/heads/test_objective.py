"""Classification as an objective: the loss and the choice there always were, and the sum that CheXFound trains with."""

from __future__ import annotations

import math

import pytest
import torch

from hilum.errors import ManifestError
from hilum.heads.choose import macro_auroc
from hilum.heads.objective import ClassificationObjective, Objective
from hilum.heads.targets import LabelLoss, probabilities, target_loss

NAN = math.nan


@pytest.mark.parametrize("kind", ["multilabel", "multiclass"])
def test_the_loss_is_the_mean_over_known_labels_or_their_sum(kind: str) -> None:
    logits = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[1, 0, 0], [NAN, NAN, NAN], [0, 1, 0], [0, 0, 1]])
    if kind == "multilabel":
        targets[0, 2] = NAN
    mean, total = (ClassificationObjective(3, LabelLoss(kind, "bce", 0.1, total)) for total in (False, True))  # type: ignore[arg-type]
    expected = target_loss(logits, targets, kind=kind, smoothing=0.1)  # type: ignore[arg-type]
    assert torch.equal(mean.loss(logits, targets), expected)
    torch.testing.assert_close(total.loss(logits, targets), expected * (8 if kind == "multilabel" else 3))
    assert (total.loss(logits, torch.full_like(targets, NAN)) == 0).all()


def test_unknown_labels_have_no_gradient_in_any_head() -> None:
    """In the released loop only the first head of the grid ignored them."""
    logits = torch.randn(5, 4, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    targets = torch.tensor([[1, NAN], [NAN, 0], [0, 1], [NAN, NAN]])
    ClassificationObjective(2).loss(logits, targets).sum().backward()
    assert logits.grad is not None
    unknown = targets.isnan()
    assert (logits.grad[:, unknown] == 0).all()
    assert (logits.grad[:, ~unknown] != 0).all()


@pytest.mark.parametrize("kind", ["multilabel", "multiclass"])
def test_validation_maximises_macro_auroc_of_the_scores(kind: str) -> None:
    objective: Objective = ClassificationObjective(3, LabelLoss(kind))  # type: ignore[arg-type]
    logits = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.eye(3)[torch.randint(0, 3, (40,), generator=torch.Generator().manual_seed(1))]
    scores = objective.scores(logits)
    assert torch.equal(scores, probabilities(logits, kind))  # type: ignore[arg-type]
    assert objective.value(logits, targets) == macro_auroc(targets.numpy(), scores.numpy())
    assert objective.value(logits * NAN, targets) is None
    assert (objective.name, objective.outputs) == ("auroc", 3)


def test_validation_may_minimise_its_loss_instead_of_labels_as_they_are() -> None:
    logits = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.randint(0, 2, (40, 3), generator=torch.Generator().manual_seed(1)).float()
    targets[0, 0] = NAN
    objective = ClassificationObjective(3, LabelLoss(smoothing=0.2, total=True), "loss")
    assert objective.name == "negative_loss"
    assert objective.value(logits, targets) == pytest.approx(-float(target_loss(logits, targets.double())), rel=1e-12)
    assert objective.value(logits * math.inf, targets) is None


def test_targets_that_choose_nothing_are_refused() -> None:
    with pytest.raises(ManifestError, match="both classes of no finding"):
        ClassificationObjective(2).check(torch.tensor([[1.0, NAN], [1.0, 0.0]]))
