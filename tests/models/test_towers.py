"""One space for films and reports: shapes, pools, JSON, and rules that cannot be built."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch

from hilum.errors import ConfigError
from hilum.models.clip_text import ClipTextConfig
from hilum.models.text import TextConfig
from hilum.models.towers import Towers, TowersConfig, towers_from_json
from tests.models.tower_kinds import MLP_HEADS

TEXT = TextConfig(width=12, depth=2, heads=2, hidden=24, positions=10)
CLIP = ClipTextConfig(width=12, depth=1, heads=2, hidden=24, positions=10)
FAMILIES = {
    "MaCo": TowersConfig(text=TEXT, dim=12, position_weight=True),
    "MGCA": TowersConfig(text=TEXT, dim=6, hidden=20, **MLP_HEADS, image_pool="cls", text_pool="first"),
    "CLIP": TowersConfig(
        text=CLIP, dim=6, image_head="matrix", text_head="matrix", image_pool="cls", text_pool="end", logit_scale=100.0
    ),
    "BiomedCLIP": TowersConfig(
        text=TEXT, dim=6, hidden=9, image_head="matrix", text_head="gelu-mlp", image_pool="cls", text_pool="first"
    ),
    "BioViL": TowersConfig(
        text=TEXT,
        dim=6,
        hidden=6,
        image_head="conv-mlp",
        text_head="dense-norm",
        image_pool="projected-mean",
        text_pool="first",
    ),
    "GLoRIA": TowersConfig(
        text=TEXT,
        dim=12,
        image_head="linear",
        image_local_head="matrix",
        text_local_head="none",
        text_pool="word-mean",
        text_layers=2,
        length=10,
    ),
}


def build(config: TowersConfig) -> Towers:
    torch.manual_seed(0)
    return Towers(config, image_width=8, patches=9, vocabulary=30).eval()


@pytest.mark.parametrize("name", FAMILIES)
def test_everything_lands_in_one_space(name: str) -> None:
    config = FAMILIES[name]
    towers, dim = build(config), config.dim
    tokens, ids = torch.randn(4, 10, 8), torch.randint(1, 30, (4, 10))
    features = towers.text(ids, torch.ones_like(ids))
    assert towers.image_global(tokens).shape == (4, dim)
    assert towers.image_local(tokens[:, 1:]).shape == (4, 9, dim)
    assert towers.text_global(features).shape == (4, dim)
    assert towers.text_local(features.tokens).shape == (4, 10, dim)
    assert (towers.position is not None) == (name == "MaCo")
    assert config.aligns_words == (name in ("MGCA", "GLoRIA"))


@pytest.mark.parametrize("name", FAMILIES)
def test_rules_survive_json(name: str) -> None:
    config = FAMILIES[name]
    assert towers_from_json(json.loads(json.dumps(config.to_json())), where="config.json") == config


def test_encoders_of_older_versions_are_understood() -> None:
    for head, name in (("linear", "MaCo"), ("mlp", "MGCA")):
        config = FAMILIES[name]
        new = {"image_head", "image_local_head", "text_head", "text_local_head", "text_layers", "logit_scale"}
        old = {key: value for key, value in asdict(config).items() if key not in new} | {"head": head}
        assert towers_from_json(json.loads(json.dumps(old)), where="config.json") == config
    with pytest.raises(ConfigError, match="imagehead"):
        towers_from_json({"dim": 384, "imagehead": "mlp"}, where="config.json")


def test_a_linear_head_commutes_with_the_mean() -> None:
    towers = build(FAMILIES["MaCo"])
    tokens = torch.randn(3, 10, 8)
    torch.testing.assert_close(towers.image_global(tokens), towers.image_local(tokens[:, 1:]).mean(1))


def test_the_mean_may_come_after_the_head() -> None:
    towers = build(FAMILIES["BioViL"])
    tokens = torch.randn(3, 10, 8)
    torch.testing.assert_close(towers.image_global(tokens), towers.image_local(tokens[:, 1:]).mean(1))
    before = towers.image_head(tokens[:, 1:].mean(1))
    assert not torch.allclose(towers.image_global(tokens), before)


def test_the_class_token_and_the_first_word_can_speak() -> None:
    towers = build(TowersConfig(text=TEXT, dim=12, image_pool="cls", text_pool="first"))
    tokens, ids = torch.randn(3, 10, 8), torch.randint(1, 30, (3, 10))
    changed = torch.cat([tokens[:, :1], torch.randn(3, 9, 8)], dim=1)
    assert torch.equal(towers.image_global(tokens), towers.image_global(changed))
    features = towers.text(ids, torch.ones_like(ids))
    assert torch.equal(towers.text_global(features), features.tokens[:, 0])


def test_the_mean_word_is_of_the_last_layers_and_of_no_padding() -> None:
    towers = build(FAMILIES["GLoRIA"])
    ids, mask = torch.randint(1, 30, (1, 10)), torch.tensor([[1] * 4 + [0] * 6])
    read = towers.text(ids, mask)
    bert: Any = towers.text.bert
    x = bert.embeddings(input_ids=ids)
    layers = [x := layer(x, mask[:, None, None].bool()) for layer in bert.encoder.layer]
    torch.testing.assert_close(read.tokens, layers[0] + layers[1])
    torch.testing.assert_close(towers.text_global(read), read.tokens[:, :4].sum(1) / 10)
    short = towers.text(ids[:, :4], mask[:, :4])
    torch.testing.assert_close(towers.text_global(short), towers.text_global(read))


def test_parts_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ConfigError, match="12 wide"):
        TowersConfig(text=TEXT, dim=768)
    with pytest.raises(ConfigError, match="text_local_head"):
        TowersConfig(text=TEXT, dim=6, text_head="linear", text_local_head="none")
    with pytest.raises(ConfigError, match="'pooler' does not go with CLIP"):
        TowersConfig(text=CLIP, dim=12)
    with pytest.raises(ConfigError, match="'end' does not go with BERT"):
        TowersConfig(text=TEXT, dim=12, text_pool="end")
    with pytest.raises(ConfigError, match="3 last layers"):
        TowersConfig(text=TEXT, dim=12, text_layers=3)
    with pytest.raises(ConfigError, match="vectors stay 8 wide"):
        build(replace(FAMILIES["MaCo"], image_head="none"))
