"""Masked record modelling written slowly from its equations: one film, one word and one pixel at a time, float64.

Independent of hilum: it takes a flat state dict under the official key names. The vector of the film is projected patch
by patch and averaged afterwards, every position is scored, and only then the ones outside the loss are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from tests.oracles.mae import block, layer_norm, mask_of, patch_pixels, reconstruction_loss

BERT = "bert_encoder.model.bert."
HEAD = "bert_encoder.model.cls.predictions."


def cubic(distance: float, a: float) -> float:
    """Keys' cubic convolution kernel."""
    x = abs(distance)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def resize_line(values: list[Tensor], size: int, antialias: bool) -> list[Tensor]:
    """One line to `size` values: Keys' kernel, widened by the factor with antialias (Pillow), at two taps without."""
    length = len(values)
    factor = length / size
    found = []
    for place in range(size):
        centre = (place + 0.5) * factor - 0.5
        if antialias:
            reach = 2 * factor
            low = max(0, int(centre + 0.5 - reach + 0.5))
            high = min(length, int(centre + 0.5 + reach + 0.5))
            shares = {n: cubic((n - centre) / factor, -0.5) for n in range(low, high)}
            whole = sum(shares.values())
            found.append(sum(values[n] * (share / whole) for n, share in shares.items()))
        else:
            first = math.floor(centre)
            taps = [(n, cubic(n - centre, -0.75)) for n in range(first - 1, first + 3)]
            found.append(sum(values[min(max(n, 0), length - 1)] * share for n, share in taps))
    return found


def shrink(image: Tensor, size: int, antialias: bool) -> Tensor:
    """(C, H, W) to (C, size, size)."""
    channels = []
    for plane in image:
        rows = [torch.stack(resize_line(list(row), size, antialias)) for row in plane]
        columns = [torch.stack(resize_line(list(column), size, antialias)) for column in torch.stack(rows).T]
        channels.append(torch.stack(columns).T)
    return torch.stack(channels)


def encode(weights: Mapping[str, Tensor], image: Tensor, kept: list[int], patch: int, heads: int) -> Tensor:
    """Class token and visible patches of one film (C, S, S) after the encoder: (1 + V, D)."""
    depth = len({key.split(".")[1] for key in weights if key.startswith("blocks.")})
    kernel = weights["patch_embed.proj.weight"].permute(0, 2, 3, 1).flatten(1)
    rows = torch.stack([torch.stack(values) for values in patch_pixels(image, patch)])
    tokens = rows @ kernel.T + weights["patch_embed.proj.bias"] + weights["pos_embed"][0, 1:]
    first = weights["cls_token"][0, 0] + weights["pos_embed"][0, 0]
    x = torch.stack([first, *(tokens[number] for number in kept)])
    for index in range(depth):
        x = block(x, weights, f"blocks.{index}", heads)
    return layer_norm(x, weights["norm.weight"], weights["norm.bias"])


def decode(weights: Mapping[str, Tensor], latent: Tensor, kept: list[int], patches: int, heads: int) -> Tensor:
    """Predictions of all patches of one film in grid order: (L, outputs)."""
    depth = len({key.split(".")[1] for key in weights if key.startswith("decoder_blocks.")})
    x = latent @ weights["decoder_embed.weight"].T + weights["decoder_embed.bias"]
    grid = [weights["mask_token"][0, 0]] * patches
    for place, number in enumerate(kept):
        grid[number] = x[1 + place]
    x = torch.stack([x[0], *grid]) + weights["decoder_pos_embed"][0]
    for index in range(depth):
        x = block(x, weights, f"decoder_blocks.{index}", heads)
    x = layer_norm(x, weights["decoder_norm.weight"], weights["decoder_norm.bias"])
    return x[1:] @ weights["decoder_pred.weight"].T + weights["decoder_pred.bias"]


def film_vector(weights: Mapping[str, Tensor], latent: Tensor, pool: str) -> Tensor:
    """Every token projected, the class token left out, the rest averaged (GAP) or the largest taken (GMP)."""
    projected = [weights["bert_mlp.weight"] @ token + weights["bert_mlp.bias"] for token in latent][1:]
    if pool == "max":
        return torch.stack([max(column) for column in torch.stack(projected).T])
    return sum(projected) / len(projected)


def bert(
    weights: Mapping[str, Tensor], ids: list[int], mask: list[int], added: list[Tensor], heads: int
) -> tuple[Tensor, Tensor]:
    """Embeddings with the film's vector, and states after the last layer, of one report: two of (T, W)."""

    def dense(x: Tensor, name: str) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: Tensor, name: str) -> Tensor:
        return layer_norm(x, weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-12)

    parts = BERT + "embeddings."
    table = weights[parts + "word_embeddings.weight"]
    rows = [
        (table[entry] if entry else table[entry].detach())  # padding's vector is not learned where it is read
        + weights[parts + "position_embeddings.weight"][place]
        + weights[parts + "token_type_embeddings.weight"][0]
        for place, entry in enumerate(ids)
    ]
    hybrid = norm(torch.stack(rows), parts + "LayerNorm") + torch.stack(added)
    x = hybrid
    size = x.shape[1] // heads
    for index in range(len({key.split(".")[5] for key in weights if key.startswith(BERT + "encoder.layer.")})):
        name = f"{BERT}encoder.layer.{index}."
        query, key, value = (dense(x, f"{name}attention.self.{part}") for part in ("query", "key", "value"))
        mixed = []
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            out = []
            for token in range(len(ids)):
                scores = [
                    (query[token, own] @ key[other, own]) / math.sqrt(size) if mask[other] else None
                    for other in range(len(ids))
                ]
                powers = [score.exp() if score is not None else torch.zeros(()) for score in scores]
                whole = sum(powers)
                out.append(sum(power / whole * value[other, own] for other, power in enumerate(powers)))
            mixed.append(torch.stack(out))
        x = norm(
            x + dense(torch.cat(mixed, dim=1), f"{name}attention.output.dense"), f"{name}attention.output.LayerNorm"
        )
        inner = dense(x, f"{name}intermediate.dense")
        inner = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
        x = norm(x + dense(inner, f"{name}output.dense"), f"{name}output.LayerNorm")
    return hybrid, x


def scores(weights: Mapping[str, Tensor], states: Tensor) -> Tensor:
    """Scores of the vocabulary: (T, W) -> (T, V)."""
    x = states @ weights[HEAD + "transform.dense.weight"].T + weights[HEAD + "transform.dense.bias"]
    x = x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    x = layer_norm(x, weights[HEAD + "transform.LayerNorm.weight"], weights[HEAD + "transform.LayerNorm.bias"], 1e-12)
    return x @ weights[HEAD + "decoder.weight"].T + weights[HEAD + "bias"]


def word_loss(logits: Tensor, targets: list[list[int]], chosen: list[list[bool]]) -> Tensor:
    """-log softmax of the true entry, mean over the chosen positions: logits (B, T, V)."""
    total, count = logits.new_zeros(()), 0
    for sample, row in enumerate(targets):
        for place, entry in enumerate(row):
            if chosen[sample][place]:
                powers = logits[sample, place].exp()
                total = total - (powers[entry] / powers.sum()).log()
                count += 1
    return total / max(count, 1)


def masked_record_model(
    weights: Mapping[str, Tensor],
    images: Tensor,
    noise: Tensor,
    tokens: Tensor,
    token_mask: Tensor,
    masked: Tensor,
    *,
    patch: int,
    ratio: float,
    heads: int,
    decoder_heads: int,
    text_heads: int,
    scale: int,
    antialias: bool,
    norm_pix: bool,
    all_patches: bool,
    all_words: bool,
    vector_on: str,
    pool: str,
    mask_id: int = 3,
) -> tuple[Tensor, Tensor]:
    """(image loss, report loss) of films (B, C, kS, kS) with noise (B, L) and reports (B, T)."""
    kept, mask = mask_of(noise, ratio)
    predictions, logits, chosen = [], [], []
    for sample, image in enumerate(images):
        low = shrink(image, image.shape[1] // scale, antialias) if scale > 1 else image
        latent = encode(weights, low, kept[sample], patch, heads)
        predictions.append(decode(weights, latent, kept[sample], noise.shape[1], decoder_heads))
        vector = film_vector(weights, latent, pool)
        hidden, real = masked[sample].tolist(), token_mask[sample].tolist()
        ids = [mask_id if out else entry for entry, out in zip(tokens[sample].tolist(), hidden, strict=True)]
        gets = [
            vector_on == "all" or (vector_on == "visible" and not out and seen)
            for out, seen in zip(hidden, real, strict=True)
        ]
        added = [vector if get else torch.zeros_like(vector) for get in gets]
        _, states = bert(weights, ids, real, added, text_heads)
        logits.append(scores(weights, states))
        chosen.append([True] * len(ids) if all_words else hidden)
    patches = torch.ones_like(mask) if all_patches else mask
    image_loss = reconstruction_loss(torch.stack(predictions), images, patches, scale * patch, norm_pix)
    return image_loss, word_loss(torch.stack(logits), tokens.tolist(), chosen)
