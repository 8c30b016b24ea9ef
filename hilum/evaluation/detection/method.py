"""What the training loop learns: a detector on known films, chosen by AP50 on the validation films.

The encoder learns with it, block by block more slowly the deeper it lies (layer-wise decay, as ViTDet and LW-DETR do),
or stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from hilum.encoder import Encoder
from hilum.errors import ConfigError
from hilum.evaluation.detection.found import find_boxes
from hilum.evaluation.detection.truth import BoxedFilms
from hilum.evaluation.detection.views import BOXES, BoxViews
from hilum.evaluation.features import Runner
from hilum.films import FilmStore
from hilum.heads.detection import Detector, DetectorConfig
from hilum.methods.method import Optimisation, Output, TruthViews
from hilum.metrics.detection.bootstrap import detection_points, macro_value
from hilum.models.backbone import build_backbone, retuned
from hilum.models.vit import ViTConfig
from hilum.models.vit_weights import less
from hilum.schema import IMAGE, Preprocessing
from hilum.transforms.image import OwnRange, normalise

BEST: Final = "val/ap50"  # the number that decides which weights are kept


@dataclass(frozen=True)
class Config:
    """Options of the training that are not the loop's."""

    frozen: bool = False  # the encoder stays as it is
    flip: float = 0.0  # probability of a mirrored film
    scale: tuple[float, float] = (0.8, 1.2)  # smallest and largest factor of a view
    drop_path: float = 0.1  # stochastic depth of the encoder's last block
    most_boxes: int = 1  # boxes on any training film

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        low, high = self.scale
        if not 0.1 <= low <= high <= 10:
            raise ConfigError(f"must be two factors from small to large, not {low},{high}", where="scale")
        if not 0 <= self.flip <= 1:
            raise ConfigError(f"must be in [0, 1], not {self.flip}", where="flip")
        if not 0 <= self.drop_path < 1:
            raise ConfigError(f"must be in [0, 1), not {self.drop_path}", where="drop_path", fix="0 switches it off")


class Detect(nn.Module):
    """The method: a detector, trained on boxes."""

    optimisation = Optimisation(no_decay=frozenset({"cls_token", "reg_token", "pos_embed"}))

    def __init__(self, detector: Detector, preprocessing: Preprocessing, config: Config) -> None:
        super().__init__()
        self.config, self.preprocessing, self.detector = config, preprocessing, detector
        if config.frozen:
            detector.backbone.requires_grad_(False)

    @property
    def backbone(self) -> nn.Module:
        """The encoder inside the detector."""
        return self.detector.backbone

    def views(self) -> TruthViews:
        """The transform that a training film and its boxes go through."""
        config = self.config
        views = BoxViews(self.preprocessing, config.most_boxes, flip=config.flip, scale=config.scale)
        return OwnRange(views) if self.preprocessing.rescale == "minmax-film" else views

    def forward(self, batch: Mapping[str, Any], progress: float) -> Output:
        """Loss of one micro-batch, per true box.

        Args:
            batch: `image` (B, 1, S, S) uint8 and `boxes` (B, M, 5), rows of NaN where there are fewer.
            progress: share of the run that is done; there is no schedule.
        """
        if self.config.frozen:
            self.detector.backbone.eval()
        images = normalise(batch[IMAGE], self.preprocessing)
        loss, parts = self.detector.loss(images, [_known(rows) for rows in batch[BOXES]])
        return Output(loss, {"loss": loss.detach(), **parts})

    def before_step(self, progress: float) -> None:
        """Nothing to do."""

    def after_step(self, progress: float) -> None:
        """Nothing to do."""


def detection_method(
    encoder: Encoder,
    preprocessing: Preprocessing,
    films: BoxedFilms,
    head: DetectorConfig,
    config: Config,
    *,
    seed: int,
) -> Detect:
    """The method with the encoder's weights in it, a fresh decoder, and first guesses of the training boxes' mean size.

    Args:
        encoder: pretrained or random; it is not changed.
        preprocessing: its record at the size that is trained.
        films: those of training.
        head: sizes of the decoder.
        config: views, drop-path.
        seed: of the decoder's start.
    """
    architecture = retuned(encoder.model.config, size=preprocessing.size, drop_path=config.drop_path)
    weights = encoder.model.state_dict()
    if isinstance(architecture, ViTConfig):
        architecture, weights = less(architecture, weights, "pool_norm", "mask_token")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        detector = Detector(build_backbone(architecture), len(films.findings), preprocessing.size, head)
    detector.backbone.load_state_dict(weights)
    detector.start_at(mean_sides(films))
    return Detect(detector, preprocessing, config)


def mean_sides(films: BoxedFilms) -> Tensor:
    """Geometric mean of width and height (2,) of all boxes, as shares of their films."""
    parts = [
        boxes[:, 2:4] / np.array([width, height])
        for boxes, (height, width) in zip(films.boxes, films.shapes, strict=True)
    ]
    return torch.from_numpy(np.exp(np.log(np.concatenate(parts)).mean(axis=0))).float()


def validation(films: BoxedFilms, runner: Runner, *, most: int) -> Callable[[nn.Module, int], Mapping[str, float]]:
    """An evaluator for the loop: macro AP and AP50 on the validation films, as `val/ap` and `val/ap50`."""
    store, truth = FilmStore(films.manifest, quiet=True), films.truth()

    def evaluate(method: nn.Module, step: int) -> Mapping[str, float]:
        assert isinstance(method, Detect)
        device: Any = next(method.parameters()).device.type
        here = replace(runner, device=device, quiet=True)  # a bar inside the training bar would garble both
        found = find_boxes(method.detector, films, store, method.preprocessing, here, most=most)
        points = detection_points(found, truth, films.findings)
        values = {f"val/{name}": macro_value(points[name]) for name in ("ap", "ap50")}
        return {name: value for name, value in values.items() if value is not None}

    return evaluate


def _known(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Categories (M,) and boxes (M, 4) of the rows (R, 5) that hold a box."""
    there = rows[~rows[:, 0].isnan()]
    return there[:, 4].long(), there[:, :4]
