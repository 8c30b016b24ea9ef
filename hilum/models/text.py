"""A BERT that reads reports: of any size, from random weights or from a folder, first n layers.

The network is transformers' `BertModel`, so every BERT folder fits (BioClinicalBERT, PubMedBERT, ...). Ours is the
configuration, the door for weights, and two needs of the methods: something added to the embeddings (MRM's image
vector) and word vectors as sums of their pieces (MedIM).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from hilum.errors import CheckpointError, ConfigError
from hilum.models.onednn import adopt
from hilum.models.positions import sincos_line
from hilum.models.safetensors_file import read_safetensors
from hilum.models.unpickle import read_pickle


@dataclass(frozen=True)
class TextConfig:
    """BERT's sizes; the vocabulary comes with the tokenizer."""

    width: int = 384
    depth: int = 6  # layers
    heads: int = 6
    hidden: int = 1536  # width inside the feed-forward layers
    positions: int = 100  # longest report in word pieces
    position: Literal["learned", "sincos"] = "learned"
    dropout: float = 0.0  # of embeddings, attention and layers
    norm_eps: float = 1e-12
    token_types: int = 2

    def __post_init__(self) -> None:
        """Refuse sizes that make no network."""
        if min(self.width, self.depth, self.heads, self.hidden, self.positions) < 1 or self.width % self.heads:
            what = f"width {self.width}, {self.depth} layers and {self.heads} heads make no text encoder"
            raise ConfigError(what, where="text", fix="Give positive sizes with a width that the heads divide")
        if self.position == "sincos" and self.width % 2:
            raise ConfigError(f"sine-cosine positions need an even width, not {self.width}", where="text")


@dataclass(frozen=True)
class TextFeatures:
    """What a report became."""

    tokens: Tensor  # (B, T, W) of the last layer, or the sum over the last ones
    pooled: Tensor | None  # (B, W): BERT: tanh of a linear layer on position 0; CLIP: the end token
    attention: Tensor | None  # (B, heads, T, T) of the last layer
    mask: Tensor | None = None  # (B, T) 1 where there is a piece


class ReportEncoder(nn.Module):
    """BERT with its weights under `bert.`.

    Args:
        config: sizes.
        vocabulary: V, entries of the tokenizer.
        pad_id: the padding entry, whose vector stays zero.
        pooler: whether to build the pooled vector's layer; left out where unused, since DDP refuses idle weights.
        layers: last layers whose outputs are added up to the tokens.
    """

    def __init__(
        self, config: TextConfig, vocabulary: int, *, pad_id: int = 0, pooler: bool = False, layers: int = 1
    ) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel  # seconds to import: only who reads reports waits for it

        self.config, self.layers = config, layers
        bert = BertConfig(
            vocab_size=vocabulary,
            hidden_size=config.width,
            num_hidden_layers=config.depth,
            num_attention_heads=config.heads,
            intermediate_size=config.hidden,
            max_position_embeddings=config.positions,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            layer_norm_eps=config.norm_eps,
            type_vocab_size=config.token_types,
            pad_token_id=pad_id,
        )
        bert._attn_implementation = "sdpa"
        self.bert = BertModel(bert, add_pooling_layer=pooler)
        adopt(self.bert)
        if config.position == "sincos":
            table = self.bert.embeddings.position_embeddings.weight
            table.data.copy_(sincos_line(config.width, config.positions))
            table.requires_grad_(False)

    def forward(
        self, ids: Tensor, mask: Tensor, *, added: Tensor | None = None, attentions: bool = False
    ) -> TextFeatures:
        """Read a batch of reports.

        Args:
            ids: (B, T) int64 entries of the vocabulary.
            mask: (B, T) 1 where there is a word piece, 0 at padding.
            added: (B, 1 or T, W), added to the embeddings after their norm and dropout.
            attentions: also give the last layer's attention weights; that layer is then computed the plain way.
        """
        x = self.bert.embeddings(input_ids=ids)
        if added is not None:
            x = x + added
        visible = mask[:, None, None, :].to(torch.bool)
        seen: list[Tensor] = []
        with _watching(self.bert.encoder.layer[-1], visible, seen) if attentions else nullcontext():
            outputs = [x := layer(x, visible) for layer in self.bert.encoder.layer]
        pooled = self.bert.pooler(x) if self.bert.pooler is not None else None
        tokens = x if self.layers == 1 else torch.stack(outputs[-self.layers :]).sum(dim=0)
        return TextFeatures(tokens, pooled, seen[0] if seen else None, mask)


@contextmanager
def _watching(layer: nn.Module, visible: Tensor, seen: list[Tensor]) -> Iterator[None]:
    """Have a BERT layer leave its attention weights (B, heads, T, T) in `seen`.

    They are computed inside its forward pass, where a sharded layer's weights are whole.
    """

    def watch(own: Any, given: tuple[Tensor, ...], _: Any) -> None:
        seen.append(_attention(own, given[0], visible))

    handle = layer.attention.self.register_forward_hook(watch)  # type: ignore[union-attr]
    try:
        yield
    finally:
        handle.remove()


def _attention(own: Any, x: Tensor, visible: Tensor) -> Tensor:
    """Attention weights (B, heads, T, T) of a BERT self-attention on its input."""
    shape = (*x.shape[:2], own.num_attention_heads, own.attention_head_size)
    query, key = (part(x).view(shape).transpose(1, 2) for part in (own.query, own.key))
    scores = (query @ key.transpose(-1, -2)) / own.attention_head_size**0.5
    weights: Tensor = scores.masked_fill(~visible, torch.finfo(scores.dtype).min).softmax(-1)
    return weights


def sum_pieces(values: Tensor, words: Tensor, count: int) -> Tensor:
    """Add up the word pieces of each word.

    Args:
        values: (B, T, ...) one value or vector a piece.
        words: (B, T) int64 number of the word each piece belongs to; negative entries belong to none.
        count: W, words to make room for; pieces of later words are left out.

    Returns:
        (B, W, ...), zero for words that no piece belongs to.
    """
    index = torch.where((words >= 0) & (words < count), words, count)
    shape = (values.shape[0], count + 1, *values.shape[2:])
    expanded = index.reshape(*index.shape, *(1,) * (values.ndim - 2)).expand_as(values)
    return values.new_zeros(shape).scatter_add(1, expanded, values)[:, :count]


_PREFIX: Final = "bert."


def read_bert(folder: str | Path, *, depth: int | None = None) -> tuple[TextConfig, dict[str, Tensor]]:
    """Read a BERT folder: config.json beside model.safetensors or pytorch_model.bin.

    Args:
        folder: as Hugging Face lays it out; with or without the prefix `bert.` on its keys.
        depth: layers to keep, counted from the first; all where omitted.

    Returns:
        Its sizes, and weights under the keys of `ReportEncoder`. Layers beyond `depth`, language-model heads and
        stored position numbers are left behind.

    Raises:
        CheckpointError: no such folder, unreadable, no BERT, or with fewer layers than asked for.
    """
    folder, sizes = Path(folder), dict[str, Any]()
    try:
        sizes = json.loads((folder / "config.json").read_text())
        config = TextConfig(
            width=sizes["hidden_size"],
            depth=depth or sizes["num_hidden_layers"],
            heads=sizes["num_attention_heads"],
            hidden=sizes["intermediate_size"],
            positions=sizes["max_position_embeddings"],
            dropout=sizes.get("hidden_dropout_prob", 0.1),
            norm_eps=sizes.get("layer_norm_eps", 1e-12),
            token_types=sizes.get("type_vocab_size", 2),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        kind = f" but one of model_type {sizes['model_type']}" if "model_type" in sizes else ""
        raise CheckpointError(
            f"is not a BERT folder{kind}: config.json gives no sizes ({error})",
            where=folder,
            fix="Give a folder with config.json, model.safetensors and vocab.txt",
        ) from error
    found = sizes["num_hidden_layers"]
    if config.depth > found:
        raise CheckpointError(f"has {found} layers, {config.depth} are asked for", where=folder, fix="Ask for fewer")
    kept: dict[str, Tensor] = {}
    for original, value in _weights(folder).items():
        key = _renamed(original)
        part = key.split(".")
        if part[0] not in ("embeddings", "encoder", "pooler") or key.endswith("position_ids"):
            continue
        if part[0] == "encoder" and int(part[2]) >= config.depth:
            continue
        kept[_PREFIX + key] = value
    return config, kept


def _weights(folder: Path) -> dict[str, Tensor]:
    """The tensors of a BERT folder, from whichever file it has."""
    safe, pickled = folder / "model.safetensors", folder / "pytorch_model.bin"
    if safe.is_file():
        return read_safetensors(safe)
    if not pickled.is_file():
        raise CheckpointError("has neither model.safetensors nor pytorch_model.bin", where=folder)
    content = read_pickle(pickled)
    if not isinstance(content, dict):
        raise CheckpointError("holds no dictionary of tensors", where=pickled)
    return {key: value for key, value in content.items() if isinstance(value, Tensor)}


def _renamed(key: str) -> str:
    """A key without the prefix `bert.`, norms under today's names (old files say gamma and beta)."""
    key = key.removeprefix(_PREFIX)
    return key.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
