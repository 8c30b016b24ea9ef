"""The shared words: manifest columns, label states, finding names, batch keys, the preprocessing record.

Nothing here reads a file or imports a heavy package; every other module speaks these names.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

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
    """How a film in [0, 1] becomes the tensor an encoder was trained on; travels with the weights."""

    size: int = 224  # pixels a side of the square input
    channels: int = 3  # grey is repeated this many times
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)  # per channel, on the [0, 1] scale (ImageNet, as MAE)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    resize: Literal["squeeze", "shortest", "pad"] = (
        "squeeze"  # both sides to size; shortest side, then centre crop; letterbox
    )
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    antialias: bool = True
    rescale: Literal["none", "minmax"] = "none"  # each film, once cropped, to its own [0, 1]; a constant one to 0
    voi: Literal["first"] = "first"  # DICOM: the first window or VOI LUT of the file

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


def label_column(finding: str) -> str:
    """The manifest column of a finding: `label.<Finding>`."""
    return LABEL_PREFIX + finding
