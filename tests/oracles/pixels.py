"""How each public encoder makes its input of an 8-bit film, written from the facts: Pillow calls and plain formulas.

Nothing here shares code with `hilum.transforms`; kernels that are not Pillow's are dense matrices in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image
from skimage.transform import resize as skimage_resize

Grey = np.ndarray
Pipeline = Callable[[Grey], Grey]

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF, MIMIC = ((0.5,) * 3, (0.5,) * 3), ((0.4978,) * 3, (0.2449,) * 3)


def normalised(square: Grey, colours: tuple[tuple[float, ...], tuple[float, ...]]) -> Grey:
    """(S, S) in [0, 1] -> (C, S, S)."""
    mean, std = (np.array(values)[:, None, None] for values in colours)
    return np.asarray((square[None] - mean) / std)


def torchvision_crop(film: Grey, short: int, crop: int, kernel: str) -> Grey:
    """Resize(short), CenterCrop(crop), ToTensor of an 8-bit picture: (crop, crop) in [0, 1]."""
    height, width = film.shape
    if height <= width:
        size = (int(short * width / height), short)
    else:
        size = (short, int(short * height / width))
    picture = Image.fromarray(film)
    grown = np.asarray(picture if size == picture.size else picture.resize(size, Image.Resampling[kernel.upper()]))
    top, left = (int(round((side - crop) / 2.0)) for side in grown.shape)  # noqa: RUF046  as torchvision writes it
    return grown[top : top + crop, left : left + crop] / 255


def cropped(
    short: int, crop: int, kernel: str, colours: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET
) -> Pipeline:
    """The pipeline of most encoders on pictures."""
    return lambda film: normalised(torchvision_crop(film, short, crop, kernel), colours)


def area(film: Grey, rows: int, columns: int) -> Grey:
    """The mean over each cell of a grid laid over the film, in whole grey levels; for films that shrink."""
    down, across = _overlaps(film.shape[0], rows), _overlaps(film.shape[1], columns)
    return np.rint(np.round(down @ film.astype(float) @ across.T, 5)).astype(np.uint8)


def _overlaps(length: int, cells: int) -> Grey:
    """(cells, length): share of a cell that each pixel covers."""
    edge = np.arange(cells + 1) * length / cells
    low, high = edge[:-1, None], edge[1:, None]
    pixel = np.arange(length)[None]
    covered = np.minimum(high, pixel + 1) - np.maximum(low, pixel)
    return np.asarray(covered.clip(0) * cells / length)


def area_letterbox(film: Grey, side: int) -> Grey:
    """MGCA's, GLoRIA's and MedIM's: the longest side to `side`, the other cut down to a whole number, black around."""
    height, width = film.shape
    size = (side, int(width * (side / height))) if height >= width else (int(height * (side / width)), side)
    boxed = np.zeros((side, side), np.uint8)
    top, left = (side - size[0]) // 2, (side - size[1]) // 2
    boxed[top : top + size[0], left : left + size[1]] = area(film, *size)
    return boxed


def letterbox_crop(side: int, crop: int) -> Pipeline:
    """MGCA, GLoRIA, MedIM: letterbox, the middle of it, (x - 0.5) / 0.5."""

    def made(film: Grey) -> Grey:
        start = (side - crop) // 2
        return normalised(area_letterbox(film, side)[start : start + crop, start : start + crop] / 255, HALF)

    return made


def plain_bicubic(square: Grey, size: int) -> Grey:
    """Keys' cubic with a = -0.75 over four neighbours, edges repeated: what torch does without antialias."""
    length = len(square)
    weights = np.zeros((size, length))
    for target in range(size):
        place = (target + 0.5) * length / size - 0.5
        base = int(np.floor(place))
        for tap in range(base - 1, base + 3):
            gap, a = abs(place - tap), -0.75
            near = (a + 2) * gap**3 - (a + 3) * gap**2 + 1
            far = a * gap**3 - 5 * a * gap**2 + 8 * a * gap - 4 * a
            weights[target, min(max(tap, 0), length - 1)] += near if gap <= 1 else far
    return weights @ square @ weights.T


def mrm(film: Grey) -> Grey:
    """448 as a picture, normalised, then 224 as a tensor."""
    square = normalised(torchvision_crop(film, 448, 448, "bicubic"), MIMIC)
    return np.stack([plain_bicubic(plane, 224) for plane in square])


def maco(film: Grey) -> Grey:
    """The letterbox of 448, normalised, then 224 as a tensor."""
    return np.stack([plain_bicubic(plane, 224) for plane in normalised(area_letterbox(film, 448) / 255, MIMIC)])


def chexzero(film: Grey) -> Grey:
    """Letterbox of 320 by Lanczos, grey levels normalised as they are, then 224 as a tensor."""
    height, width = film.shape
    ratio = float(320) / max(film.shape)
    size = (int(width * ratio), int(height * ratio))
    boxed = Image.new("L", (320, 320))
    picture = Image.fromarray(film)
    grown = picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)
    boxed.paste(grown, ((320 - size[0]) // 2, (320 - size[1]) // 2))
    plane = plain_bicubic((np.asarray(boxed, float) - 101.48761) / 83.43944, 224)
    return np.stack([plane] * 3)


def biovil(crop: int) -> Pipeline:
    """The film's own range to 0-255, cut down to whole levels; 512, the middle; no mean and deviation."""

    def made(film: Grey) -> Grey:
        grey = film.astype(float) - film.min()
        levels = (grey / grey.max() * 255).astype(np.uint8)
        return np.stack([torchvision_crop(levels, 512, crop, "bilinear")] * 3)

    return made


def chexfound(film: Grey) -> Grey:
    """512, the middle, its own [0, 1], ImageNet's."""
    square = torchvision_crop(film, 512, 512, "bicubic")
    return normalised((square - square.min()) / (square.max() - square.min()), IMAGENET)


def xray_vision(size: int) -> Pipeline:
    """Values in [-1024, 1024], the middle square, scikit-image's resize in that range."""

    def made(film: Grey) -> Grey:
        values = (2 * (film.astype(np.float32) / 255) - 1) * 1024
        short = min(film.shape)
        top, left = (side // 2 - short // 2 for side in film.shape)
        square = values[None, top : top + short, left : left + short]
        return np.asarray(skimage_resize(square, (1, size, size), mode="constant", preserve_range=True))

    return made


def rad_dino(film: Grey) -> Grey:
    """518 by the shorter side; transformers begins the crop at the floor of half the margin."""
    height, width = film.shape
    short = min(film.shape)
    size = (int(518 * width / short), int(518 * height / short))
    grown = np.asarray(Image.fromarray(film).resize(size, Image.Resampling.BICUBIC)) / 255
    top, left = (grown.shape[0] - 518) // 2, (grown.shape[1] - 518) // 2
    return normalised(grown[top : top + 518, left : left + 518], ((0.5307,) * 3, (0.2583,) * 3))


def dinov3(film: Grey) -> Grey:
    """Divided by 255 first, then squeezed in real numbers."""
    grey = Image.fromarray(film.astype(np.float32) / 255)
    return normalised(np.asarray(grey.resize((224, 224), Image.Resampling.BILINEAR), float), IMAGENET)


def medklip(film: Grey) -> Grey:
    """Squeezed to 224 in 8 bits."""
    return normalised(np.asarray(Image.fromarray(film).resize((224, 224), Image.Resampling.BILINEAR)) / 255, IMAGENET)


ORACLES: dict[str, Pipeline] = {
    "imagenet": cropped(256, 224, "bilinear"),
    "mae": cropped(256, 224, "bicubic"),
    "mrm": mrm,
    "maco": maco,
    "mgca": letterbox_crop(256, 224),
    "medim": letterbox_crop(240, 224),
    "chexfound": chexfound,
    "dinov2": cropped(256, 224, "bicubic"),
    "dinov3": dinov3,
    "rad-dino": rad_dino,
    "eva-x": cropped(256, 224, "bicubic", ((0.49185243,) * 3, (0.28509309,) * 3)),
    "chexzero": chexzero,
    "clip": cropped(224, 224, "bicubic", CLIP),
    "biomedclip": cropped(224, 224, "bicubic", CLIP),
    "pubmedclip": cropped(256, 224, "bilinear"),
    "biovil": biovil(480),
    "biovil-t": biovil(448),
    "gloria": letterbox_crop(256, 224),
    "convirt": cropped(256, 224, "bicubic"),
    "torchxrayvision": xray_vision(224),
    "torchxrayvision-resnet": xray_vision(512),
    "medklip": medklip,
    "refers": cropped(224, 224, "bilinear"),
    "m3ae": cropped(224, 224, "bicubic", CLIP),
    "convnext": cropped(256, 224, "bicubic"),
    "timm": cropped(256, 224, "bicubic"),
}


def odd_film(height: int, width: int, *, low: int = 12, high: int = 241, seed: int = 0) -> Grey:
    """A film like an X-ray at this size: broad shades, sharp edges, grain, and a range that is not the full one."""
    rng = np.random.default_rng([seed, height, width])
    down, across = np.mgrid[:height, :width] / (max(height, width) / 6)
    broad = np.sin(down + rng.random() * 6) * np.cos(across * 1.3) + np.sin(across * down)
    edges = (np.hypot(down - 2, across - 2) % 1 < 0.15) * 0.8
    grey = broad + edges + rng.normal(0, 0.1, (height, width))
    grey = (grey - grey.min()) / (grey.max() - grey.min())
    return np.rint(low + grey * (high - low)).astype(np.uint8)
