"""What is exported: an encoder by its name, or the encoder inside an adapted run; heads stay where they are.

A head is of use only with its thresholds, calibration and findings, which no foreign format holds: an adapted run gives
its encoder alone, as its training left it (fine-tuned or not), and the command says so.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from hilum.checkpoint import CONFIG, load_checkpoint, read_config
from hilum.encoder import Encoder, load
from hilum.evaluation.tasks import TASKS
from hilum.models.backbone import architecture_from_json, build_backbone
from hilum.models.fill import fill
from hilum.models.vit import ViTConfig
from hilum.schema import Preprocessing

BACKBONE: Final = "backbone."  # prefix of the encoder's weights in every adapted model
FC_NORM: Final = "fc_norm."  # a classifier's norm of the mean


def encoder_of(source: str | Path) -> tuple[Encoder, tuple[str, ...]]:
    """The encoder of a run, folder, released file or Hub name, and what is said of it.

    Args:
        source: what `hilum.load` takes, or an adapted run.

    Raises:
        CheckpointError: nothing there, damaged, or of no known layout.
    """
    adapted = {task.kind for task in TASKS.values()}
    for place in (Path(source), Path(source) / "model"):
        if (place / CONFIG).is_file() and (kind := str(read_config(place).get("kind"))) in adapted:
            return _inside(place, kind)
    return load(source), ()


def _inside(place: Path, kind: str) -> tuple[Encoder, tuple[str, ...]]:
    """The encoder of an adapted model."""
    weights, config = load_checkpoint(place)
    architecture = architecture_from_json(config["architecture"], where=str(place / CONFIG))
    kept = {key.removeprefix(BACKBONE): value for key, value in weights.items() if key.startswith(BACKBONE)}
    of_mean = {key: value for key, value in weights.items() if key.startswith(FC_NORM)}
    if of_mean and isinstance(architecture, ViTConfig):
        architecture, kept = replace(architecture, pool_norm=True), kept | of_mean
    model = build_backbone(architecture)
    fill(model, kept, where=place)
    origin = {"adapted": kind, **config.get("origin", {})}
    said = f"of the {kind} in {place} the encoder alone is exported, without its head"
    pixels = Preprocessing.from_json(config["preprocessing"])
    return Encoder(model, pixels, origin, pool=config.get("pool", "cls")), (said,)
