"""What one data set of a table must hold: files as released, what Hilum reads of it, its split and its defects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Holds = Literal["labels", "boxes", "phrases", "masks", "reports", "follow-up"]

BESIDE: Final = {  # what lies beside the manifest in a prepared folder: file or folder -> what it is
    "boxes": ("boxes.json", "boxes in COCO form, keyed by image_id"),
    "phrases": ("boxes.json", "boxes in COCO form, each annotation with the sentence it shows (phrase)"),
    "masks": ("masks", "one PNG an image and finding, <image_id>.<Finding>.png; or masks.csv, run lengths as SIIM's"),
}
MASK_TABLE: Final = "masks.csv"  # in place of the folder


@dataclass(frozen=True)
class File:
    """A file or folder of a release."""

    path: str
    what: str


@dataclass(frozen=True)
class DataSet:
    """A data set as one paper cuts it.

    A prepared folder `ROOT/<name>` has a manifest with the columns below; the release's files are what it is made from.
    """

    name: str  # folder under the data root
    title: str
    release: tuple[File, ...]  # as its owners name them
    split: str  # who cut it, how
    findings: tuple[str, ...] = ()  # label.<Finding> columns, or categories of boxes
    endpoints: tuple[str, ...] = ()  # time.<Endpoint> and event.<Endpoint> columns
    holds: tuple[Holds, ...] = ("labels",)
    counts: tuple[int | None, int | None, int | None] = (None, None, None)  # published images: train, val, test
    defects: tuple[str, ...] = ()  # known faults of the split or the labels
    private: bool = False  # nobody outside can have it

    def columns(self) -> dict[str, str]:
        """Columns the manifest must have -> what they hold."""
        wanted = {"image": "path of the film", "patient_id": "whose film it is", "split": "train, val or test"}
        if "labels" in self.holds:
            wanted |= {f"label.{name}": "1, 0, -1 (uncertain) or blank" for name in self.findings}
        if "reports" in self.holds:
            wanted["report"] = "the text of the study"
        for name in self.endpoints:
            wanted |= {f"time.{name}": "days from the film", f"event.{name}": "0 censored, 1 event, 2 competing cause"}
        return wanted

    def beside(self) -> dict[str, str]:
        """Files and folders beside the manifest -> what they are."""
        return dict(BESIDE[kind] for kind in self.holds if kind in BESIDE)
