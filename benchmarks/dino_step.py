"""One DINOv2 training step with crops of two lengths as two dense passes, beside one padded pass of the same student.

The padded form puts the ten crops of a film into one batch: sequences of local crops are filled up with empty tokens to
the length of the global ones, and an attention mask hides these. It computes the same loss and gradients, which is
asserted, from the same weights. Both: the teacher's and the student's forward pass, losses and backward, without the
optimizer and the moving average, which are the same work in both.

By tokens, a backward pass counted as two forward ones, with G and L tokens in a global and a local crop:

    work = (2 G + 3 x 10 G) / (2 G + 3 x (2 G + 8 L))

They take turns, and who goes first alternates, so that whatever else the machine does falls on both; the figure is the
median of the paired ratios padded / dense. The goal is 2 or more at 2 x 112 + 8 x 48 px. fp32, one thread; seconds are
those of the processor, so that waiting for it does not count:

    python -m benchmarks.dino_step --turns 9
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hilum.methods.dinov2.config import PRESETS, Config, HeadConfig
from hilum.methods.dinov2.method import DINOv2
from hilum.models.blocks import Block
from hilum.models.vit import VisionTransformer
from hilum.transforms.block_masks import block_mask, mask_counts
from hilum.transforms.crops import CROP_MASKS, GLOBAL_CROPS, LOCAL_CROPS

GOAL = 2.0  # seconds padded / dense
GLOBAL, LOCAL, LOCALS = 112, 48, 8  # pixels, pixels, local crops a film

SMALL = Config(
    model="vit_small_patch16",
    image_size=GLOBAL,
    dino_head=HeadConfig(prototypes=4096),
    ibot_head=HeadConfig(prototypes=4096),
)


@dataclass(frozen=True)
class Case:
    """One student with its heads."""

    name: str
    config: Config
    batch: int


CASES = {
    "phantom": Case("ViT-Tiny, no registers, 1,024 prototypes (preset phantom)", PRESETS["phantom"], 8),
    "small": Case("ViT-S, 4 registers, SwiGLU, 4,096 prototypes", SMALL, 4),
    "heads": Case(
        "the same with the paper's two heads of 131,072 prototypes",
        replace(SMALL, dino_head=HeadConfig(bottleneck=384), ibot_head=HeadConfig()),
        4,
    ),
}


@dataclass
class Padded:
    """Stands in for a student's `forward_features`: asked for the global crops, it does the local ones with them."""

    backbone: VisionTransformer
    parts: Tensor  # (8 B, C, 48, 48) local crops of the step
    waiting: list[Tensor] = field(default_factory=list)

    def __call__(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Tokens of global crops (with masks), or those of the local crops computed with the last of these."""
        if masks is None:
            return self.waiting.pop()
        backbone = self.backbone
        whole, parts = backbone._embed(images, masks=masks), backbone._embed(self.parts)
        length, real = whole.shape[1], parts.shape[1]
        x = torch.cat([whole, F.pad(parts, (0, 0, 0, length - real))])
        seen = torch.ones(len(x), 1, 1, length, dtype=torch.bool)
        seen[len(whole) :, ..., real:] = False
        seen = seen.expand(-1, -1, length, -1)
        for block in backbone.blocks:
            x = padded_block(block, x, seen)
        x = backbone._final(x)
        self.waiting.append(x[len(whole) :, :real])
        return x[: len(whole)]


def padded_block(block: Block | Any, x: Tensor, seen: Tensor) -> Tensor:
    """A block that attends only to tokens that are `seen` (B, 1, N, N)."""
    query, key, value = block.attn._split(block.norm1(x), 0)
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
    out = block.attn.proj(mixed.transpose(1, 2).flatten(2))
    x = x + (out if block.ls1 is None else block.ls1(out))
    return x + block._transformed(x)


@dataclass(frozen=True)
class Contestant:
    """A method with its batch."""

    method: DINOv2
    batch: dict[str, Tensor]

    def step(self) -> tuple[float, Tensor]:
        """Seconds of forward, losses and backward, and the loss; gradients stay."""
        self.method.zero_grad()
        begun = time.process_time()
        loss = self.method(self.batch, 0.5).loss
        loss.backward()
        return time.process_time() - begun, loss.detach()


def contestants(case: Case) -> tuple[Contestant, Contestant]:
    """(dense, padded) of one student: the same weights, the same crops."""
    torch.manual_seed(0)
    dense = DINOv2(case.config)
    padded = deepcopy(dense)
    batch = crops(case)
    backbone = padded.student.backbone
    backbone.forward_features = Padded(backbone, batch[LOCAL_CROPS].transpose(0, 1).flatten(0, 1))  # type: ignore[method-assign, assignment]
    return Contestant(dense, batch), Contestant(padded, batch)


def crops(case: Case) -> dict[str, Tensor]:
    """A batch as the method takes it, crops already normalised."""
    rng, channels = np.random.default_rng(0), case.config.channels
    config, grid = case.config, case.config.backbone.grid
    counts = mask_counts(
        rng, 2 * case.batch, grid[0] * grid[1], probability=config.mask_probability, ratio=config.mask_ratio
    )
    masks = torch.from_numpy(np.stack([block_mask(grid, int(count), rng).reshape(-1) for count in counts]))
    return {
        GLOBAL_CROPS: torch.randn(case.batch, 2, channels, GLOBAL, GLOBAL),
        LOCAL_CROPS: torch.randn(case.batch, LOCALS, channels, LOCAL, LOCAL),
        CROP_MASKS: masks.view(2, case.batch, -1).transpose(0, 1),
    }


def check_same(dense: Contestant, padded: Contestant) -> None:
    """Both forms must give one loss and one gradient."""
    (_, loss), (_, other) = dense.step(), padded.step()
    torch.testing.assert_close(loss, other, rtol=1e-5, atol=1e-5)
    for (name, one), two in zip(
        dense.method.named_parameters(), (p.grad for p in padded.method.parameters()), strict=True
    ):
        if one.grad is not None:
            error = (one.grad - two).norm() / one.grad.norm().clamp_min(1e-6)
            assert error < 1e-3, (name, error)


def work(case: Case) -> float:
    """The arithmetic of the backbones, padded / dense, by tokens."""
    backbone = case.config.backbone
    prefix = 1 + backbone.registers
    large, small = (prefix + (side // backbone.patch_size) ** 2 for side in (GLOBAL, LOCAL))
    return (2 * large + 3 * (2 + LOCALS) * large) / (2 * large + 3 * (2 * large + LOCALS * small))


def compare(case: Case, turns: int) -> dict[str, list[float]]:
    """Seconds of both forms and their ratio, turn by turn."""
    dense, padded = contestants(case)
    check_same(dense, padded)  # warms both up
    times: dict[str, list[float]] = {"dense": [], "padded": [], "ratio": []}
    for turn in range(turns):
        seconds = {id(who): who.step()[0] for who in ((dense, padded) if turn % 2 else (padded, dense))}
        times["dense"].append(seconds[id(dense)])
        times["padded"].append(seconds[id(padded)])
        times["ratio"].append(seconds[id(padded)] / seconds[id(dense)])
    return times


def main() -> None:
    """Print one Markdown row a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=9, help="paired turns a case")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=["phantom", "small"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {platform.machine()}, 1 thread, 2 x {GLOBAL} + {LOCALS} x {LOCAL} px\n")
    print("| case | films | dense, s | padded, s | work of the backbones | padded / dense [quartiles] | goal |")
    print("|---|---|---|---|---|---|---|")
    for key in given.cases:
        case = CASES[key]
        found = compare(case, given.turns)
        low, _, high = statistics.quantiles(found["ratio"], n=4)
        middle = {name: statistics.median(values) for name, values in found.items()}
        print(
            f"| {case.name} | {case.batch} | {middle['dense']:.3f} | {middle['padded']:.3f} | x {work(case):.2f} "
            f"| {middle['ratio']:.2f} [{low:.2f}, {high:.2f}] | {GOAL} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
