"""Features: the encoder's own, in row order, whatever the batch; a cache that is whole, found again, and never
stale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hilum.encoder import Encoder
from hilum.evaluation.features import Runner, extract_features, weights_digest
from hilum.films import decode
from hilum.manifest import Manifest

QUIET = Runner(device="cpu", batch_size=16, quiet=True)


@pytest.mark.parametrize("pool", ["cls", "mean", "cls+mean"])
def test_equal_to_embedding_one_film_at_a_time(encoder: Encoder, tiny_data: Path, pool: str) -> None:
    manifest = Manifest.read(tiny_data)
    got = extract_features(encoder, manifest, pool, runner=QUIET)  # type: ignore[arg-type]
    assert got.shape == (40, 96 if pool == "cls+mean" else 48)
    assert got.dtype == np.float32
    for row in (0, 17, 39):  # the last batch is short
        image = encoder.transform(decode(manifest.paths()[row]))[None]
        np.testing.assert_allclose(got[row], encoder.embed(image, pool)[0].numpy(), atol=1e-5)  # type: ignore[arg-type]


def test_the_cache_is_read_back_and_named_by_what_it_depends_on(
    encoder: Encoder, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Manifest.read(tiny_data).select(split="val")
    first = extract_features(encoder, manifest, "mean", cache=tmp_path, runner=QUIET)
    np.testing.assert_array_equal(first, extract_features(encoder, manifest, "mean", runner=QUIET))
    extract_features(encoder, manifest, "cls", cache=tmp_path, runner=QUIET)
    extract_features(encoder, manifest.select(views=["PA"]), "mean", cache=tmp_path, runner=QUIET)
    with torch.no_grad():
        encoder.model.blocks[0].norm1.weight[0] += 1e-3  # type: ignore[operator, union-attr]
    changed = extract_features(encoder, manifest, "mean", cache=tmp_path, runner=QUIET)
    assert not np.array_equal(first, changed)
    assert len(list(tmp_path.glob("*.npy"))) == 4
    monkeypatch.setattr(encoder, "embed", None)  # a cache hit runs nothing
    np.testing.assert_array_equal(changed, extract_features(encoder, manifest, "mean", cache=tmp_path, runner=QUIET))


def test_an_interrupted_extraction_leaves_nothing(
    encoder: Encoder, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, embed = [0], encoder.embed

    def failing(images: torch.Tensor, pool: str) -> torch.Tensor:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt
        return embed(images, pool)  # type: ignore[arg-type]

    monkeypatch.setattr(encoder, "embed", failing)
    with pytest.raises(KeyboardInterrupt):
        extract_features(encoder, Manifest.read(tiny_data), "mean", cache=tmp_path, runner=QUIET)
    assert list(tmp_path.iterdir()) == []


def test_weights_digest_sees_every_bit() -> None:
    a, b = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    b.load_state_dict(a.state_dict())
    assert weights_digest(a) == weights_digest(b)
    with torch.no_grad():
        b.bias[1] = torch.nextafter(b.bias[1], torch.tensor(9.0))
    assert weights_digest(a) != weights_digest(b)
