"""A manifest from a few columns of labels, for every test of this room."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hilum.manifest import Manifest

NAN = np.nan


def manifest(labels: dict[str, list[float]], *, patients: list[str] | None = None, split: str = "train") -> Manifest:
    n = len(next(iter(labels.values())))
    table = pd.DataFrame(
        {
            "image": [f"{i}.png" for i in range(n)],
            "patient_id": patients or [f"p{i}" for i in range(n)],
            "split": split,
            **{f"label.{finding}": values for finding, values in labels.items()},
        }
    )
    return Manifest.from_table(table, ".")
