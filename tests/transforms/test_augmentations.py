"""Every augmentation by name: the same from one generator, of the encoder's size, and as the papers describe it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from hilum.errors import ConfigError
from hilum.schema import IMAGE, Preprocessing
from hilum.transforms.augmentations import AUGMENTATIONS, CropFlip, FramedCrop, augmentation, framed
from hilum.transforms.image import normalise, prepare_film
from hilum.transforms.views import draw_crop

GREY = Preprocessing(size=32, channels=1, mean=(0.5,), std=(0.25,))
FILM = np.random.default_rng(0).integers(0, 256, (70, 50), dtype=np.uint8)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_same_generator_same_view_of_the_encoders_size(name: str) -> None:
    views = augmentation(name, GREY)
    one, two, other = (views(FILM, np.random.default_rng(seed))[IMAGE] for seed in (1, 1, 2))
    assert one.shape == (1, 32, 32)
    assert torch.equal(one, two)
    assert torch.equal(one, other) == (name == "none")
    assert normalise(one[None], GREY).dtype == torch.float32


def test_none_is_the_encoders_own_transform() -> None:
    plain = augmentation("none", GREY)(FILM, np.random.default_rng(0))[IMAGE]
    assert torch.equal(plain, prepare_film(FILM, GREY))
    with pytest.raises(ConfigError, match="'none' has no options"):
        augmentation("none", GREY, {"scale": (0.5, 1.0)})


@pytest.mark.parametrize(
    ("name", "scale", "filter_"),
    [
        ("mrm", (0.08, 1.0), Image.Resampling.BILINEAR),
        ("cxrbase", (0.2, 1.0), Image.Resampling.BICUBIC),
        ("chexfound", (0.75, 1.0), Image.Resampling.BICUBIC),
    ],
)
def test_crops_are_those_of_the_papers(name: str, scale: tuple[float, float], filter_: Image.Resampling) -> None:
    mirrored = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        box = draw_crop(rng, 70, 50, scale)
        flip = rng.random() < 0.5
        cut = np.array(Image.fromarray(FILM).resize((32, 32), filter_, box=box))
        got = augmentation(name, GREY)(FILM, np.random.default_rng(seed))[IMAGE][0].numpy()
        assert np.array_equal(got, cut[:, ::-1] if flip else cut)
        mirrored += flip
    assert 8 < mirrored < 32


def test_medims_frame_is_cropped_not_resized_and_its_grey_redrawn() -> None:
    whole = framed(FILM, 34)
    assert (whole[:, :5] == 0).all()  # 70 x 50 in a square: 24 columns in the middle
    assert (whole[:, 12:22] > 0).any()
    quiet = FramedCrop(32, frame=34 / 32, grey=FramedCrop(32).grey.__class__(jitter=0, blur=(0, 0, 0), solarize=0))
    seen = quiet(FILM, np.random.default_rng(3))[IMAGE][0].numpy()
    assert any(
        np.array_equal(seen, whole[top : top + 32, left : left + 32]) for top in range(3) for left in range(3)
    )  # no flip, no scale
    grey = FramedCrop(32).grey
    assert (grey.jitter, grey.brightness, grey.contrast, grey.blur[0], grey.solarize) == (0.8, 0.4, 0.4, 0.5, 0)
    larger = augmentation("medim", GREY, {"frame": 256 / 224})
    assert larger(FILM, np.random.default_rng(0))[IMAGE].shape == (1, 32, 32)
    assert framed(FILM[:8, :8], 34).shape == (34, 34)


def test_options_and_faults() -> None:
    views = augmentation("mrm", GREY, {"scale": [0.5, 1.0], "flip": 0.0})
    assert views == CropFlip(32, (0.5, 1.0), 0.0, "bilinear")
    with pytest.raises(ConfigError, match="augment: unknown augmentation 'mrn'"):
        augmentation("mrn", GREY)
    with pytest.raises(ConfigError, match="unknown option 'angle'"):
        augmentation("mrm", GREY, {"angle": 3.0})
    with pytest.raises(ConfigError, match="two rising values above 0"):
        augmentation("mrm", GREY, {"scale": [0.9, 0.1]})
    with pytest.raises(ConfigError, match="frame must be 1 or more"):
        augmentation("medim", GREY, {"frame": 0.5})
    with pytest.raises(ConfigError, match="scale is"):
        augmentation("weak", GREY, {"scale": [0.0, 1.0]})
    with pytest.raises(ConfigError, match=r"flip is 2.0 and must lie in \[0, 1\]"):
        augmentation("weak", GREY, {"flip": 2.0})
