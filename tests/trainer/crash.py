"""Run `hilum ...` and kill it, as `kill -9` would, at the N-th time it comes to a chosen point.

python crash.py POINT N -- pretrain mae ...
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

POINTS = {
    "accumulation": ("hilum.methods.mae", "MAE.forward"),  # before a micro-batch
    "mrm accumulation": ("hilum.methods.mrm", "MRM.forward"),
    "maco accumulation": ("hilum.methods.maco", "MaCo.forward"),
    "medim accumulation": ("hilum.methods.medim", "MedIM.forward"),
    "dinov2 accumulation": ("hilum.methods.dinov2", "DINOv2.forward"),
    "step": ("torch.optim", "AdamW.step"),  # before the weights move
    "save": ("hilum.checkpoint", "save_file"),  # between the files of a checkpoint
    "rename": ("hilum.checkpoint", "os.replace"),  # all written, not yet in place
    "retain": ("hilum.checkpoint", "retain"),  # in place, the old one not yet gone
    "evaluation": ("hilum.evaluation.sheets", "Image.fromarray"),
    "film": ("hilum.films", "FilmStore.film"),  # anywhere inside an epoch
}


def main() -> int:
    point, count, words = sys.argv[1], int(sys.argv[2]), sys.argv[4:]
    module_name, path = POINTS[point]
    owner: Any = __import__(module_name, fromlist=["_"])
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, name, _deadly(getattr(owner, name), count))

    from hilum.cli import main as run

    return run(words)


def _deadly(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    left = count

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return wrapped


if __name__ == "__main__":
    raise SystemExit(main())
