"""One MRM training step beside one MAE step of the same backbone, against the arithmetic that MRM adds.

Both encode the same visible patches and decode with the same blocks; MRM predicts patches at twice the resolution,
reads the report and scores its hidden words. The time to expect is MAE's measured time scaled by arithmetic:

    forward and backward: MAE's seconds x (multiplications of MRM / of MAE), counted by torch's FlopCounterMode;
    optimizer: MAE's seconds x (weights of MRM / of MAE).

They take turns, and who goes first alternates, so that whatever else the machine does falls on both; the figure is the
median of the paired ratios measured / expected. The goal is 1.10 at most. fp32, one thread; seconds are those of the
processor, so that waiting for it does not count:

    python -m benchmarks.mrm_step --turns 9
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from hilum.methods import mae, mrm
from hilum.models.text import TextConfig
from hilum.schema import IMAGE, MASK_NOISE, MASKED, TOKEN_MASK, TOKENS
from hilum.transforms.text import WordPiece

PIXELS = 224
PATCHES = 196
LENGTH = 100
GOAL = 1.10  # measured / expected


@dataclass(frozen=True)
class Case:
    """One backbone with its decoders and report decoder."""

    name: str
    model: str
    decoder: tuple[int, int, int]  # width, depth, heads
    text: TextConfig
    vocabulary: int
    batch: int


CASES = {
    "tiny": Case(
        "ViT-Tiny, decoder 128 x 4, text 128 x 2, 2,000 words",
        "vit_tiny_patch16",
        (128, 4, 4),
        TextConfig(width=128, depth=2, heads=4, hidden=512),
        2_000,
        16,
    ),
    "small": Case(
        "ViT-S, decoder 384 x 4, text 384 x 6, 30,000 words",
        "vit_small_patch16",
        (384, 4, 6),
        TextConfig(),
        30_000,
        8,
    ),
    "base": Case(
        "ViT-B, decoder 768 x 4, text 384 x 6, 30,000 words (the paper's)",
        "vit_base_patch16",
        (768, 4, 6),
        TextConfig(),
        30_000,
        4,
    ),
}


@dataclass(frozen=True)
class Contestant:
    """A method with its batch and optimizer."""

    method: torch.nn.Module
    optimizer: torch.optim.Optimizer
    batch: dict[str, Tensor]

    @property
    def weights(self) -> int:
        """Trained weights."""
        return sum(p.numel() for p in self.method.parameters() if p.requires_grad)

    def learn(self) -> float:
        """Seconds of forward and backward."""
        begun = time.process_time()
        self.method(self.batch, 0.0).loss.backward()
        return time.process_time() - begun

    def move(self) -> float:
        """Seconds of the optimizer."""
        begun = time.process_time()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return time.process_time() - begun

    def multiplications(self) -> int:
        """Floating point operations of forward and backward; counted where every product is one that torch knows."""
        torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
        with FlopCounterMode(display=False) as counter:
            self.method(self.batch, 0.0).loss.backward()
        torch.backends.mkldnn.enabled = True  # type: ignore[assignment]
        self.optimizer.zero_grad()
        return int(counter.get_total_flops())


def contestants(case: Case) -> tuple[Contestant, Contestant]:
    """(MAE, MRM) of one backbone."""
    width, depth, heads = case.decoder
    decoder: dict[str, Any] = {"decoder_width": width, "decoder_depth": depth, "decoder_heads": heads}
    noise = torch.rand(case.batch, PATCHES)
    plain = mae.MAE(mae.Config(model=case.model, **decoder))
    record = mrm.MRM(mrm.Config(model=case.model, text=case.text, **decoder), words(case.vocabulary))
    tokens = torch.randint(4, case.vocabulary, (case.batch, LENGTH))
    hidden = torch.rand(case.batch, LENGTH) < 0.5
    report = {TOKENS: tokens, TOKEN_MASK: torch.ones_like(tokens), MASKED: hidden}
    return (
        contestant(plain, {IMAGE: films(case.batch, PIXELS), MASK_NOISE: noise}),
        contestant(record, {IMAGE: films(case.batch, 2 * PIXELS), MASK_NOISE: noise, **report}),
    )


def contestant(method: torch.nn.Module, batch: dict[str, Tensor]) -> Contestant:
    """A method with the optimizer of the loop."""
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05, fused=True)
    return Contestant(method, optimizer, batch)


def films(count: int, side: int) -> Tensor:
    """Films as the loader gives them."""
    return torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8)


def words(count: int) -> WordPiece:
    """A vocabulary of that many entries."""
    entries = ["[PAD]", "[UNK]", "[CLS]", "[MASK]", *(f"w{number}" for number in range(4, count))]
    return WordPiece(Tokenizer(models.WordPiece({entry: n for n, entry in enumerate(entries)}, unk_token="[UNK]")))


def compare(case: Case, turns: int) -> dict[str, Any]:
    """Median seconds, shares of arithmetic, and measured / expected of every turn."""
    plain, record = contestants(case)
    work = record.multiplications() / plain.multiplications()
    size = record.weights / plain.weights
    times: dict[str, list[float]] = {"mae": [], "mrm": [], "expected": [], "ratio": []}
    for turn in range(-2, turns):  # two to warm up
        seconds = {}
        for who in (plain, record) if turn % 2 else (record, plain):
            seconds[id(who)] = (who.learn(), who.move())
        if turn < 0:
            continue
        (learn, move), measured = seconds[id(plain)], sum(seconds[id(record)])
        expected = learn * work + move * size
        found = {"mae": learn + move, "mrm": measured, "expected": expected, "ratio": measured / expected}
        for name, value in found.items():
            times[name].append(value)
    return {"work": work, "size": size, **times}


def main() -> None:
    """Print one Markdown row a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=9, help="paired turns a case")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=["tiny", "small"])
    parser.add_argument("--batch", type=int, help="films a step, in place of the case's own")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {platform.machine()}, 1 thread\n")
    print("| case | batch | MAE, s | MRM, s | work | weights | expected, s | measured / expected [quartiles] | goal |")
    print("|---|---|---|---|---|---|---|---|---|")
    for key in given.cases:
        case = CASES[key] if given.batch is None else replace(CASES[key], batch=given.batch)
        found = compare(case, given.turns)
        low, _, high = statistics.quantiles(found["ratio"], n=4)
        middle = {name: statistics.median(found[name]) for name in ("mae", "mrm", "expected", "ratio")}
        spread = f"{middle['ratio']:.2f} [{low:.2f}, {high:.2f}]"
        print(
            f"| {case.name} | {case.batch} | {middle['mae']:.3f} | {middle['mrm']:.3f} | x {found['work']:.2f} "
            f"| x {found['size']:.2f} | {middle['expected']:.3f} | {spread} | {GOAL} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
