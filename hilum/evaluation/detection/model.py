"""A trained detector: encoder, LW-DETR, and the record of what its boxes mean; a folder that loads again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hilum.checkpoint import CONFIG, WEIGHTS, load_checkpoint, read_config, save_checkpoint
from hilum.config import override, to_json
from hilum.errors import CheckpointError
from hilum.evaluation.detection.card import detector_card
from hilum.evaluation.detection.prior import Prior
from hilum.heads.detection import Detector, DetectorConfig
from hilum.models.backbone import Architecture, architecture_from_json, architecture_to_json, build_backbone
from hilum.models.fill import fill
from hilum.schema import Preprocessing

KIND = "detector"  # of config.json


@dataclass(frozen=True)
class DetectorRecord:
    """What a detector's boxes mean and where they come from; plain JSON values beside the weights."""

    findings: tuple[str, ...]
    head_config: dict[str, Any] = field(default_factory=dict)  # DetectorConfig
    most_found: int = 100  # boxes said of a film, best first over all findings
    readers: str = "fuse"  # what boxes of several readers became in training
    thresholds: dict[str, float] = field(default_factory=dict)  # finding -> score, by validation films
    threshold_notes: dict[str, str] = field(default_factory=dict)  # finding -> why it has none
    prior: Prior = field(default_factory=dict)  # the baseline, of the training films
    validation: dict[str, Any] = field(default_factory=dict)  # macro AP and AP50, films, the step they were reached at
    origin: dict[str, Any] = field(default_factory=dict)  # encoder, data, fraction, seed

    @property
    def headline(self) -> str:
        """What validation says, for the terminal."""
        return f"AP50 {self.validation['ap50']:.3f}"


@dataclass(frozen=True)
class TrainedDetector:
    """A detector that is ready to look at films."""

    model: Detector
    preprocessing: Preprocessing  # the encoder's, at the size that was trained
    record: DetectorRecord

    def save(self, folder: Path) -> Path:
        """Write model.safetensors, config.json and the model card; whole or not at all."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        config = describe(self.model.backbone.config, self.preprocessing, self.record)
        return save_checkpoint(folder, self.model.state_dict(), config, detector_card(self.record, self.preprocessing))


def describe(architecture: Architecture, preprocessing: Preprocessing, record: DetectorRecord) -> dict[str, Any]:
    """config.json of a detector."""
    return {
        "kind": KIND,
        "architecture": architecture_to_json(architecture),
        "preprocessing": preprocessing.to_json(),
        **to_json(record),
    }


def build_detector(architecture: Architecture, preprocessing: Preprocessing, record: DetectorRecord) -> Detector:
    """The network of a record, with random weights."""
    config = override(DetectorConfig(), record.head_config, where="detector")
    return Detector(build_backbone(architecture), len(record.findings), preprocessing.size, config)


def load_detector(source: str | Path) -> TrainedDetector:
    """Read a detector from a run of `hilum adapt detect`, or from its `model/` folder.

    Raises:
        CheckpointError: nothing there, not finished, damaged, or of another kind.
    """
    path = Path(source)
    folder = path / "model" if (path / "model" / CONFIG).is_file() else path
    if not (folder / WEIGHTS).is_file() or read_config(folder).get("kind") != KIND:
        raise CheckpointError("holds no detector", where=path, fix="Give a finished run of `hilum adapt detect`")
    weights, config = load_checkpoint(folder)
    record, preprocessing = _record(config), Preprocessing.from_json(config["preprocessing"])
    model = build_detector(
        architecture_from_json(config["architecture"], where=str(folder / CONFIG)), preprocessing, record
    )
    fill(model, weights, where=folder / WEIGHTS)
    return TrainedDetector(model.eval(), preprocessing, record)


def _record(config: Mapping[str, Any]) -> DetectorRecord:
    names = {one.name for one in fields(DetectorRecord)}
    values = {key: value for key, value in config.items() if key in names}
    return DetectorRecord(**{**values, "findings": tuple(values["findings"])})
