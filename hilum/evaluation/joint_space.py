"""Films and texts as vectors of the space they share, for zero-shot, retrieval and grounding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from hilum.errors import CheckpointError, ConfigError, ManifestError
from hilum.evaluation.features import Runner, run_films
from hilum.films import FilmStore
from hilum.manifest import Manifest
from hilum.models.text import sum_pieces
from hilum.schema import Preprocessing, Split
from hilum.transforms.text import PREPARATIONS

TEXTS: int = 64  # texts a forward pass


class JointEncoder(Protocol):
    """What an `Encoder` with a text tower can do; all vectors are raw."""

    preprocessing: Preprocessing
    origin: dict[str, Any]

    def project(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, E)."""
        ...

    def project_tokens(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, P, E)."""
        ...

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """N texts -> (N, E)."""
        ...

    def require_towers(self) -> Any:
        """Towers and tokenizer; raises CheckpointError where there are none."""
        ...

    @property
    def position_prior(self) -> Tensor | None:
        """(P,) raw weights."""
        ...

    def to(self, device: str | torch.device) -> Any:
        """Move the weights."""
        ...


def films_to_read(manifest: Manifest, split: Split | None, views: Sequence[str] = ()) -> Manifest:
    """The films of a split with some view positions, their files checked.

    Raises:
        ManifestError: there are none, or files are missing.
    """
    chosen = manifest.select(split=split, views=views or None)
    if not len(chosen):
        shown = f" with views {','.join(views)}" if views else ""
        raise ManifestError(
            f"no films in the {split} split{shown}" if split else f"no films{shown}",
            where=manifest.root,
            fix="Check the columns split and view_position",
        )
    chosen.check_files()
    return chosen


def film_vectors(encoder: JointEncoder, manifest: Manifest, runner: Runner) -> Tensor:
    """One raw vector a film of a manifest, (N, E) float32 on the CPU.

    Raises:
        CheckpointError: no text tower, or a vector that is not finite.
    """
    encoder.require_towers()
    encoder.to(runner.torch_device)
    parts = list(run_films(encoder.project, FilmStore(manifest, cache=False), encoder.preprocessing, runner))
    vectors = torch.cat(parts)
    bad = (~torch.isfinite(vectors)).any(dim=1).nonzero().flatten()
    if len(bad):
        image = manifest.table["image_id"].iloc[int(bad[0])]
        raise CheckpointError(
            f"gives no finite vector for {len(bad)} films, first {image!r}",
            where="encoder",
            fix="Look at that film, and at the loss of the pretraining run",
        )
    return vectors


def text_vectors(encoder: JointEncoder, texts: Sequence[str]) -> Tensor:
    """One raw vector a text, (N, E) float32 on the CPU; equal texts are read once and have equal vectors."""
    encoder.require_towers()
    distinct = list(dict.fromkeys(texts))
    place = {text: row for row, text in enumerate(distinct)}
    found = encoder.embed_text(distinct).float().cpu()
    return _finite(found, distinct)[[place[text] for text in texts]]


def phrase_vectors(encoder: JointEncoder, texts: Sequence[str]) -> Tensor:
    """One raw vector a phrase in the space of the patches, (N, E) float32 on the CPU.

    Where whole texts were aligned (MaCo, CLIP, BioViL) patches, films and texts share one space. Where words were
    (MedIM, GLoRIA) patches and words have a space of their own, so a phrase is the mean of its word vectors there.
    """
    towers, _ = encoder.require_towers()
    if not towers.config.aligns_words:
        return text_vectors(encoder, texts)
    return torch.stack([words.mean(dim=0) for words in word_vectors(encoder, texts)])


@torch.no_grad()
def word_vectors(encoder: JointEncoder, texts: Sequence[str]) -> list[Tensor]:
    """One raw vector a word in the space of the patches: for each text (W, E) float32 on the CPU, W at least 1.

    Raises:
        ConfigError: the encoder aligned whole texts, not words.
    """
    towers, tokenizer = encoder.require_towers()
    if not towers.config.aligns_words:
        name = encoder.origin.get("method", encoder.origin.get("layout"))
        raise ConfigError(
            f"the encoder ({name}) aligned whole sentences with films, not words",
            where="encoder",
            fix="Use another preset, or an encoder pretrained by medim",
        )
    prepare, device = PREPARATIONS[towers.config.preparation], next(towers.parameters()).device
    found = list[Tensor]()
    for start in range(0, len(texts), TEXTS):
        read = [tokenizer.encode(prepare(text, None), towers.config.length) for text in texts[start : start + TEXTS]]
        ids, mask, words = (
            torch.from_numpy(np.stack([getattr(one, name) for one in read])).to(device)
            for name in ("ids", "mask", "words")
        )
        count = max(1, int(words.max()) + 1)
        local = towers.text_local(sum_pieces(towers.text(ids, mask).tokens, words, count)).float().cpu()
        ends = (words.amax(dim=1) + 1).clamp(min=1).tolist()
        found += [vectors[:end] for vectors, end in zip(local, ends, strict=True)]
    _finite(torch.stack([vectors.sum(dim=0) for vectors in found]), texts)
    return found


def _finite(vectors: Tensor, texts: Sequence[str]) -> Tensor:
    bad = (~torch.isfinite(vectors)).any(dim=1).nonzero().flatten()
    if len(bad):
        raise CheckpointError(
            f"gives no finite vector for {len(bad)} texts, first {texts[int(bad[0])][:60]!r}",
            where="encoder",
            fix="Look at the loss of the pretraining run",
        )
    return vectors


def split_notes(split: Split) -> list[str]:
    """What a reader must know of a split: a model may have learned from all but the test films and their reports."""
    if split == "test":
        return []
    return [f"Films of the {split} split may have been in pretraining, with their reports."]


def asked_of(encoder: JointEncoder, source: str | JointEncoder, data: str, manifest: Manifest) -> dict[str, Any]:
    """Which encoder was asked about which films, for a results page."""
    return {
        "encoder": source if isinstance(source, str) else "given",
        "method": encoder.origin.get("method", encoder.origin.get("layout")),  # pretrained here, or converted
        "data": data,
        "manifest_sha256": manifest.digest,
    }
