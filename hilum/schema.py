"""The shared words: manifest columns, label states, finding names, batch keys, the preprocessing record.

Nothing here reads a file or imports a heavy package; every other module speaks these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from hilum.errors import ConfigError

# --- manifest: one row an image -------------------------------------------------------------------------------------

REQUIRED_COLUMNS: Final = ("image", "image_id", "study_id", "patient_id", "view_position", "split")
STORED_COLUMNS: Final = ("width", "height", "spacing_mm", "sha256", "source")
OPTIONAL_COLUMNS: Final = ("age", "sex", "site", "device", "report", "findings", "impression")
LABEL_PREFIX: Final = "label."  # label.<Finding>: 1, 0, -1 or blank
TIME_PREFIX: Final = "time."  # time.<Endpoint>: days from the film
EVENT_PREFIX: Final = "event."  # event.<Endpoint>: 0 censored, 1 event, 2 competing cause

VIEWS: Final = ("PA", "AP", "LATERAL", "OTHER")
FRONTAL_VIEWS: Final = ("PA", "AP")
SPLITS: Final = ("train", "val", "test")
Split = Literal["train", "val", "test"]

PRESENT: Final = 1.0
ABSENT: Final = 0.0
UNCERTAIN: Final = -1.0  # the reader hedged; a blank cell (NaN in memory) means nobody said

# The finding names that public chest sets share, one spelling each. A manifest may add its own.
FINDINGS: Final = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "EnlargedCardiomediastinum",
    "Fibrosis",
    "Fracture",
    "Hernia",
    "Infiltration",
    "LungLesion",
    "LungOpacity",
    "Mass",
    "NoFinding",
    "Nodule",
    "PleuralThickening",
    "Pneumonia",
    "Pneumothorax",
    "SupportDevice",
    "Tuberculosis",
)

# What may happen to a person after the film. A manifest may add its own.
ENDPOINTS: Final = {
    "Death": "death of any cause; nothing competes with it, so its event is never 2",
    "CardiovascularDeath": "death with a cardiovascular underlying cause; death of any other cause competes (2)",
}
ALL_CAUSE: Final = ("Death",)  # endpoints without a competing cause

# --- batch keys ----------------------------------------------------------------------------------------------------

IMAGE: Final = "image"  # (B, C, H, W) float32, normalised as the preprocessing record says
IMAGE_ID: Final = "image_id"  # list of B strings
LABELS: Final = "labels"  # (B, K) float32: 1, 0, or NaN where nothing may be learned
MASK_NOISE: Final = "mask_noise"  # (B, L) float32 in [0, 1): the draw that decides which patches are hidden
TOKENS: Final = "tokens"  # (B, T) int64 word-piece numbers of the report
TOKEN_MASK: Final = "token_mask"  # (B, T) int64: 1, or 0 at padding
MASKED: Final = "masked"  # (B, T) bool: word pieces hidden from the model
HAS_REPORT: Final = "has_report"  # (B,) bool
REPORT_GROUP: Final = "report_group"  # (B,) int64: equal numbers share a study or a report, so are no negatives


# --- the preprocessing record ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Preprocessing:
    """How a film in [0, 1] becomes the tensor an encoder was trained on; travels with the weights.

    In this order: stretched to its own range (`rescale="minmax-film"`), rounded to 8 bits (`eight_bit`), brought to a
    square of `resize_to` pixels, or of `size` where that is None (`resize`), from there to `size` (`reduce`), stretched
    again (`rescale="minmax"`), repeated over the channels, normalised. Mean and std express every linear range of
    values: 0.5 and 1 / 2048 give [-1024, 1024].

    Raises:
        ConfigError: a value out of range, or two that contradict each other.
    """

    size: int = 224  # pixels a side of the square input
    channels: int = 3  # grey is repeated this many times
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)  # per channel, on the [0, 1] scale (ImageNet, as MAE)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    # both sides; the shorter side, then a centre crop; the longer side, letterboxed; a centre crop, then squeezed
    resize: Literal["squeeze", "shortest", "pad", "square"] = "squeeze"
    # Pillow's kernels; OpenCV's INTER_AREA; scikit-image's Gaussian blur and straight lines
    interpolation: Literal["bicubic", "bilinear", "lanczos", "nearest", "area", "skimage"] = "bicubic"
    antialias: bool = True  # False: torch's bicubic or bilinear, whose reach does not grow as a film shrinks
    rescale: Literal["none", "minmax", "minmax-film"] = "none"  # to its own [0, 1]: once cropped; first of all
    voi: Literal["first"] = "first"  # DICOM: the first window or VOI LUT of the file
    resize_to: int | None = None  # pixels a side that `resize` reaches; None: size
    reduce: Literal["crop", "resize"] = "crop"  # resize_to to size: centre crop; bicubic of torch, not antialiased
    eight_bit: bool = False  # round the film to 256 levels and resize in them, as pipelines on 8-bit pictures do
    sides: Literal["nearest", "floor", "floor-both"] = "nearest"  # "pad": rounding of the shorter side, or of both
    margin: Literal["floor", "even"] = "floor"  # half of a crop's odd margin (torchvision: even)
    fill: Literal["black", "mean"] = "black"  # "pad": the rim

    def __post_init__(self) -> None:
        """Refuse what no film can go through."""
        for name, known in _RULES.items():
            if getattr(self, name) not in known:
                raise _refused(f"{name} is {getattr(self, name)!r}", f"It must be one of {', '.join(known)}")
        if self.size < 1 or self.channels < 1:
            raise _refused(f"{self.channels} channels of {self.size} pixels a side", "Both must be 1 or more")
        if not len(self.mean) == len(self.std) == self.channels or min(self.std) <= 0:
            raise _refused(
                f"{self.channels} channels with mean {self.mean} and std {self.std}",
                "Give as many means and positive stds as channels",
            )
        if self.resize_to is not None and self.reduce == "crop" and self.resize_to < self.size:
            raise _refused(f"no crop of {self.size} pixels from {self.resize_to}", "Give a resize_to of size or more")
        for broken, what, fix in self._contradictions():
            if broken:
                raise _refused(what, fix)

    def _contradictions(self) -> tuple[tuple[bool, str, str], ...]:
        """Pairs of fields that cannot both hold: (they do, what, fix)."""
        torchs, padded = self.interpolation in ("bicubic", "bilinear"), self.resize == "pad"
        return (
            (self.reduce == "resize" and self.resize_to is None, "reduce='resize' without resize_to", "Give resize_to"),
            (not self.antialias and not torchs, f"antialias=False with {self.interpolation}", "Use bicubic"),
            (not self.antialias and self.eight_bit, "antialias=False in 8 bits", "Pillow always antialiases"),
            (self.interpolation == "skimage" and self.eight_bit, "scikit-image in 8 bits", "It resizes real numbers"),
            (not padded and self.sides != "nearest", f"sides={self.sides!r} without a letterbox", "Use resize='pad'"),
            (not padded and self.fill != "black", f"fill={self.fill!r} without a letterbox", "Use resize='pad'"),
            (
                self.fill == "mean" and (self.reduce == "resize" or self.rescale == "minmax"),
                "fill='mean' with a second resize or minmax",
                "The rim must stay as it is",
            ),
        )

    @property
    def seen(self) -> float:
        """Side of the centre crop as a share of the square that it is cut from."""
        return self.size / self.resize_to if self.resize_to is not None and self.reduce == "crop" else 1.0

    def at(self, size: int) -> Preprocessing:
        """The same rule at another size: what is cut off keeps its share of the film."""
        reached = None if self.resize_to is None else int(self.resize_to * size / self.size)
        return replace(self, size=size, resize_to=reached)

    def whole(self, size: int, resize: Literal["squeeze", "pad"]) -> Preprocessing:
        """The same grey values with nothing cut off: for whatever needs an answer for every pixel of the film."""
        plain: dict[str, Any] = {"resize_to": None, "reduce": "crop", "sides": "nearest", "fill": "black"}
        return replace(self, size=size, resize=resize, **plain)

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Preprocessing:
        """Read a record; unknown fields are an error of the caller's file, not ignored."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"unknown preprocessing fields: {sorted(unknown)}")
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**plain)


# field -> the words it may hold, as annotated
_RULES: Final[Mapping[str, tuple[str, ...]]] = {
    name: get_args(hint) for name, hint in get_type_hints(Preprocessing).items() if get_origin(hint) is Literal
}


def _refused(what: str, fix: str) -> ConfigError:
    return ConfigError(what, where="preprocessing", fix=fix)


def label_column(finding: str) -> str:
    """The manifest column of a finding: `label.<Finding>`."""
    return LABEL_PREFIX + finding
