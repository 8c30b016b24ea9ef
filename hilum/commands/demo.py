"""`hilum demo`: the whole road on synthetic films."""

from __future__ import annotations


def demo(*, out: str, patients: int | None = None, seed: int = 0) -> str:
    """Make synthetic DICOM films, prepare, audit, pretrain, adapt and evaluate them, and write a results page.

    Args:
        out: a new folder for everything.
        patients: how many to draw; the default takes about five minutes on two CPU cores.
        seed: of the patients and of every training.
    """
    from dataclasses import replace

    from hilum.demonstration import Recipe, run_demo

    recipe = Recipe(seed=seed)
    return str(run_demo(out, recipe if patients is None else replace(recipe, patients=patients)))
