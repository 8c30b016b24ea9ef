"""The preprocessing record in the words of transformers' image processors, where they have words for it."""

from __future__ import annotations

from typing import Any, Final

from hilum.schema import Preprocessing

PROCESSOR: Final = "preprocessor_config.json"
PIL: Final = 'backend="pil"'  # of the two that transformers 5 has, the one that resizes with Pillow
RESAMPLES: Final = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}  # Pillow's numbers
_HELD: Final[dict[str, tuple[Any, ...]]] = {  # field -> values an image processor can say; the others it can all say
    "resize": ("squeeze", "shortest"),
    "interpolation": tuple(RESAMPLES),
    "antialias": (True,),
    "rescale": ("none",),
    "channels": (3,),
    "sides": ("nearest",),
    "fill": ("black",),
}


def processor(record: Preprocessing) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """`preprocessor_config.json`, and what it cannot say.

    Returns:
        The file's content, or None where a step has no words there: no processor is better than one that is silently
        another; and one sentence for each step it lacks or does otherwise.
    """
    lacking = [
        f"{name} = {getattr(record, name)!r}" for name, known in _HELD.items() if getattr(record, name) not in known
    ]
    if record.reduce == "resize" and record.resize_to is not None:
        lacking.append("reduce = 'resize'")
    if lacking:
        return None, (
            f"no preprocessor_config.json: transformers' image processors cannot say {', '.join(lacking)} of the "
            "preprocessing record; prepare films with hilum's Encoder.transform",
        )
    reached = record.size if record.resize_to is None else record.resize_to
    plain = record.resize == "squeeze" and reached == record.size
    config: dict[str, Any] = {
        "image_processor_type": "ViTImageProcessor" if plain else "BitImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": reached, "width": reached} if record.resize == "squeeze" else {"shortest_edge": reached},
        "resample": RESAMPLES[record.interpolation],
        "do_center_crop": not plain,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(record.mean),
        "image_std": list(record.std),
    }
    if not plain:
        config["crop_size"] = {"height": record.size, "width": record.size}
    notes = [
        f"{PIL} makes the encoder's pixels; torchvision's (the default where it is installed) differ by a grey level"
    ]
    if not record.eight_bit:
        level = 1 / 255 / min(record.std)
        notes = [
            "the image processor resizes in 8 bits, the encoder in floating point: pixels of a film that is resized "
            f"differ by a third of a grey level on average ({level / 3:.4f} once normalised), by several at hard edges"
        ]
    if not plain and record.margin != "floor":
        notes.append("where a crop leaves an odd margin, the processor's crop lies one pixel beside the encoder's")
    return config, tuple(notes)
