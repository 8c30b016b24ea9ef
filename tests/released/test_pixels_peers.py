"""The same input as the encoders' own libraries make it: torchvision, timm, open_clip, OpenCV, torchxrayvision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from hilum.released.pixels import PIXELS, from_open_clip, from_processor, from_timm
from hilum.schema import Preprocessing
from hilum.transforms.image import prepare_film
from tests.oracles.pixels import CLIP, HALF, IMAGENET, MIMIC, odd_film

pytestmark = pytest.mark.timm

SHAPES = [(517, 611), (1003, 640), (97, 64), (300, 300), (224, 231), (331, 771), (256, 227), (601, 2539)]
Peer = Callable[[np.ndarray], Tensor]


def agree(peer: Peer, own: Preprocessing, scale: float = 1) -> None:
    for shape in SHAPES:
        film = odd_film(*shape)
        expected, found = peer(film), prepare_film(film, own)
        assert found.shape == expected.shape, shape
        assert float((found - expected).abs().max()) < 1e-3 * scale, shape


def rgb(film: np.ndarray) -> Image.Image:
    return Image.fromarray(film).convert("RGB")


def pictures(short: Any, crop: int | None, kernel: str, colours: Any) -> Peer:
    from torchvision import transforms as T

    how = T.InterpolationMode(kernel)
    steps = [T.Resize(short, interpolation=how), *([] if crop is None else [T.CenterCrop(crop)])]
    made = T.Compose([*steps, T.ToTensor(), T.Normalize(*colours)])
    return lambda film: made(rgb(film))


EVA = ((0.49185243,) * 3, (0.28509309,) * 3)
PICTURES = {
    "imagenet": (256, 224, "bilinear", IMAGENET),
    "mae": (256, 224, "bicubic", IMAGENET),
    "dinov2": (256, 224, "bicubic", IMAGENET),
    "eva-x": (256, 224, "bicubic", EVA),
    "clip": (224, 224, "bicubic", CLIP),
    "m3ae": (224, 224, "bicubic", CLIP),
    "pubmedclip": (256, 224, "bilinear", IMAGENET),
    "medklip": ([224, 224], None, "bilinear", IMAGENET),
    "refers": (224, 224, "bilinear", IMAGENET),
    "convnext": (256, 224, "bicubic", IMAGENET),
}


@pytest.mark.parametrize("name", PICTURES)
def test_torchvision_on_pictures(name: str) -> None:
    agree(pictures(*PICTURES[name]), PIXELS[name].record)


def letterboxed(film: np.ndarray, side: int) -> np.ndarray:
    import cv2

    height, width = film.shape
    size = (side, int(width * (side / height))) if height >= width else (int(height * (side / width)), side)
    boxed = np.zeros((side, side), np.uint8)
    top, left = (side - size[0]) // 2, (side - size[1]) // 2
    grown = cv2.resize(film, size[::-1], interpolation=cv2.INTER_AREA)
    boxed[top : top + size[0], left : left + size[1]] = grown
    return boxed


@pytest.mark.parametrize(("name", "side"), [("mgca", 256), ("gloria", 256), ("medim", 240)])
def test_opencv_letterboxes(name: str, side: int) -> None:
    from torchvision import transforms as T

    made = T.Compose([T.CenterCrop(224), T.ToTensor(), T.Normalize(*HALF)])
    agree(lambda film: made(rgb(letterboxed(film, side))), PIXELS[name].record)


def shrunk(tensor: Tensor) -> Tensor:
    """As torchvision resized tensors before it antialiased them."""
    from torchvision import transforms as T

    smaller: Tensor = T.Resize([224, 224], interpolation=T.InterpolationMode.BICUBIC, antialias=False)(tensor)
    return smaller


def test_mrm_and_maco_resize_a_tensor() -> None:
    from torchvision import transforms as T

    last = T.Compose([T.ToTensor(), T.Normalize(*MIMIC)])
    first = T.Compose([T.Resize(448, interpolation=T.InterpolationMode.BICUBIC), T.CenterCrop(448)])
    agree(lambda film: shrunk(last(first(rgb(film)))), PIXELS["mrm"].record)
    agree(lambda film: shrunk(last(rgb(letterboxed(film, 448)))), PIXELS["maco"].record)


def test_chexzero_normalises_grey_levels_and_resizes_them() -> None:
    from torchvision import transforms as T

    def peer(film: np.ndarray) -> Tensor:
        picture = rgb(film)
        ratio = float(320) / max(picture.size)
        grown = picture.resize([int(side * ratio) for side in picture.size], Image.Resampling.LANCZOS)
        boxed = Image.new("L", (320, 320))
        boxed.paste(grown, ((320 - grown.size[0]) // 2, (320 - grown.size[1]) // 2))
        levels = torch.from_numpy(np.asarray(boxed, dtype=np.float32)).expand(3, -1, -1)
        return shrunk(T.Normalize((101.48761,) * 3, (83.43944,) * 3)(levels))

    agree(peer, PIXELS["chexzero"].record)


@pytest.mark.parametrize(("name", "crop"), [("biovil", 480), ("biovil-t", 448)])
def test_biovil_stretches_the_film(name: str, crop: int) -> None:
    from torchvision import transforms as T

    made = T.Compose([T.Resize(512), T.CenterCrop(crop), T.ToTensor()])

    def peer(film: np.ndarray) -> Tensor:
        grey = film.astype(float) - film.min()
        picture: Tensor = made(Image.fromarray((grey / grey.max() * 255).astype(np.uint8)))
        return picture.expand(3, -1, -1)

    agree(peer, PIXELS[name].record)


def test_chexfound_stretches_the_crop() -> None:
    from torchvision import transforms as T

    made = T.Compose([T.Resize(512, interpolation=T.InterpolationMode.BICUBIC), T.CenterCrop(512), T.ToTensor()])

    def peer(film: np.ndarray) -> Tensor:
        picture = made(rgb(film))
        low, high = picture.amin((1, 2), keepdim=True), picture.amax((1, 2), keepdim=True)
        stretched: Tensor = T.Normalize(*IMAGENET)((picture - low) / (high - low))
        return stretched

    agree(peer, PIXELS["chexfound"].record)


@pytest.mark.parametrize(("name", "size"), [("torchxrayvision", 224), ("torchxrayvision-resnet", 512)])
def test_torchxrayvision_in_its_range(name: str, size: int) -> None:
    """To 1e-3 of half its range, which is 2048 wide."""
    datasets = pytest.importorskip("torchxrayvision").datasets

    def peer(film: np.ndarray) -> Tensor:
        values = datasets.normalize(film, 255)[None]
        return torch.from_numpy(datasets.XRayResizer(size)(datasets.XRayCenterCrop()(values)))

    agree(peer, PIXELS[name].record, scale=1024)


def test_dinov3s_processor() -> None:
    from transformers.models.dinov3_vit import DINOv3ViTImageProcessor

    processor = DINOv3ViTImageProcessor()
    said = {"image_processor_type": "DINOv3ViTImageProcessorFast"}
    agree(lambda film: processor(rgb(film), return_tensors="pt")["pixel_values"][0], from_processor(said))


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize(
    ("share", "size", "kernel"),
    [(0.9, 224, "bicubic"), (1.0, 256, "bilinear"), (0.95, 384, "lanczos"), (0.875, 96, "nearest")],
)
def test_timms_evaluation_transform(mode: str, share: float, size: int, kernel: str) -> None:
    from timm.data import create_transform

    said = {"crop_pct": share, "crop_mode": mode, "interpolation": kernel, "mean": IMAGENET[0], "std": CLIP[1]}
    made: Any = create_transform(input_size=(3, size, size), is_training=False, **said)
    agree(lambda film: made(rgb(film)), from_timm({**said, "input_size": (3, size, size)}))


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("kernel", ["bicubic", "bilinear"])
def test_open_clips_evaluation_transform(mode: str, kernel: str) -> None:
    transform = pytest.importorskip("open_clip.transform")
    said = {"size": 224, "resize_mode": mode, "interpolation": kernel}
    made = transform.image_transform_v2(transform.PreprocessCfg(**said), is_train=False)
    agree(lambda film: made(Image.fromarray(film)), from_open_clip({"preprocess_cfg": said}))
