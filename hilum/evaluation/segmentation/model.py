"""A trained segmenter: network, preprocessing, and the record of what its masks mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.checkpoint import CONFIG, WEIGHTS, load_checkpoint, read_config, save_checkpoint
from hilum.config import override, to_json
from hilum.errors import CheckpointError, ManifestError
from hilum.evaluation.features import Runner, run_films
from hilum.evaluation.segmentation.choose import HALF, Cut
from hilum.evaluation.segmentation.films import MaskedFilms
from hilum.evaluation.segmentation.views import Frame, Resize
from hilum.films import FilmStore
from hilum.heads.segmentation import Config, Segmenter
from hilum.losses.segmentation import Convention
from hilum.models.backbone import Architecture, architecture_from_json, architecture_to_json, build_backbone
from hilum.models.fill import fill
from hilum.schema import Preprocessing

KIND = "segmenter"


@dataclass(frozen=True)
class SegmenterRecord:
    """What a segmenter draws and where it comes from; plain JSON values beside the weights."""

    findings: tuple[str, ...]
    head: dict[str, Any] = field(default_factory=dict)  # fields of hilum.heads.segmentation.Config
    loss: Convention = "focal-dice"
    thresholds: dict[str, float] = field(default_factory=dict)  # finding -> from which probability a pixel is drawn
    areas: dict[str, float] = field(default_factory=dict)  # finding -> smallest share of a film that is drawn
    threshold_notes: dict[str, str] = field(default_factory=dict)
    chosen_by: str = "validation"  # or "given": 0.5 and no smallest area, as the papers' code
    validation: dict[str, Any] = field(default_factory=dict)  # name and value of what chose the weights; films
    origin: dict[str, Any] = field(default_factory=dict)  # encoder, data, fraction, seed

    @property
    def config(self) -> Config:
        """The head's sizes."""
        return override(Config(), self.head, where="head")

    @property
    def headline(self) -> str:
        """What validation says, in one line."""
        return f"{self.validation.get('name', 'value')} {self.validation.get('value', float('nan')):.3f}"

    def cut(self, finding: str) -> Cut:
        """How a finding's probabilities become a mask."""
        return Cut(self.thresholds.get(finding, HALF), self.areas.get(finding, 0.0))

    @property
    def chosen_on(self) -> str:
        """Where thresholds come from, in words."""
        if self.chosen_by == "given":
            return "0.5 and no smallest area, given before training"
        return f"{self.validation.get('films')} validation films"


@dataclass(frozen=True)
class TrainedSegmenter:
    """A segmenter that is ready to draw."""

    model: Segmenter
    preprocessing: Preprocessing
    record: SegmenterRecord

    @property
    def resize(self) -> Resize:
        """How films are brought to the square."""
        return "squeeze" if self.preprocessing.resize == "squeeze" else "pad"

    def probabilities(self, films: MaskedFilms, runner: Runner) -> Iterator[NDArray[np.float32]]:
        """Probabilities (K, H, W) of each film in order, on its own pixels.

        Raises:
            ManifestError: a film gets no finite probability.
        """
        model = self.model.to(runner.torch_device).eval()
        store = FilmStore(films.manifest)
        row = 0
        for batch in run_films(model.probabilities, store, self.preprocessing, runner, title="drawing masks"):
            for maps in batch:
                if not bool(maps.isfinite().all()):
                    fix = "Look at the film and the weights"
                    raise ManifestError(f"no finite probability for image {films.image_ids[row]!r}", fix=fix)
                height, width = films.size(row) or store.film(row).shape
                frame = Frame.of(height, width, self.preprocessing.size, self.resize)
                yield frame.lift(maps, height, width).numpy()
                row += 1

    def save(self, folder: Path) -> Path:
        """Write model.safetensors, config.json and the model card; whole or not at all."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        described = describe(self.model.backbone.config, self.preprocessing, self.record)
        return save_checkpoint(folder, self.model.state_dict(), described, card(self.record, self.preprocessing))


def describe(architecture: Architecture, preprocessing: Preprocessing, record: SegmenterRecord) -> dict[str, Any]:
    """config.json of a segmenter."""
    return {
        "kind": KIND,
        "architecture": architecture_to_json(architecture),
        "preprocessing": preprocessing.to_json(),
        **to_json(record),
    }


def load_segmenter(source: str | Path) -> TrainedSegmenter:
    """Read a segmenter from a run of `hilum adapt segment`, or from its `model/` folder.

    Raises:
        CheckpointError: nothing there, not finished, damaged, or of another kind.
    """
    path = Path(source)
    folder = path / "model" if (path / "model" / CONFIG).is_file() else path
    if not (folder / WEIGHTS).is_file():
        what = "holds no segmenter" if path.is_dir() else "no such folder"
        raise CheckpointError(what, where=path, fix="Give a finished run of `hilum adapt segment`")
    kind = read_config(folder).get("kind", "foreign")
    if kind != KIND:
        raise CheckpointError(f"is a {kind} checkpoint, not a segmenter", where=folder, fix="See `hilum adapt segment`")
    weights, config = load_checkpoint(folder)
    record = _record(config)
    architecture = architecture_from_json(config["architecture"], where=str(folder / CONFIG))
    model = Segmenter(build_backbone(architecture), len(record.findings), record.config)
    fill(model, weights, where=folder / WEIGHTS)
    return TrainedSegmenter(model.eval(), Preprocessing.from_json(config["preprocessing"]), record)


def card(record: SegmenterRecord, preprocessing: Preprocessing) -> str:
    """Markdown for README.md of the checkpoint folder."""
    rows = [
        f"| {name} | {record.cut(name).threshold:g} | {100 * record.cut(name).area:g} % of the film | "
        f"{record.threshold_notes.get(name, '')} |"
        for name in record.findings
    ]
    origin = [f"| {key} | {value} |" for key, value in record.origin.items() if not isinstance(value, dict | list)]
    return "\n".join(
        [
            "# Chest X-ray segmenter",
            "",
            f"Draws {', '.join(record.findings)} with a {record.config.form} head on an encoder, both trained; loss "
            f"{record.loss}.",
            f"Validation {record.headline}. It chose the weights, so it is too favourable; the numbers to quote are",
            "those of `hilum evaluate` on test patients.",
            "",
            f"Thresholds: {record.chosen_on}.",
            "",
            "| finding | threshold | smallest area | |",
            "|---|---|---|---|",
            *rows,
            "",
            "| | |",
            "|---|---|",
            *origin,
            "",
            f"**Preprocessing**: `{preprocessing.to_json()}`",
            "",
            "**Intended use.** Research on chest radiographs like those it was trained on. Not a medical device;",
            "not for diagnosis, not for measuring.",
            "",
            "**Licence of the weights.** They follow the terms of the films and of the encoder they were trained from.",
            "",
        ]
    )


def _record(config: Mapping[str, Any]) -> SegmenterRecord:
    names = {field.name for field in fields(SegmenterRecord)}
    values = {key: value for key, value in config.items() if key in names}
    return SegmenterRecord(**{**values, "findings": tuple(values["findings"])})
