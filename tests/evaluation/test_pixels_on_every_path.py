"""Every public encoder's record through every path that judges films: each hands its network what `prepare_film` gives.

No path may take the shortcut of training views, whose 8-bit square an encoder such as CheXzero never saw.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import hilum
from hilum.encoder import Encoder
from hilum.evaluation.augmented_inputs import augmented
from hilum.evaluation.embedding import plan_embedding, run_embedding
from hilum.evaluation.features import Runner, extract_features
from hilum.evaluation.finetune import classifier_scores
from hilum.evaluation.frozen_inputs import Reading, frozen_inputs
from hilum.evaluation.grounding import pair_similarities
from hilum.evaluation.grounding_pairs import Pair
from hilum.evaluation.joint_space import film_vectors
from hilum.evaluation.similar_cases import given_queries
from hilum.films import FilmStore, decode
from hilum.heads.grounding import GroundingRule
from hilum.manifest import Manifest
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.released.pixels import PIXELS
from hilum.schema import IMAGE
from hilum.transforms.augmentations import augmentation
from hilum.transforms.image import prepare_film
from tests.oracles.pixels import odd_film

QUIET = Runner(device="cpu", batch_size=2, quiet=True)
SIZE = 28
ROWS = torch.arange(3)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Three films, oblong both ways and tiny."""
    root = tmp_path_factory.mktemp("odd films")
    shapes = [(131, 97), (90, 143), (40, 40)]
    for number, shape in enumerate(shapes):
        Image.fromarray(odd_film(*shape)).save(root / f"{number}.png")
    names = [f"{number}.png" for number in range(len(shapes))]
    table = {"image": names, "image_id": names, "study_id": names, "patient_id": names, "split": "test"}
    pd.DataFrame({**table, "view_position": "PA"}).to_csv(root / "manifest.csv", index=False)
    return Manifest.read(root)


class Camera:
    """Stands where an encoder with towers stands, and keeps what it is shown."""

    def __init__(self, encoder: Encoder) -> None:
        self.preprocessing, self.seen = encoder.preprocessing, list[Tensor]()

    def project(self, images: Tensor) -> Tensor:
        self.seen.extend(images)
        return torch.ones(len(images), 4)

    def project_tokens(self, images: Tensor) -> Tensor:
        return self.project(images)[:, None].expand(-1, 4, -1)

    def embed_text(self, texts: Any) -> Tensor:
        return torch.ones(len(texts), 4)

    def require_towers(self) -> Any:
        return SimpleNamespace(config=SimpleNamespace(aligns_words=False)), None

    def to(self, device: Any) -> Camera:
        return self


def judged_by(camera: Camera, act: Callable[[Any], Any]) -> list[Tensor]:
    act(camera)
    return camera.seen


def shown(encoder: Encoder, act: Callable[[], Any]) -> list[Tensor]:
    """What the backbone is given while something runs."""
    seen = list[Tensor]()
    hook = encoder.model.get_submodule("patch_embed").register_forward_pre_hook(lambda _, given: seen.extend(given[0]))
    try:
        act()
    finally:
        hook.remove()
    return seen


@pytest.mark.parametrize("name", PIXELS)
def test_each_path_sees_the_encoders_own_pixels(name: str, manifest: Manifest, tmp_path: Path) -> None:
    own = PIXELS[name].record.at(SIZE)
    config = ViTConfig(image_size=SIZE, patch_size=14, channels=own.channels, width=8, depth=1, heads=1)
    encoder = Encoder(VisionTransformer(config), own, {"method": "none"})
    films = [decode(path) for path in manifest.paths()]
    expected = torch.stack([prepare_film(film, own) for film in films])
    kept = hilum.load(encoder.save(tmp_path / "kept"))
    assert kept.preprocessing == own

    views = augmentation("none", own)
    moved = augmented(encoder, manifest, Reading("cls"), augmentation("weak", own), 0, QUIET)
    pairs = tuple(Pair(row, ("a sentence",), "Mass", np.zeros((0, 4))) for row in range(len(films)))
    plan = plan_embedding(encoder, str(manifest.root), tmp_path / "store", blocks=1)
    head = nn.Sequential(nn.Flatten(), nn.Linear(SIZE * SIZE * own.channels, 1))
    passed = list[Tensor]()
    head.register_forward_pre_hook(lambda _, given: passed.extend(given[0]))
    classifier_scores(head.eval(), FilmStore(manifest), own, "multilabel", QUIET)
    files = [str(path) for path in manifest.paths()]
    paths = {
        "transform": [kept.transform(film) for film in films],
        "fine-tuning without augmentation": [views(film, np.random.default_rng(0))[IMAGE] for film in films],
        "frozen, pooled": shown(encoder, lambda: extract_features(encoder, manifest, "cls", runner=QUIET)),
        "frozen, taps": shown(
            encoder, lambda: frozen_inputs(encoder, manifest, Reading(None), runner=QUIET).batch(ROWS)
        ),
        "frozen, augmented, as they are": shown(encoder, lambda: moved.batch(ROWS)),
        "embed": shown(encoder, lambda: run_embedding(plan, QUIET)),
        "fine-tuned classifier, predict": passed,
        "zero-shot, retrieve": judged_by(Camera(encoder), lambda eye: film_vectors(eye, manifest, QUIET)),
        "retrieve by file": judged_by(Camera(encoder), lambda eye: given_queries(eye, files, QUIET, cosine=True)),
        "ground": judged_by(
            Camera(encoder),
            lambda eye: pair_similarities(eye, manifest, pairs, rule=GroundingRule(tau=None), runner=QUIET),
        ),
    }
    for path, seen in paths.items():
        assert len(seen) == len(films), path
        wide = 1024 if own.channels == 1 else 1
        torch.testing.assert_close(torch.stack(seen) / wide, expected / wide, rtol=0, atol=1e-3, msg=path)


def test_only_training_views_take_the_shortcut() -> None:
    folder = Path(hilum.__file__).parent / "evaluation"
    users = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "normalise"
    }
    assert users == {"augmented_inputs.py", "finetune.py", "detection/method.py", "segmentation/method.py"}


@pytest.mark.parametrize("name", ["weak", "mrm", "chexfound"])
def test_training_views_are_of_the_films_own_range_where_the_record_says_so(name: str) -> None:
    own = PIXELS["biovil"].record.at(SIZE)
    film = odd_film(70, 90, low=90, high=130)
    view, other = (
        augmentation(name, record)(film, np.random.default_rng(1))[IMAGE]
        for record in (own, replace(own, rescale="none"))
    )
    assert view.float().std() > 3 * other.float().std()
