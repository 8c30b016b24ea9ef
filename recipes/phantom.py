"""A masked autoencoder on synthetic films: the recipe behind `hilum demo`, at any size.

Paper: https://arxiv.org/abs/2111.06377 (MAE); the films are the phantom's (docs/phantom.md).
Command: python recipes/phantom.py --out RUNS [--patients 800] [--epochs 22]
Hardware: 2 CPU cores.
Hours: 0.08 (4.9 minutes measured) at the default size.
Expect: a frozen, pretrained encoder beats the same network from random weights; see docs/phantom_results.md for the
    numbers, their intervals and the seed.
"""

from __future__ import annotations

from dataclasses import replace

from hilum.demonstration import Recipe, run_demo


def phantom(*, out: str, patients: int = 800, epochs: float = 22.0, seed: int = 0) -> str:
    """Draw films, pretrain, adapt and judge.

    Args:
        out: a new folder.
        patients: how many to draw.
        epochs: of pretraining.
        seed: of everything.
    """
    recipe = replace(Recipe(), patients=patients, epochs=epochs, seed=seed)
    return str(run_demo(out, recipe))


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(phantom)
