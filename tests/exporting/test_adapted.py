"""Of an adapted run the encoder alone leaves, with all its weights, and that is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hilum.checkpoint import save_checkpoint
from hilum.encoder import Encoder
from hilum.exporting.adapted import encoder_of
from hilum.models.backbone import architecture_to_json
from tests.exporting.encoders import batch, vit_encoder


def write_adapted(folder: Path, encoder: Encoder, kind: str = "classifier", **more: torch.Tensor) -> None:
    config: dict[str, Any] = {
        "kind": kind,
        "architecture": architecture_to_json(encoder.model.config),
        "preprocessing": encoder.preprocessing.to_json(),
        "pool": "mean",
        "origin": {"encoder": "mae-0", "train_films": 100},
    }
    weights = {f"backbone.{key}": value for key, value in encoder.model.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(folder / "model", weights | {"head.weight": torch.ones(2, 16)} | more, config, "card")


@pytest.mark.parametrize("kind", ["classifier", "segmenter", "detector", "survival"])
def test_the_encoder_inside(kind: str, tmp_path: Path) -> None:
    inside = vit_encoder()
    write_adapted(tmp_path / "run", inside, kind)
    for place in (tmp_path / "run", tmp_path / "run/model"):
        found, said = encoder_of(place)
        assert torch.equal(found.model.forward_features(batch()), inside.model.forward_features(batch()))
        assert (found.pool, found.origin) == ("mean", {"adapted": kind, "encoder": "mae-0", "train_films": 100})
        assert said == (f"of the {kind} in {tmp_path / 'run/model'} the encoder alone is exported, without its head",)


def test_a_norm_of_the_mean_comes_along(tmp_path: Path) -> None:
    norm = {"fc_norm.weight": torch.full((16,), 2.0), "fc_norm.bias": torch.ones(16)}
    inside = vit_encoder(final_norm=False)
    write_adapted(tmp_path / "run", inside, **norm)
    found, _ = encoder_of(tmp_path / "run")
    mean = inside.embed(batch(), pool="mean")
    expected = torch.nn.functional.layer_norm(mean, (16,), norm["fc_norm.weight"], norm["fc_norm.bias"], 1e-6)
    torch.testing.assert_close(found.embed(batch()), expected)


def test_an_encoder_is_itself(tmp_path: Path) -> None:
    vit_encoder("mean").save(tmp_path / "run/encoder")
    for place in (tmp_path / "run", tmp_path / "run/encoder"):
        found, said = encoder_of(place)
        assert found.describe() == vit_encoder("mean").describe()
        assert said == ()
