"""The pixels that each public encoder was trained on: one record a name, every number with its source.

`record` gives one by name. A released folder that says itself how its pixels are made is believed before the table:
`from_processor` reads Hugging Face's preprocessor_config.json, `from_timm` a timm pretrained_cfg, `from_open_clip` the
preprocess_cfg of open_clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from hilum.errors import CheckpointError
from hilum.lookup import unknown_name
from hilum.released.pixel_files import CLIP, HALF, IMAGENET, Colour, from_open_clip, from_processor, from_timm
from hilum.schema import Preprocessing
from hilum.transforms.record_words import colours_in_words, values_in_words, way_in_words

__all__ = ["PIXELS", "Pixels", "as_markdown", "from_open_clip", "from_processor", "from_timm", "record"]

_MIMIC: Final[tuple[Colour, Colour]] = ((0.4978,) * 3, (0.2449,) * 3)
_PIL: Final = {"eight_bit": True, "margin": "even"}  # torchvision's Resize and CenterCrop on 8-bit pictures
_CV2: Final = {"resize": "pad", "interpolation": "area", "sides": "floor", **_PIL}  # OpenCV's letterbox, then as above


@dataclass(frozen=True)
class Pixels:
    """A record, and where its numbers are from."""

    record: Preprocessing
    source: str
    whole_from: int | None = None  # this size and above: the whole film, nothing is cut off


def _record(size: int, colours: tuple[Colour, Colour], **values: Any) -> Preprocessing:
    return Preprocessing(size=size, channels=len(colours[0]), mean=colours[0], std=colours[1], **values)


_EIGHTHS: Final = {"resize": "shortest", "resize_to": 256, **_PIL}  # ImageNet's 7 / 8: 256, then the middle 224
PIXELS: Final[Mapping[str, Pixels]] = {
    "imagenet": Pixels(
        _record(224, IMAGENET, interpolation="bilinear", **_EIGHTHS),
        "torchvision's ImageNet weights (V1): Resize(256), CenterCrop(224)",
    ),
    "mae": Pixels(
        _record(224, IMAGENET, **_EIGHTHS),
        "facebookresearch/mae, util/datasets.py, evaluation: bicubic 256, crop 224; above 224 without a margin",
        whole_from=225,
    ),
    "mrm": Pixels(
        _record(224, _MIMIC, resize="shortest", resize_to=448, reduce="resize", **_PIL),
        "RL4M/MRM-pytorch, pre-training: 448, normalised, then a bicubic tensor resize to 224 without antialias; "
        "its fine-tuning has Resize(224) and CenterCrop(224), bilinear",
    ),
    "maco": Pixels(
        _record(224, _MIMIC, resize_to=448, reduce="resize", **_CV2),
        "SZUHvern/MaCo, pre-training: longest side to 448 by INTER_AREA (as in its eval/utils.py), zero padding, "
        "normalised, then as MRM to 224",
    ),
    "mgca": Pixels(
        _record(224, HALF, resize_to=256, **_CV2),
        "HKU-MedAI/MGCA, mgca/datasets/utils.py and transforms.py: longest side to 256 by INTER_AREA, zero padding, "
        "CenterCrop(224), (x - 0.5) / 0.5",
    ),
    "medim": Pixels(
        _record(224, HALF, resize_to=240, **_CV2),
        "YtongXie/MedIM, medim/datasets/utils.py: as MGCA with 240 in place of 256",
    ),
    "chexfound": Pixels(
        _record(512, IMAGENET, resize="shortest", rescale="minmax", **_PIL),
        "RPIDIAL/CheXFound, downstream: Resize(512), CenterCrop(512), each film to its own [0, 1], then ImageNet's; "
        "the kernel (bicubic) is that of DINOv2's evaluation transform, from which it was forked",
    ),
    "dinov2": Pixels(
        _record(224, IMAGENET, **_EIGHTHS),
        "facebookresearch/dinov2, make_classification_eval_transform: bicubic 256, crop 224",
    ),
    "dinov3": Pixels(
        _record(224, IMAGENET, interpolation="bilinear"),
        "transformers' DINOv3ViTImageProcessor: rescaled to [0, 1], then squeezed to 224 x 224, bilinear, antialiased",
    ),
    "rad-dino": Pixels(
        _record(518, ((0.5307,) * 3, (0.2583,) * 3), resize="shortest", eight_bit=True),
        "microsoft/rad-dino, preprocessor_config.json: shortest edge 518 bicubic, centre crop 518",
    ),
    "eva-x": Pixels(
        _record(224, ((0.49185243,) * 3, (0.28509309,) * 3), **_EIGHTHS),
        "hustvl/EVA-X, classification/utils/datasets.py: bicubic 256, crop 224; above 224 without a margin",
        whole_from=225,
    ),
    "chexzero": Pixels(
        _record(
            224,
            ((101.48761 / 255,) * 3, (83.43944 / 255,) * 3),
            resize="pad",
            resize_to=320,
            reduce="resize",
            interpolation="lanczos",
            sides="floor-both",
            eight_bit=True,
        ),
        "rajpurkarlab/CheXzero, data_process.py: letterbox of 320, Pillow's ANTIALIAS (Lanczos); zero_shot.py: 0-255 "
        "values normalised, then a bicubic tensor resize to 224; torchvision 0.11.3 of its requirements antialiases no "
        "tensors (pytorch/vision, pull request 7160)",
    ),
    "clip": Pixels(
        _record(224, CLIP, resize="shortest", **_PIL),
        "openai/CLIP, clip.load: Resize(224, bicubic), CenterCrop(224)",
    ),
    "biomedclip": Pixels(
        _record(224, CLIP, resize="shortest", **_PIL),
        "microsoft/BiomedCLIP, open_clip_config.json: CLIP's, from memory",
    ),
    "pubmedclip": Pixels(
        _record(224, IMAGENET, interpolation="bilinear", **_EIGHTHS),
        "sarahESL/PubMedCLIP, data_transform and config/default.py: Resize(256), CenterCrop(224), ImageNet's",
    ),
    "biovil": Pixels(
        _record(
            480,
            ((0.0,) * 3, (1.0,) * 3),
            resize="shortest",
            resize_to=512,
            interpolation="bilinear",
            rescale="minmax-film",
            **_PIL,
        ),
        "hi-ml-multimodal 0.2.2: the film's own range to 0-255, Resize(512), CenterCrop(480), no mean and std",
    ),
    "biovil-t": Pixels(
        _record(
            448,
            ((0.0,) * 3, (1.0,) * 3),
            resize="shortest",
            resize_to=512,
            interpolation="bilinear",
            rescale="minmax-film",
            **_PIL,
        ),
        "hi-ml-multimodal 0.2.2: as BioViL with CenterCrop(448)",
    ),
    "gloria": Pixels(
        _record(224, HALF, resize_to=256, **_CV2),
        "marshuang80/gloria, gloria_model.py and builder.py: longest side to 256 by INTER_AREA, zero padding, "
        "CenterCrop(224), (x - 0.5) / 0.5; the network itself enlarges to 299",
    ),
    "convirt": Pixels(
        _record(224, IMAGENET, **_EIGHTHS),
        "no code or weights were released; 256, crop 224 and ImageNet's are from memory of re-implementations",
    ),
    "torchxrayvision": Pixels(
        _record(224, ((0.5,), (1 / 2048,)), resize="square", interpolation="skimage"),
        "torchxrayvision 1.5.7: (2 x - 1) 1024, XRayCenterCrop, XRayResizer(224) with scikit-image",
    ),
    "torchxrayvision-resnet": Pixels(
        _record(512, ((0.5,), (1 / 2048,)), resize="square", interpolation="skimage"),
        "torchxrayvision 1.5.7: as its DenseNets at 512",
    ),
    "medklip": Pixels(
        _record(224, IMAGENET, interpolation="bilinear", **_PIL),
        "MediaBrain-SJTU/MedKLIP, dataset.py, test: Resize([224, 224]), ImageNet's",
    ),
    "refers": Pixels(
        _record(224, IMAGENET, resize="shortest", interpolation="bilinear", **_PIL),
        "funnyzhou/REFERS, Fine-tune/NIH_ChestX-ray/utils/data_utils.py: Resize(224), CenterCrop(224), ImageNet's",
    ),
    "m3ae": Pixels(
        _record(224, CLIP, resize="shortest", **_PIL),
        "zhjohnchan/M3AE, m3ae/transforms/transform.py, clip_transform: Resize(bicubic), CenterCrop, CLIP's",
    ),
    "convnext": Pixels(
        _record(224, IMAGENET, **_EIGHTHS),
        "facebookresearch/ConvNeXt, datasets.py: bicubic 256, crop 224; from 384 on squeezed, nothing cut off",
        whole_from=384,
    ),
    "timm": Pixels(
        _record(224, IMAGENET, **_EIGHTHS),
        "timm's default configuration: bicubic, crop_pct 0.875, ImageNet's",
    ),
}


def record(name: str, *, size: int | None = None, channels: int = 3) -> Preprocessing:
    """The record of a public encoder.

    Args:
        name: of `PIXELS`.
        size: pixels a side, where the file has another size than the released one; the share that is cut off stays.
        channels: 1 or 3. A colour norm has no grey one: a network of one channel gets mean 0.5 and std 0.25, as MAE's
            of one channel; a grey norm is repeated or taken once.

    Raises:
        ConfigError: no such name.
        CheckpointError: another number of channels.
    """
    if channels not in (1, 3):
        raise CheckpointError(f"takes {channels} input channels", where=name, fix="Give an encoder of 1 or 3 channels")
    if name not in PIXELS:
        raise unknown_name(name, list(PIXELS), kind="preprocessing")
    known = PIXELS[name]
    found = known.record if size is None else known.record.at(size)
    if known.whole_from is not None and found.size >= known.whole_from:
        found = replace(found, resize_to=None, resize="squeeze" if name == "convnext" else "shortest")
    if found.channels == channels:
        return found
    mean, std = found.mean, found.std
    if len(set(mean)) == len(set(std)) == 1:
        return replace(found, channels=channels, mean=mean[:1] * channels, std=std[:1] * channels)
    return replace(found, channels=1, mean=(0.5,), std=(0.25,))


def as_markdown() -> str:
    """The table as Markdown: what each encoder sees, and where that is written."""
    rows = [
        "| encoder | size | channels | values | mean / std | brought to size | source |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, pixels in PIXELS.items():
        one = pixels.record
        seen = (values_in_words(one), colours_in_words(one), way_in_words(one))
        cells = (name, f"{one.size}", f"{one.channels}", *seen, pixels.source)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"
