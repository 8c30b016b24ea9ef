"""Is the encoder learning anything? A linear probe and k-NN on validation labels at every checkpoint of pretraining.

Both run on a fixed, seeded subset of films and leave every generator of the training run as it was, so that a run with
the probe is bit-identical to one without. The linear number chooses its epoch on the films it reports: good for
watching a run and comparing checkpoints, too favourable to quote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hilum.encoder import Pool
from hilum.errors import ManifestError
from hilum.evaluation.features import Runner, pooled, run_films
from hilum.evaluation.films import LabelledFilms, labelled_films
from hilum.films import FilmStore
from hilum.heads.choose import macro_auroc
from hilum.heads.grid import GridSettings, train_grid
from hilum.heads.knn import knn_scores
from hilum.labels import LabelPolicy
from hilum.manifest import Manifest
from hilum.run_folder import LOG
from hilum.schema import Split
from hilum.trainer import Evaluator

LINEAR, KNN = "probe/linear_auroc", "probe/knn_auroc"
PROBE = GridSettings(lrs=(1e-3, 1e-2), epochs=10, batch_size=128)


def online_probe(
    manifest: Manifest,
    *,
    findings: Sequence[str] | None = None,
    pool: Pool = "mean",
    max_train: int = 1000,
    max_val: int = 500,
    k: int = 20,
    seed: int = 0,
    runner: Runner | None = None,
) -> Evaluator:
    """An evaluator that returns macro AUROC on validation labels as `probe/linear_auroc` and `probe/knn_auroc`.

    Args:
        manifest: films with labels in train and val; without them the evaluator says so once, now, and returns {}.
        findings: those to probe; None takes all that have both classes in both subsets.
        pool: what stands for a film.
        max_train: films that teach, drawn once by `seed`.
        max_val: films that are judged.
        k: neighbours.
        seed: of the subset and of the probe's training.
        runner: batch size and workers; the device is the backbone's.

    Returns:
        `f(method, step)`; `method` has a `backbone` and a `preprocessing` record.
    """
    parts = _subsets(manifest, findings, {"train": max_train, "val": max_val}, seed)
    if parts is None:
        LOG.info("no online probe: train and val share no finding with both classes labelled in each")
        return _nothing
    train, val = parts
    stores = [FilmStore(films.manifest, quiet=True) for films in parts]
    settings = replace(PROBE, seed=seed)

    def probe(method: nn.Module, step: int) -> Mapping[str, float]:
        backbone: Any = method.backbone
        record: Any = method.preprocessing
        here = replace(runner or Runner(), device=next(backbone.parameters()).device.type, quiet=True)
        training = backbone.training
        backbone.eval()
        with torch.random.fork_rng(devices=[]):  # a loader draws a seed for its processes
            x_train, x_val = (torch.cat(list(run_films(pooled(backbone, pool), s, record, here))) for s in stores)
        backbone.train(training)
        y_train, y_val = torch.from_numpy(train.targets), torch.from_numpy(val.targets)
        if not (x_train.isfinite().all() and x_val.isfinite().all()):
            return {}
        linear = train_grid("linear", (x_train, y_train), (x_val, y_val), settings)
        nearest = macro_auroc(val.targets, knn_scores(x_train, y_train, x_val, k=k).numpy())
        assert nearest is not None  # `_subsets` left findings with both classes only
        return {LINEAR: linear.value, KNN: nearest}

    return probe


def _nothing(method: nn.Module, step: int) -> Mapping[str, float]:
    return {}


def _subsets(
    manifest: Manifest, findings: Sequence[str] | None, limits: Mapping[Split, int], seed: int
) -> tuple[LabelledFilms, LabelledFilms] | None:
    """Films of the probe, train and val, with the findings that have both classes in each; None without any."""
    names = tuple(manifest.findings if findings is None else findings)
    if not names:
        return None
    parts = []
    for number, (split, limit) in enumerate(limits.items()):
        try:
            films = labelled_films(manifest, split, names, LabelPolicy())
        except ManifestError:
            return None
        rows = np.random.default_rng([seed, number]).permutation(len(films))[:limit]
        parts.append((films.manifest, np.sort(rows), films.targets))
    usable = np.logical_and(*(_both_classes(targets[rows]) for _, rows, targets in parts))
    if not usable.any():
        return None
    kept = tuple(name for name, fine in zip(names, usable, strict=True) if fine)
    train, val = (
        LabelledFilms(
            Manifest(films.table.iloc[rows].reset_index(drop=True), films.root), targets[rows][:, usable], kept
        )
        for films, rows, targets in parts
    )
    return train, val


def _both_classes(targets: NDArray[np.float32]) -> NDArray[np.bool_]:
    both: NDArray[np.bool_] = (targets == 1).any(axis=0) & (targets == 0).any(axis=0)
    return both
