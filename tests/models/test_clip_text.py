"""CLIP's report encoder against transformers' own, and what a causal reader must not see."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hilum.errors import ConfigError
from hilum.models.clip_text import ClipText, ClipTextConfig

SMALL = ClipTextConfig(width=16, depth=2, heads=4, hidden=40, positions=12)
END = 29


def texts() -> Tensor:
    torch.manual_seed(3)
    ids = torch.randint(1, END - 1, (3, 12))
    for row, end in zip(ids, (11, 4, 1), strict=True):
        row[0], row[end], row[end + 1 :] = END - 1, END, 0
    return ids


def from_transformers(state: dict[str, Tensor], depth: int) -> dict[str, Tensor]:
    """Weights of transformers' text model under our names; written apart from the layouts."""
    at = {key.removeprefix("text_model."): value for key, value in state.items()}  # version 4 has the prefix
    found = {
        "tokens.weight": at["embeddings.token_embedding.weight"],
        "positions": at["embeddings.position_embedding.weight"],
        "norm.weight": at["final_layer_norm.weight"],
        "norm.bias": at["final_layer_norm.bias"],
    }
    for n in range(depth):
        for kind in ("weight", "bias"):
            layer = f"encoder.layers.{n}."
            found[f"blocks.{n}.qkv.{kind}"] = torch.cat([at[f"{layer}self_attn.{p}_proj.{kind}"] for p in "qkv"])
            for theirs, ours in (
                ("self_attn.out_proj", "proj"),
                ("layer_norm1", "norm1"),
                ("layer_norm2", "norm2"),
                ("mlp.fc1", "fc1"),
                ("mlp.fc2", "fc2"),
            ):
                found[f"blocks.{n}.{ours}.{kind}"] = at[f"{layer}{theirs}.{kind}"]
    return found


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_it_is_transformers_clip(activation: str) -> None:
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    theirs: Any = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=END + 1,
            hidden_size=16,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=12,
            hidden_act=activation,
            bos_token_id=END - 1,
            eos_token_id=END,
            pad_token_id=0,
        )
    )
    theirs.eval()
    with torch.no_grad():
        for value in theirs.parameters():
            value.normal_(std=0.3)
    config = ClipTextConfig(width=16, depth=2, heads=4, hidden=40, positions=12, activation=activation)  # type: ignore[arg-type]
    ours = ClipText(config, END + 1).eval()
    ours.load_state_dict(from_transformers(theirs.state_dict(), 2))
    ids = texts()
    with torch.no_grad():
        wanted, got = theirs(input_ids=ids), ours(ids, torch.ones_like(ids))
    torch.testing.assert_close(got.tokens, wanted.last_hidden_state, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(got.pooled, wanted.pooler_output, rtol=1e-4, atol=1e-5)


def test_no_word_sees_what_follows_it() -> None:
    torch.manual_seed(0)
    reader, ids = ClipText(SMALL, END + 1).eval(), texts()
    later = ids.clone()
    later[:, 6:] = (later[:, 6:] + 5) % (END - 1)
    whole, changed = reader(ids, torch.ones_like(ids)), reader(later, torch.ones_like(ids))
    assert torch.equal(whole.tokens[:, :6], changed.tokens[:, :6])
    assert not torch.equal(whole.tokens[:, 6], changed.tokens[:, 6])
    short = reader(ids[1:, :6], torch.ones(2, 6, dtype=torch.long))  # padding cut off
    assert whole.pooled is not None
    torch.testing.assert_close(short.pooled, whole.pooled[1:])


def test_sizes_without_meaning_are_refused() -> None:
    with pytest.raises(ConfigError, match="make no text encoder"):
        ClipTextConfig(width=10, heads=4)
