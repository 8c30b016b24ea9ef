"""What the loop trains: a whole segmenter, on masks that move with their films; and what judges it in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from hilum.encoder import Encoder
from hilum.evaluation.features import Runner, run_films
from hilum.evaluation.segmentation.choose import HALF, Sweep, best_pooled, best_positive, count_film, joined
from hilum.evaluation.segmentation.films import MaskedFilms
from hilum.evaluation.segmentation.model import TrainedSegmenter
from hilum.evaluation.segmentation.views import TRUTH, Frame, MaskViews, square_masks
from hilum.films import FilmStore
from hilum.heads.segmentation import Config, Segmenter, start_decoder
from hilum.losses.segmentation import Convention, mask_loss, mask_probabilities
from hilum.manifest.masks import resize_nearest
from hilum.methods.method import Optimisation, Output, TruthViews
from hilum.metrics.segmentation import dice_all
from hilum.models.backbone import Backbone, ConvolutionalConfig, build_backbone, check_tiling, retuned
from hilum.models.vit_weights import Part, at_grid, learnable_positions, less
from hilum.schema import IMAGE, Preprocessing
from hilum.transforms.image import OwnRange, normalise

AUXILIARY: Final = 0.4  # weight of the auxiliary head's loss (mmsegmentation; MRM's 0.8 and 0.4 beside 2.0 and 1.0)
LOSS, POOLED, POSITIVE, ALL = "val/loss", "val/dice_pooled", "val/dice_positive", "val/dice_all"


@dataclass(frozen=True)
class Settings:
    """Options of training that are not the loop's; `config` of the method."""

    loss: Convention = "focal-dice"
    views: MaskViews = MaskViews(512)  # noqa: RUF009  frozen


class Segment(nn.Module):
    """The method."""

    optimisation = Optimisation(no_decay=frozenset({"cls_token", "reg_token", "pos_embed"}))

    def __init__(self, segmenter: Segmenter, preprocessing: Preprocessing, config: Settings) -> None:
        super().__init__()
        self.config = config
        self.preprocessing = preprocessing
        self.segmenter = segmenter

    @property
    def backbone(self) -> nn.Module:
        """The encoder inside."""
        return self.segmenter.backbone

    def views(self) -> TruthViews:
        """The transform a training film goes through, with its masks."""
        views = self.config.views
        return OwnRange(views) if self.preprocessing.rescale == "minmax-film" else views

    def forward(self, batch: Mapping[str, Any], progress: float) -> Output:
        """Loss of one micro-batch.

        Args:
            batch: `image` (B, 1, S, S) uint8, `truth` (B, K, S, S) uint8 of 0, 1 and 255 for unknown.
            progress: share of the run that is done; there is no schedule.
        """
        maps, auxiliary = self.segmenter.both(normalise(batch[IMAGE], self.preprocessing))
        loss = mask_loss(maps, batch[TRUTH], self.config.loss)
        if auxiliary is not None:
            loss = loss + AUXILIARY * mask_loss(auxiliary, batch[TRUTH], self.config.loss)
        return Output(loss, {"loss": loss.detach()})

    def before_step(self, progress: float) -> None:
        """Nothing to do."""

    def after_step(self, progress: float) -> None:
        """Nothing to do."""


def segment_method(
    encoder: Encoder,
    findings: int,
    head: Config,
    settings: Settings,
    *,
    preprocessing: Preprocessing,
    drop_path: float,
    layer_scale: float | None,
    decoder: dict[str, Tensor] | None,
    seed: int,
) -> Segment:
    """The method with the encoder's weights in it and a fresh head.

    Args:
        encoder: pretrained or random; it is not changed.
        findings: how many.
        head: its sizes.
        settings: loss and views.
        preprocessing: the encoder's, at the size and with the framing of the masks.
        drop_path: stochastic depth of the last block.
        layer_scale: start of a LayerScale that the encoder does not have; None: none is added.
        decoder: MedIM's pretrained decoder; None: fresh.
        seed: of the head's start.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = _adapted(encoder, preprocessing.size, head, drop_path, layer_scale)
        segmenter = Segmenter(backbone, findings, head)
    if decoder is not None:
        start_decoder(segmenter, decoder, where="the decoder")
    return Segment(segmenter, preprocessing, settings)


def _adapted(encoder: Encoder, size: int, head: Config, drop_path: float, layer_scale: float | None) -> Backbone:
    """The encoder at the masks' size: positions resized once and learned from then on, no final norm for UPerNet."""
    sizes, weights = encoder.model.config, dict(encoder.model.state_dict())
    check_tiling(sizes, size)
    if isinstance(sizes, ConvolutionalConfig):
        backbone = build_backbone(retuned(sizes, size=size, drop_path=drop_path))
        backbone.load_state_dict(weights)
        return backbone
    has_norm = sizes.final_norm and head.form == "medim"
    added = layer_scale is not None and sizes.layer_scale is None
    unread: tuple[Part, ...] = ("pool_norm", "mask_token") if has_norm else ("final_norm", "pool_norm", "mask_token")
    bare, weights = less(sizes, weights, *unread)
    architecture = replace(
        learnable_positions(bare),
        image_size=size,
        drop_path=drop_path,
        layer_scale=layer_scale if added else sizes.layer_scale,
    )
    vit = build_backbone(architecture)
    weights = at_grid(weights, sizes, architecture)
    fresh = {name: value for name, value in vit.state_dict().items() if added and ".ls" in name}
    vit.load_state_dict({**fresh, **weights})
    return vit


def validation(films: MaskedFilms, runner: Runner) -> Callable[[nn.Module, int], Mapping[str, float]]:
    """An evaluator for the loop: loss, and Dice in three conventions, means over findings.

    Pooled Dice and that of films with the finding are at the best threshold of each, and absent where no film has any
    finding; Dice of all films is at 0.5.
    """

    def evaluate(method: nn.Module, step: int) -> Mapping[str, float]:
        assert isinstance(method, Segment)
        device: Any = next(method.parameters()).device.type
        here = replace(runner, device=device, quiet=True)  # a bar inside the training bar would garble both
        loss, sweep = run_validation(method, films, here)
        count = len(films.findings)
        numbers = {LOSS: loss, ALL: float(np.mean([dice_all(sweep.at(k, HALF)).mean() for k in range(count)]))}
        for name, score in ((POOLED, best_pooled), (POSITIVE, best_positive)):
            found = [best[0] for k in range(count) if (best := score(sweep, k)) is not None]
            if found:
                numbers[name] = float(np.mean(found))
        return numbers

    return evaluate


def run_validation(method: Segment, films: MaskedFilms, runner: Runner) -> tuple[float, Sweep]:
    """Mean loss of the batches (what MedIM's code chooses by), and the pixels drawn at every threshold."""
    store = FilmStore(films.manifest, quiet=True)
    size, resize = method.preprocessing.size, method.config.views.resize
    losses, rows, row = [], [], 0
    for maps in run_films(method.segmenter, store, method.preprocessing, runner, title="validation"):
        square = []
        for probability in mask_probabilities(maps):
            height, width = films.size(row) or store.film(row).shape
            truth = films.masks(row)
            square.append(square_masks(truth, height, width, size, resize))
            lifted = Frame.of(height, width, size, resize).lift(probability, height, width)
            rows.append(count_film(lifted.numpy(), resize_nearest(truth, (height, width))))
            row += 1
        losses.append(float(mask_loss(maps, torch.from_numpy(np.stack(square)), method.config.loss)))
    return float(np.mean(losses)), joined(rows)


def sweep_films(trained: TrainedSegmenter, films: MaskedFilms, runner: Runner) -> Sweep:
    """The pixels a trained segmenter draws at every threshold."""
    rows = []
    for row, probability in enumerate(trained.probabilities(films, runner)):
        size = (probability.shape[1], probability.shape[2])
        rows.append(count_film(probability, resize_nearest(films.masks(row), size)))
    return joined(rows)
