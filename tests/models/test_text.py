"""The report encoder is transformers' BERT, read layer by layer; word vectors are sums; BERT folders come in whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hilum.errors import CheckpointError, ConfigError
from hilum.models.fill import fill
from hilum.models.text import ReportEncoder, TextConfig, read_bert, sum_pieces

SMALL = TextConfig(width=16, depth=3, heads=2, hidden=32, positions=12)


def reports() -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(1, 40, (3, 10), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(3, 10, dtype=torch.long)
    mask[1, 4:] = 0
    return ids * mask, mask


@pytest.fixture
def encoder() -> ReportEncoder:
    torch.manual_seed(0)
    return ReportEncoder(SMALL, 40, pooler=True).eval()


@torch.no_grad()
def test_it_is_transformers_bert(encoder: ReportEncoder) -> None:
    ids, mask = reports()
    features = encoder(ids, mask, attentions=True)
    encoder.bert.set_attn_implementation("eager")
    theirs = encoder.bert(input_ids=ids, attention_mask=mask, output_attentions=True)
    torch.testing.assert_close(features.tokens, theirs.last_hidden_state)
    torch.testing.assert_close(features.pooled, theirs.pooler_output)
    torch.testing.assert_close(features.attention, theirs.attentions[-1])


@torch.no_grad()
def test_something_can_be_added_to_the_embeddings(encoder: ReportEncoder) -> None:
    ids, mask = reports()
    nothing, something = torch.zeros(3, 1, 16), torch.randn(3, 1, 16)
    torch.testing.assert_close(encoder(ids, mask, added=nothing).tokens, encoder(ids, mask).tokens)
    spread = encoder(ids, mask, added=something.expand(3, 10, 16)).tokens
    torch.testing.assert_close(encoder(ids, mask, added=something).tokens, spread)
    assert not torch.allclose(spread, encoder(ids, mask).tokens)


def test_fixed_positions_take_no_gradient_and_idle_weights_are_left_out() -> None:
    fixed = ReportEncoder(TextConfig(width=16, depth=1, heads=2, hidden=32, positions=12, position="sincos"), 40)
    ids, mask = reports()
    fixed(ids, mask).tokens.sum().backward()
    table = fixed.bert.embeddings.position_embeddings.weight
    assert not table.requires_grad
    assert torch.equal(table[0], torch.tensor([0.0] * 8 + [1.0] * 8))
    assert all(p.grad is not None for p in fixed.parameters() if p.requires_grad)
    assert not any("pooler" in name for name in fixed.state_dict())


def test_words_are_the_sums_of_their_pieces() -> None:
    values = torch.tensor([[1.0, 2, 4, 8, 16]])[..., None] * torch.tensor([1.0, 10.0])
    words = torch.tensor([[-1, 0, 0, 1, 7]])
    summed = sum_pieces(values, words, 3)
    assert torch.equal(summed[0], torch.tensor([[6.0, 60], [8, 80], [0, 0]]))
    assert torch.equal(sum_pieces(values[..., 0], words, 2), torch.tensor([[6.0, 8.0]]))


@pytest.mark.parametrize("prefix", ["", "bert."])
@pytest.mark.parametrize("pickled", [False, True])
@torch.no_grad()
def test_a_bert_folder_gives_its_first_layers(
    encoder: ReportEncoder, tmp_path: Path, prefix: str, pickled: bool
) -> None:
    encoder.bert.save_pretrained(tmp_path)
    weights = {prefix + key: value for key, value in load_file(tmp_path / "model.safetensors").items()}
    weights["cls.predictions.bias"] = torch.zeros(40)
    weights = {key.replace("LayerNorm.weight", "LayerNorm.gamma"): value for key, value in weights.items()}
    (tmp_path / "model.safetensors").unlink()
    if pickled:
        torch.save(weights, tmp_path / "pytorch_model.bin")
    else:
        save_file(weights, tmp_path / "model.safetensors")

    config, kept = read_bert(tmp_path, depth=2)
    assert config == TextConfig(width=16, depth=2, heads=2, hidden=32, positions=12, dropout=0.0)
    shallow = ReportEncoder(config, 40, pooler=True).eval()
    fill(shallow, kept, where=tmp_path)
    ids, mask = reports()
    theirs = encoder.bert(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    torch.testing.assert_close(shallow(ids, mask).tokens, theirs.hidden_states[2])


def test_a_folder_that_is_no_bert_is_refused(encoder: ReportEncoder, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a BERT folder"):
        read_bert(tmp_path)
    encoder.bert.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="has 3 layers, 6 are asked for"):
        read_bert(tmp_path, depth=6)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="safetensors"):
        read_bert(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="neither"):
        read_bert(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 16}))
    with pytest.raises(CheckpointError, match="no sizes"):
        read_bert(tmp_path)


@pytest.mark.parametrize(
    "sizes", [{"width": 10, "heads": 3}, {"depth": 0}, {"width": 9, "heads": 3, "position": "sincos"}]
)
def test_sizes_without_meaning_are_refused(sizes: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        TextConfig(**sizes)  # type: ignore[arg-type]
