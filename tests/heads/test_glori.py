"""GLoRI against the official code's numbers, against PyTorch's own attention, and its variants by their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hilum.errors import ConfigError
from hilum.heads.glori import GLoRIConfig, GLoRIHead
from hilum.heads.taps import Taps


def taps(films: int = 3, patches: int = 9, width: int = 24, seed: int = 0) -> Taps:
    generator = torch.Generator().manual_seed(seed)
    return Taps(
        torch.randn(films, width, generator=generator) * 3 + 1,
        torch.randn(films, patches, width, generator=generator) * 3 + 1,
    )


def variant(name: str, **options: object) -> GLoRIConfig:
    return GLoRIConfig(**{**GLoRIHead.VARIANTS[name], **options})  # type: ignore[arg-type]


SMALL = {"dim": 16, "heads": 4, "feedforward": 32}


def test_trainable_numbers_of_the_released_heads() -> None:
    counts = {}
    for name in ("released", "released-patches"):
        head = GLoRIHead(4 * 1024, 40, variant(name))
        counts[name] = sum(p.numel() for p in head.parameters())
        assert sum(b.numel() for b in head.buffers() if b.is_floating_point()) == 30_720  # frozen queries
    assert counts == {"released": 8_856_616, "released-patches": 8_692_776}  # fact sheet 1


def test_the_papers_class_token_is_one_more_token() -> None:
    head = GLoRIHead(24, 3, variant("paper", **SMALL)).eval()
    x = taps()
    both = head(x)
    assert head.project_class is not None
    assert head.classify_class is not None
    assert x.cls is not None
    q = _queries(head, x)
    cls = x.cls @ head.project_class.weight.T + head.project_class.bias
    for c in range(3):
        by_hand = q[:, c] @ head.classify.weight[c] + cls @ head.classify_class.weight[c] + head.classify.bias[c]
        torch.testing.assert_close(both[:, c], by_hand, rtol=1e-5, atol=1e-6)


def _queries(head: GLoRIHead, x: Taps) -> torch.Tensor:
    """The decoder layer, step by step."""
    assert x.patches is not None
    m = torch.relu(head.embed(x.patches))
    q = head.queries if head.query_norm is None else head.query_norm(2 * head.queries)
    q = head.attended_norm(q + head.attend(q, m))
    return head.output_norm(q + head.contract(torch.relu(head.expand(q))))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", GLoRIHead.VARIANTS)
def test_a_query_can_give_several_logits(name: str) -> None:
    head = GLoRIHead(24, 6, variant(name, outputs_per_query=(1, 4, 1), **SMALL)).eval()
    x = taps()
    assert head(x).shape == (3, 6)
    assert head.attention(x).shape == (3, 4, 3, 9)
    with torch.no_grad():
        before = head(x)
        head.queries[1] *= -1  # the second query owns logits 1 to 4; a shift would be lost in LN(2q)
        moved = (head(x) - before).abs().amax(dim=0) > 0
    assert moved.tolist() == [False, True, True, True, True, False]
    with pytest.raises(ConfigError, match="queries give 5 logits and 6 are wanted"):
        GLoRIHead(24, 6, variant(name, outputs_per_query=(1, 4), **SMALL))


@pytest.mark.parametrize("name", GLoRIHead.VARIANTS)
def test_attention_maps_are_weights_over_patches(name: str) -> None:
    x = taps()
    maps = GLoRIHead(24, 2, variant(name, **SMALL)).eval().attention(x)
    assert maps.shape == (3, 4, 2, 9)
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(3, 4, 2))


def test_a_film_does_not_depend_on_its_neighbours() -> None:
    head = GLoRIHead(24, 2, GLoRIConfig(**SMALL)).eval()  # type: ignore[arg-type]
    x = taps()
    torch.testing.assert_close(head(x)[1:2], head(x[torch.tensor([1])]), rtol=1e-5, atol=1e-7)


def test_standardised_tokens_do_not_care_for_scale_and_offset() -> None:
    x, heads = taps(films=40), []
    scale, offset = torch.linspace(0.01, 30, 24), torch.linspace(-5, 5, 24)
    assert x.cls is not None
    assert x.patches is not None
    stretched = Taps(x.cls * scale + offset, x.patches * scale + offset)
    for given in (x, stretched):
        torch.manual_seed(0)
        head = GLoRIHead(24, 2, GLoRIConfig(init_std=0.1, **SMALL)).eval()  # type: ignore[arg-type]
        assert head.standardise is not None
        head.standardise.fit(given)
        heads.append(head)
    torch.testing.assert_close(heads[0](x), heads[1](stretched), rtol=1e-3, atol=1e-3)


def test_learned_queries_learn_and_frozen_ones_stay() -> None:
    for name, learned in (("hilum", True), ("paper", True), ("released", False)):
        head = GLoRIHead(24, 2, variant(name, **SMALL))
        assert ("queries" in dict(head.named_parameters())) is learned
        assert "queries" in head.state_dict()
        assert float(head.queries.detach().std()) == pytest.approx(1, abs=0.35)


def test_the_released_decoder_starts_as_officially() -> None:
    torch.manual_seed(0)
    head = GLoRIHead(512, 40, variant("released"))
    assert head.classify_class is not None
    vector = torch.cat([head.classify_class.weight, head.classify.weight], dim=1)
    assert float(vector.detach().std()) == pytest.approx(np.sqrt(2 / (512 + 768 + 40)), rel=0.02)
    bound = np.sqrt(6 / (4 * 768))  # Xavier over query, key and value at once
    assert float(head.attend.key.weight.detach().abs().max()) == pytest.approx(bound, rel=0.01)


@pytest.mark.parametrize("wrong", [{"heads": 5}, {"blocks": 0}, {"dropout": 1.0}, {"outputs_per_query": (0, 3)}])
def test_faults(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        GLoRIHead(24, 3, GLoRIConfig(**{**SMALL, **wrong}))  # type: ignore[arg-type]
