"""One MAE training step of ours beside transformers' ViTMAEForPreTraining, in turn, in one process.

Both do the same work: forward, backward and AdamW on the same images with the same noise, fp32, one thread, the same
architecture (asserted by parameter count). They take turns, and who goes first alternates, so that whatever else the
machine does falls on both; the figure is the median of the paired ratios. Run it from the checkout:

    python -m benchmarks.mae_step --turns 9
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import transformers
from transformers import ViTMAEConfig, ViTMAEForPreTraining

from hilum.methods.mae import MAE, Config
from hilum.schema import IMAGE, MASK_NOISE

PIXELS = 224
PATCHES = 196


@dataclass(frozen=True)
class Case:
    """One pair of contestants."""

    name: str
    model: str
    decoder_width: int
    decoder_depth: int
    decoder_heads: int
    batch: int
    goal: float  # ours / theirs, images per second


CASES = {
    "tiny": Case("ViT-Tiny, decoder 128 x 4", "vit_tiny_patch16", 128, 4, 4, 16, 1.3),
    "base": Case("ViT-B, decoder 512 x 8", "vit_base_patch16", 512, 8, 16, 4, 1.1),
}

Step = Callable[[torch.Tensor, torch.Tensor], float]


def our_step(case: Case) -> tuple[Step, int]:
    """Our training step and the number of weights it trains."""
    config = Config(
        model=case.model,
        decoder_width=case.decoder_width,
        decoder_depth=case.decoder_depth,
        decoder_heads=case.decoder_heads,
    )
    model = MAE(config)
    optimizer = torch.optim.AdamW(_trained(model), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05, fused=True)

    def step(images: torch.Tensor, noise: torch.Tensor) -> float:
        loss = model({IMAGE: images, MASK_NOISE: noise}, 0.0).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    return step, _count(model)


def their_step(case: Case) -> tuple[Step, int]:
    """The training step of transformers' model with SDPA, and the number of weights it trains."""
    encoder = Config(model=case.model).backbone
    config = ViTMAEConfig(
        hidden_size=encoder.width,
        num_hidden_layers=encoder.depth,
        num_attention_heads=encoder.heads,
        intermediate_size=4 * encoder.width,
        layer_norm_eps=encoder.norm_eps,
        decoder_hidden_size=case.decoder_width,
        decoder_num_hidden_layers=case.decoder_depth,
        decoder_num_attention_heads=case.decoder_heads,
        decoder_intermediate_size=4 * case.decoder_width,
        norm_pix_loss=True,
        attn_implementation="sdpa",
    )
    model = ViTMAEForPreTraining(config).train()
    optimizer = torch.optim.AdamW(_trained(model), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05)

    def step(images: torch.Tensor, noise: torch.Tensor) -> float:
        loss = model(pixel_values=images, noise=noise).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    return step, _count(model)


def compare(case: Case, turns: int) -> tuple[float, float, list[float]]:
    """Median seconds a step (ours, theirs) and the ratio theirs / ours of every turn."""
    ours, our_weights = our_step(case)
    theirs, their_weights = their_step(case)
    assert our_weights == their_weights, f"different networks: {our_weights} and {their_weights} weights"
    images = torch.randn(case.batch, 3, PIXELS, PIXELS)
    noise = torch.rand(case.batch, PATCHES)
    for _ in range(2):
        ours(images, noise)
        theirs(images, noise)
    times: dict[Step, list[float]] = {ours: [], theirs: []}
    for turn in range(turns):
        for contestant in (ours, theirs) if turn % 2 else (theirs, ours):
            begun = time.perf_counter()
            contestant(images, noise)
            times[contestant].append(time.perf_counter() - begun)
    ratios = [b / a for a, b in zip(times[ours], times[theirs], strict=True)]
    return statistics.median(times[ours]), statistics.median(times[theirs]), ratios


def main() -> None:
    """Print one Markdown row a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=9, help="paired turns a case")
    parser.add_argument("--cases", nargs="+", choices=sorted(CASES), default=sorted(CASES, reverse=True))
    parser.add_argument("--without-onednn", action="store_true", help="products through MKL in both")
    given = parser.parse_args()
    torch.backends.mkldnn.enabled = not given.without_onednn
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {platform.machine()}, 1 thread\n")
    print("| case | batch | ours, s | theirs, s | ratio: median [quartiles] | goal |")
    print("|---|---|---|---|---|---|")
    for key in given.cases:
        case = CASES[key]
        ours, theirs, ratios = compare(case, given.turns)
        low, _, high = statistics.quantiles(ratios, n=4)
        middle = statistics.median(ratios)
        spread = f"{middle:.2f} [{low:.2f}, {high:.2f}]"
        print(f"| {case.name} | {case.batch} | {ours:.3f} | {theirs:.3f} | {spread} | {case.goal} |", flush=True)


def _trained(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in _trained(model))


if __name__ == "__main__":
    main()
