"""One training epoch of GLoRI from features on disk beside the same epoch straight from the encoder, in turn.

Random weights, random films, fp32, one thread: what is timed does not depend on what a film shows. Both epochs run the
same code on the same films (`train_head`, `train_grid`); only where a batch comes from differs. `hilum embed` writes
the store first and its time is given apart: it is the price of the first epoch. They take turns, and the figure is the
median of the paired ratios, in brackets the smallest and the largest. Seconds are those of the processor, so waiting
for it does not count, nor does waiting for a disk: the store fits into the memory that caches it. From the checkout:

    python -m benchmarks.glori --cases base --turns 3
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from hilum.encoder import Encoder
from hilum.evaluation.embedding import plan_embedding, readable, run_embedding
from hilum.evaluation.feature_store import FeatureStore
from hilum.evaluation.features import Runner
from hilum.evaluation.head_inputs import EncoderInputs, StoredInputs
from hilum.films import FilmStore
from hilum.heads.glori import GLoRIConfig, GLoRIHead
from hilum.heads.grid import GridSettings, train_grid
from hilum.heads.inputs import HeadInputs
from hilum.manifest import Manifest
from hilum.models.vit import VisionTransformer, vit_config
from hilum.schema import Preprocessing

FINDINGS = 14


@dataclass(frozen=True)
class Case:
    """One size of encoder and film."""

    name: str
    model: str
    size: int  # pixels a side
    films: int
    batch: int


CASES = {
    "base": Case("ViT-B/16, 224 px", "vit_base_patch16", 224, 16, 16),
    "large": Case("ViT-L/16, 512 px", "vit_large_patch16", 512, 2, 2),
}
GOAL = 20.0  # epochs from disk in the time of one through the encoder


def main() -> None:
    """Print the table of docs/benchmarks/glori.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=["base"])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rates", type=int, nargs="+", default=[1, 4], help="learning rates trained at once")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {platform.machine()}, 1 thread, {FINDINGS} findings\n")
    print(
        "| case | films | rates | embed once, s | store | epoch through the encoder, s | from disk, s | ratio | goal |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for key in given.cases:
        with tempfile.TemporaryDirectory() as folder:
            compare(CASES[key], Path(folder), given.turns, given.rates)


def compare(case: Case, folder: Path, turns: int, rates: list[int]) -> None:
    """One row a number of rates."""
    torch.manual_seed(0)
    encoder = Encoder(VisionTransformer(vit_config(case.model, image_size=case.size)), Preprocessing(size=case.size))
    manifest = _random_films(folder / "data", case)
    runner = Runner("cpu", case.batch, quiet=True)
    plan = plan_embedding(encoder, str(folder / "data"), folder / "features", kinds=("cls", "patch"))
    began = time.process_time()
    run_embedding(plan, runner)
    embedding = time.process_time() - began
    size = sum(plan.index.bytes(kind, case.films) for kind in plan.index.kinds)
    store = FeatureStore.open(folder / "features")
    live = EncoderInputs(encoder, FilmStore(manifest, quiet=True), blocks=store.index.blocks, runner=runner)
    disk = StoredInputs(store, np.arange(case.films))
    for count in rates:
        lrs = GLoRIHead.LRS[:count]
        times = [(_epoch(live, lrs, case, epochs=2), _epoch(disk, lrs, case, epochs=8)) for _ in range(turns)]
        ratios = [one / other for one, other in times]
        through, stored = (statistics.median(column) for column in zip(*times, strict=True))
        spread = f"**{statistics.median(ratios):.1f}** [{min(ratios):.1f}, {max(ratios):.1f}]"
        told = f"{embedding:.1f} | {readable(size)} | {through:.2f} | {stored:.3f} | {spread} | {GOAL:.0f}"
        print(f"| {case.name} | {case.films} | {count} | {told} |", flush=True)


def _epoch(inputs: HeadInputs, lrs: tuple[float, ...], case: Case, *, epochs: int) -> float:
    """Seconds of one epoch of training: the median of all but the first, which pays for what is done once."""
    ends: list[float] = []
    targets = (torch.arange(len(inputs) * FINDINGS) % 3 == 0).float().reshape(len(inputs), FINDINGS)
    few = torch.arange(2)  # films to choose by; in memory, and as good as none
    train_grid(
        "glori",
        (inputs, targets),
        (inputs.batch(few), torch.eye(2, FINDINGS)),
        GridSettings(lrs=lrs, epochs=epochs, batch_size=case.batch),
        config=GLoRIConfig(),
        on_epoch=lambda row: ends.append(time.process_time()),
    )
    return statistics.median(after - before for before, after in pairwise(ends))


def _random_films(root: Path, case: Case) -> Manifest:
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    for number in range(case.films):
        pixels = rng.integers(0, 256, (case.size, case.size), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
    names = [f"images/{number}.png" for number in range(case.films)]
    pd.DataFrame({"image": names, "patient_id": names}).to_csv(root / "manifest.csv", index=False)
    return Manifest.read(root)


if __name__ == "__main__":
    main()
