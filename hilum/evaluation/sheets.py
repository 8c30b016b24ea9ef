"""A sheet of reconstructions at every checkpoint: the quickest way to see whether a masked model learns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from hilum import schema
from hilum.films import decode
from hilum.manifest import Manifest
from hilum.reports import Reports
from hilum.trainer import Evaluator

FILMS = 6  # a sheet is read at a glance


def reconstruction_sheets(manifest: Manifest, folder: Path, *, seed: int, reports: Reports | None = None) -> Evaluator:
    """An evaluator that writes `folder/step-<step>.png`: one row a film, columns original, masked, reconstructed.

    Args:
        manifest: films to choose from; validation films where there are any, the same ones every time.
        folder: where the sheets go.
        seed: key of the choice and of the masks.
        reports: one a film of `manifest`, for methods that read them.
    """
    places = np.flatnonzero((manifest.table["split"] == "val").to_numpy(dtype=bool))
    if not len(places):
        places = np.arange(len(manifest))
    rows = np.random.default_rng(seed).permutation(len(places))[:FILMS]
    paths = manifest.paths()
    films = [decode(paths[places[row]]) for row in rows]
    texts = [() if reports is None else (reports.texts[places[row]],) for row in rows]

    def draw(method: nn.Module, step: int) -> Mapping[str, float]:
        views: Any = method.views()  # type: ignore[operator]
        samples = [
            views(film, np.random.default_rng([seed, row]), *text)
            for film, row, text in zip(films, rows, texts, strict=True)
        ]
        device = next(method.parameters()).device
        batch = {key: torch.stack([sample[key] for sample in samples]).to(device) for key in samples[0]}
        pictures: dict[str, torch.Tensor] = method.reconstruct({**batch, schema.IMAGE_ID: []})  # type: ignore[operator]
        columns = [pictures[name].mean(dim=1).cpu().numpy() for name in ("original", "masked", "reconstructed")]
        sheet = np.concatenate([np.concatenate(list(column), axis=0) for column in columns], axis=1)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.rint(sheet * 255).astype(np.uint8)).save(folder / f"step-{step:08d}.png")
        return {}

    return draw
