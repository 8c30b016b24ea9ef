"""Hide part of a film and of its report, let MRM restore both, and count which hidden words come back.

A report is half formula, so a model that never saw the film restores many words too. What the film adds is therefore
measured against the same words with something else in the film's place:

- `mean_film`: the same model, the mean vector of the training films: nothing about this film, nothing unusual;
- `other_film`: the same model, the vector of a film of another patient, each film used once;
- `report_alone`: another run trained without the film (`image_vector_on=none`), the same words hidden.

Films are taken whole, without crop or mirror, and every mask is drawn from the seed and the film's row alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum.errors import ConfigError, ManifestError
from hilum.evaluation.features import Runner
from hilum.films import FilmStore
from hilum.loader import ManifestDataset, make_loader
from hilum.manifest import Manifest, same_patient
from hilum.methods.mrm import MRM, RecordViews
from hilum.metrics.resample import Resample
from hilum.progress import ProgressBar
from hilum.reports import Reports
from hilum.schema import IMAGE, MASKED, TOKEN_MASK, TOKENS
from hilum.transforms.text import Terms, WordPiece

OWN: Final = "own_film"
READ: Final = (TOKENS, TOKEN_MASK, MASKED)


@dataclass(frozen=True)
class Records:
    """N films with a report, each masked once."""

    manifest: Manifest
    reports: Reports
    batch: Mapping[str, Tensor]  # tokens, token_mask, masked: (N, T)
    words: NDArray[np.int64]  # (N, T) number of the word each piece belongs to; -1 for none
    vectors: Tensor  # (N, text width) float32 of the visible patches

    def __len__(self) -> int:
        return len(self.manifest)

    @property
    def patients(self) -> NDArray[np.str_]:
        """(N,) ids."""
        return np.array([same_patient(patient) for patient in self.manifest.table["patient_id"]], dtype=str)


def mask_records(method: MRM, manifest: Manifest, reports: Reports, runner: Runner, *, seed: int) -> Records:
    """Mask every film and report, and encode what is left of the films.

    Args:
        method: trained with the film; in eval mode.
        manifest: N films that all have a report.
        reports: theirs.
        runner: device, batch size, workers.
        seed: key of the masks.

    Raises:
        ConfigError: the model has no report decoder, or was trained without the film.
    """
    if method.bridge is None:
        without = "its reports" if method.report is None else "the film (image_vector_on=none)"
        raise ConfigError(f"the run was trained without {without}", where="run", fix="Give a run that reads both")
    kept: dict[str, list[Tensor]] = {key: [] for key in READ}
    vectors: list[Tensor] = []
    for batch in masked_batches(method, manifest, reports, runner, seed=seed):
        for key, parts in kept.items():
            parts.append(batch[key].cpu())
        with torch.no_grad():
            vector = method.image_vector(method.encode(batch))
        assert vector is not None
        vectors.append(vector.float().cpu())
    length = method.config.length
    words = np.stack([method.tokenizer.encode(text, length).words for text in reports.texts])
    joined = {key: torch.cat(parts) for key, parts in kept.items()}
    return Records(manifest, reports, joined, words, torch.cat(vectors))


def masked_batches(
    method: MRM, manifest: Manifest, reports: Reports, runner: Runner, *, seed: int
) -> Iterator[dict[str, Any]]:
    """The whole films with their masks, batch by batch on the runner's device; the same for one seed every time."""
    views = method.views()
    whole = RecordViews(
        replace(views.image, crop_scale=(1.0, 1.0), flip=0.0),  # no crop of the whole area fits but the film itself
        views.tokenizer,
        views.length,
        views.ratio,
        views.whole_words,
    )
    ids = manifest.table["image_id"].tolist()
    dataset = ManifestDataset(FilmStore(manifest, cache=False), ids, whole, seed=seed, reports=reports)
    rows = [(0, row) for row in range(len(ids))]
    batches = [rows[start : start + runner.batch_size] for start in range(0, len(rows), runner.batch_size)]
    device = runner.torch_device
    with ProgressBar("hiding and restoring", len(ids), quiet=runner.quiet) as bar:
        for batch in make_loader(dataset, batches, workers=runner.workers, pin=device.type == "cuda"):
            yield {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}
            bar.advance(len(batch[IMAGE]))


@torch.no_grad()
def restore_words(method: MRM, records: Records, vectors: Tensor | None, runner: Runner) -> NDArray[np.int64]:
    """The most likely entry at every hidden piece, the true one elsewhere: (N, T).

    Args:
        method: in eval mode.
        records: what is hidden.
        vectors: (N, text width) in the film's place; None reads the report alone.
        runner: device and batch size.
    """
    device = runner.torch_device
    parts = []
    for start in range(0, len(records), runner.batch_size):
        here = slice(start, start + runner.batch_size)
        batch = {key: value[here].to(device) for key, value in records.batch.items()}
        states = method.read(batch, None if vectors is None else vectors[here].to(device))
        restored = batch[TOKENS].clone()
        restored[batch[MASKED]] = method.score(states[batch[MASKED]]).argmax(dim=-1)
        parts.append(restored.cpu())
    return torch.cat(parts).numpy()


def films_of_others(patients: NDArray[np.str_], seed: int) -> NDArray[np.int64]:
    """For each film one of another patient, each used once: (N,) rows.

    Films lie patient beside patient, in random order, and everyone takes the film as many places on as the largest
    patient has films.

    Raises:
        ManifestError: one patient has more than half of the films.
    """
    rng = np.random.default_rng(seed)
    names, number, counts = np.unique(patients, return_inverse=True, return_counts=True)
    step, total = int(counts.max()), len(patients)
    if 2 * step > total:
        what = f"{step} of {total} films are of one patient, so films cannot be exchanged between patients"
        raise ManifestError(what, where="restore", fix="Judge more patients")
    order = np.lexsort((rng.random(total), rng.permutation(len(names))[number]))
    others = np.empty(total, dtype=np.int64)
    others[order] = np.roll(order, -step)
    return others


def word_table(
    records: Records, restored: Mapping[str, NDArray[np.int64]], tokenizer: WordPiece, terms: Terms
) -> pd.DataFrame:
    """One row a hidden word: where it is, what it was, and under each condition what came back and whether it is right.

    A word of several pieces is right if all of its hidden pieces are. Signs without a letter or digit are no words.

    Args:
        records: what was hidden.
        restored: condition -> (N, T) entries.
        tokenizer: whose pieces they are.
        terms: which words name anatomy, findings, devices or places.
    """
    rows: list[dict[str, Any]] = []
    tokens, masked = records.batch[TOKENS].numpy(), records.batch[MASKED].numpy()
    ids = records.manifest.table["image_id"].tolist()
    for film, patient in enumerate(records.patients):
        numbers = records.words[film]
        words = [spell(tokenizer, tokens[film][numbers == word]) for word in range(int(numbers.max(initial=-1)) + 1)]
        named = terms.find(words)
        for word, text in enumerate(words):
            own = numbers == word
            hidden = own & masked[film]
            if not hidden.any() or not any(map(str.isalnum, text)):
                continue
            row = {"image_id": ids[film], "patient_id": patient, "word": word, "truth": text, "term": bool(named[word])}
            for name, entries in restored.items():
                row[f"restored.{name}"] = spell(tokenizer, entries[film][own])
                row[f"right.{name}"] = bool((entries[film][hidden] == tokens[film][hidden]).all())
            rows.append(row)
    if not rows:
        raise ManifestError("no word is hidden in any report", where="restore", fix="Judge more films")
    return pd.DataFrame(rows)


def spell(tokenizer: WordPiece, ids: NDArray[np.int64]) -> str:
    """Pieces of one word as text."""
    return "".join(piece.removeprefix("##") for piece in tokenizer.pieces(ids))


def accuracies(table: pd.DataFrame, names: list[str], **resampling: Any) -> dict[str, Any]:
    """Masked-word accuracy of every condition, and what the own film adds to each, as plain JSON entries.

    Returns:
        "all" and "terms", each with words, `accuracy` by condition and `gain` (own film minus the condition, paired).
    """
    found: dict[str, Any] = {}
    for subset, part in (("all", table), ("terms", table[table["term"]])):
        if not len(part):
            found[subset] = {"words": 0, "reason": "no hidden word is a term"}
            continue
        resample = Resample(part["patient_id"].to_numpy(dtype=str), **resampling)
        right = {name: part[f"right.{name}"].to_numpy(dtype=np.float64) for name in names}
        found[subset] = {
            "words": len(part),
            "distinct": int(part["truth"].nunique()),
            "accuracy": {name: resample.mean(values).to_json() for name, values in right.items()},
            "gain": {
                name: resample.difference(right[OWN], values).to_json() for name, values in right.items() if name != OWN
            },
        }
    return found
