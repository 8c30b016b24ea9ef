"""A preprocessing record in words, for pages, cards and the shell."""

from __future__ import annotations

from hilum.schema import Preprocessing


def in_words(one: Preprocessing) -> str:
    """The whole record: "1 x 224 px, centre square to 224, skimage, values -1024 to 1024 (mean 0.5, std 0.0004883)"."""
    mean, std = colours_in_words(one).split(" / ")
    seen = f"values {values_in_words(one)} (mean {mean}; std {std})"
    return f"{one.channels} x {one.size} px, {way_in_words(one)}, {seen}"


def values_in_words(one: Preprocessing) -> str:
    """The range that the network sees, and whose range it is."""
    colours = list(zip(one.mean, one.std, strict=True))
    low, high = min(-mean / std for mean, std in colours), max((1 - mean) / std for mean, std in colours)
    whose = {"none": "", "minmax": ", of the crop's own range", "minmax-film": ", of the film's own range"}[one.rescale]
    return f"{low:.4g} to {high:.4g}{whose}"


def colours_in_words(one: Preprocessing) -> str:
    """Mean and deviation, once where all channels share them."""
    mean, std = (", ".join(f"{value:.4g}" for value in dict.fromkeys(values)) for values in (one.mean, one.std))
    return f"{mean} / {std}"


def way_in_words(one: Preprocessing) -> str:
    """The steps in words."""
    side = one.resize_to or one.size
    first = {
        "squeeze": f"squeezed to {side}",
        "shortest": f"shorter side to {side}",
        "pad": f"letterboxed to {side}",
        "square": f"centre square to {side}",
    }[one.resize]
    grey = " in 8 bits" if one.eight_bit else ""
    cut = ", centre crop" if one.resize == "shortest" or one.seen < 1 else ""
    last = f", then bicubic to {one.size}, not antialiased" if one.reduce == "resize" else cut
    return f"{first}, {one.interpolation}{grey}{last}"
