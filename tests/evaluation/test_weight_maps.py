"""MaCo's weights of positions as files, pictures and two numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hilum.evaluation.weight_maps import CELL, centre_and_edge, picture, read_map, weight_map, weight_maps
from hilum.methods.maco import Config, MaCo
from hilum.models.text import TextConfig
from tests.words import vocabulary_of


@pytest.fixture
def method() -> MaCo:
    text = TextConfig(width=12, depth=1, heads=2, hidden=16, positions=12)
    vit = {"patch_size": 4, "width": 8, "depth": 1, "heads": 2}
    config = Config(image_size=24, channels=1, vit=vit, decoder_width=12, decoder_depth=1, text=text, length=12)
    return MaCo(config, vocabulary_of(20))


def test_every_checkpoint_leaves_its_map(method: MaCo, tmp_path: Path) -> None:
    assert method.towers is not None
    assert method.towers.position is not None
    draw = weight_maps(tmp_path / "maps")
    assert draw(method, 0) == {"weight_centre": 0.0, "weight_edge": 0.0}
    with torch.no_grad():
        method.towers.position.weight.copy_(torch.linspace(-1, 2, 36)[None])
    numbers = draw(method, 50)
    assert numbers == centre_and_edge(weight_map(method))
    assert sorted(file.name for file in (tmp_path / "maps").iterdir()) == [
        "course.png",
        "step-00000000.csv",
        "step-00000000.png",
        "step-00000050.csv",
        "step-00000050.png",
    ]
    back = read_map(tmp_path / "maps/step-00000050.csv")
    np.testing.assert_allclose(back, weight_map(method), rtol=1e-8)
    np.testing.assert_allclose(back.ravel(), np.linspace(-1, 2, 36), rtol=1e-6)
    course = np.array(Image.open(tmp_path / "maps/course.png"))
    assert course.shape == (6 * CELL, 2 * 6 * CELL + 6, 3)
    assert (course[:, : 6 * CELL] == 255).all()  # nothing was learned yet


def test_colours_tell_sign_and_size() -> None:
    drawn = picture([np.array([[-2.0, 0.0], [1.0, 2.0]])])
    negative, zero, half, full = (drawn[r * CELL, c * CELL].astype(int) for r, c in ((0, 0), (0, 1), (1, 0), (1, 1)))
    assert negative.argmax() == 2
    assert (zero == 255).all()
    assert full.argmax() == half.argmax() == 0
    assert half[1] > full[1]


def test_centre_and_edge_of_a_map() -> None:
    weights = np.zeros((14, 14))
    weights[3:11, 3:11] = 5.0
    weights[0, :] = 13.0
    numbers = centre_and_edge(weights)
    assert numbers["weight_centre"] == 5.0
    assert numbers["weight_edge"] == pytest.approx(14 * 13.0 / 52)
