"""Token alignment: the official numbers with gradients, a slow oracle, quantiles, padding, films without words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hilum.losses.alignment import masked_quantile, region_alignment, token_alignment, token_weights
from hilum.losses.contrastive import clip_contrast
from hilum.losses.prototype import prototype_alignment
from hilum.losses.sinkhorn import sinkhorn
from tests.oracles import medim as oracle


@pytest.mark.parametrize("case", ["vit", "resnet"])
def test_golden_losses_and_gradients(shared: Path, case: str) -> None:
    golden = np.load(shared / f"golden/mgca/loss_{case}.npz")

    def given(name: str) -> Tensor:
        return torch.from_numpy(golden[f"in/{name}"])

    leaves = {name: given(name).requires_grad_() for name in ("img_feat", "patch_feat", "word_feat")}
    film, patches, words = (F.normalize(leaf, dim=-1) for leaf in leaves.values())
    report = F.normalize(given("report_feat"), dim=-1)
    prototypes = F.normalize(given("prototypes"), dim=1)
    real = torch.arange(words.shape[1]) < given("lens")[:, None]
    seen = given("img_attention_map")[:, :, 0, 1:].mean(1) if case == "vit" else None
    of_words, of_patches = token_alignment(
        words, patches, real, given("word_attn"), seen, normalise_patch_context=case == "resnet", padding_competes=True
    )
    ita = clip_contrast(film, report, 1 / 0.07, directions="sum")
    local = (of_words + of_patches).mean()
    proto = prototype_alignment(film, report, prototypes)
    for name, got in (("ita", ita), ("local", local), ("proto", proto)):
        torch.testing.assert_close(got, torch.from_numpy(golden[f"out/loss_{name}"]), rtol=1e-4, atol=1e-5)
    code = torch.from_numpy(golden["out/img_code"])
    torch.testing.assert_close(sinkhorn(film.detach() @ prototypes.T, epsilon=0.05), code, rtol=1e-4, atol=1e-5)
    total = ita + 0.7 * local + 0.5 * proto
    torch.testing.assert_close(total, torch.from_numpy(golden["out/total"]), rtol=1e-4, atol=1e-5)
    total.backward()
    for name, leaf in leaves.items():
        want = torch.from_numpy(golden[f"out/grad_{name}"])
        torch.testing.assert_close(leaf.grad, want, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize(("words", "patches", "width"), [(1, 4, 3), (5, 3, 6), (4, 9, 2)])
def test_equals_the_loops_with_gradients(words: int, patches: int, width: int) -> None:
    generator = torch.Generator().manual_seed(words)

    def drawn(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64) - 0.3

    w, p = (F.normalize(drawn(2, n, width), dim=2) for n in (words + 2, patches))
    counts, weights, seen = [words, max(words - 1, 1)], drawn(2, words + 2).abs(), drawn(2, patches).abs()
    real = torch.arange(words + 2) < torch.tensor(counts)[:, None]
    ours = [w.clone().requires_grad_(), p.clone().requires_grad_()]
    got = token_alignment(*ours, real, weights * real, seen, temperature=0.2)
    (got[0] + 2 * got[1]).sum().backward()
    slow = [w.clone().requires_grad_(), p.clone().requires_grad_()]
    total = torch.zeros((), dtype=torch.float64)
    for film, count in enumerate(counts):
        of_words, of_patches = oracle.token_losses(
            slow[0][film, :count], slow[1][film], weights[film, :count].tolist(), seen[film].tolist(), 0.2
        )
        torch.testing.assert_close(got[0][film], of_words)
        torch.testing.assert_close(got[1][film], of_patches)
        total = total + of_words + 2 * of_patches
    total.backward()
    for left, right in zip(ours, slow, strict=True):
        torch.testing.assert_close(left.grad, right.grad)


def test_a_film_without_words_costs_nothing_and_pads_do_not_matter() -> None:
    torch.manual_seed(0)
    words, patches = F.normalize(torch.randn(2, 5, 4), dim=2).requires_grad_(), F.normalize(torch.randn(2, 6, 4), dim=2)
    real = torch.tensor([[True, True, False, False, False], [False] * 5])
    weights = torch.rand(2, 5) * real
    losses = token_alignment(words, patches, real, weights, None)
    assert all(loss[1] == 0 and loss[0] > 0 for loss in losses)
    (losses[0] + losses[1]).sum().backward()
    assert words.grad is not None
    assert torch.isfinite(words.grad).all()
    assert not words.grad[1].any()
    assert not words.grad[0, 2:].any()
    shorter = token_alignment(words[:, :2], patches, real[:, :2], weights[:, :2], None)
    for left, right in zip(losses, shorter, strict=True):
        torch.testing.assert_close(left, right)
    with_padding = token_alignment(words, patches, real, weights, None, padding_competes=True)
    assert with_padding[0][0] > losses[0][0]


def test_words_that_sit_on_their_own_patches_cost_nothing() -> None:
    vectors = torch.eye(6)[None]
    real = torch.ones(1, 6, dtype=torch.bool)
    losses = token_alignment(vectors, vectors, real, torch.ones(1, 6), None, temperature=0.01)
    assert all(float(loss) < 1e-6 for loss in losses)


@pytest.mark.parametrize("level", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_quantiles_equal_torch(level: float) -> None:
    torch.manual_seed(1)
    values, valid = torch.rand(5, 7), torch.rand(5, 7) < 0.6
    valid[0], valid[1] = False, torch.arange(7) == 3
    got = masked_quantile(values, valid, level)
    assert got[0] == 0
    for row in range(1, 5):
        torch.testing.assert_close(got[row], torch.quantile(values[row][valid[row]], level))


def test_weights_are_clipped_and_sum_to_one() -> None:
    weights = torch.tensor([[0.0, 0.1, 0.2, 0.3, 9.0], [0.0] * 5])
    got = token_weights(weights)
    assert got[0, 0] == 0
    torch.testing.assert_close(got[0], torch.tensor(oracle.clipped_weights(weights[0].tolist()), dtype=torch.float32))
    assert not got[1].any()


def test_regions_equal_the_loops_with_gradients() -> None:
    torch.manual_seed(2)
    counts, groups = [3, 1, 4, 2], torch.tensor([0, 1, 0, 2])
    words, patches = (F.normalize(torch.randn(4, n, 3, dtype=torch.float64), dim=2) for n in (5, 6))
    weights = torch.rand(4, 5, dtype=torch.float64)
    real = torch.arange(5) < torch.tensor(counts)[:, None]
    ours = [words.clone().requires_grad_(), patches.clone().requires_grad_()]
    slow = [words.clone().requires_grad_(), patches.clone().requires_grad_()]
    got = region_alignment(*ours, real, weights, None, groups=groups, temperature=0.2)  # type: ignore[call-arg, arg-type]
    told = [slow[0][report, :count] for report, count in enumerate(counts)]
    want = oracle.region_loss(
        told, slow[1], [weights[r, :count].tolist() for r, count in enumerate(counts)], groups.tolist(), 0.2
    )
    torch.testing.assert_close(got, want)
    got.backward()
    want.backward()
    for left, right in zip(ours, slow, strict=True):
        torch.testing.assert_close(left.grad, right.grad)


def test_regions_cannot_be_found_by_counting_words() -> None:
    """Words that say their place in the report, and patches that say theirs on the film, satisfy MGCA's loss alone."""
    places = torch.eye(6)[None].expand(8, -1, -1)
    real, alike = torch.ones(8, 6, dtype=torch.bool), torch.ones(8, 6)
    counted = token_alignment(places, places, real, alike, None, temperature=0.05)
    assert all(float(loss.max()) < 1e-3 for loss in counted)
    regions = region_alignment(places, places, real, alike, None, temperature=0.05)
    torch.testing.assert_close(regions, torch.tensor(2 * 8.0).log() * 2 - torch.tensor(2.0).log() * 2)
    assert region_alignment(places[:0], places[:0], real[:0], alike[:0], None) == 0
