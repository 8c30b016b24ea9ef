"""DINOv2: a student learns to see in crops and behind masks what its own moving average sees in whole films.

Papers: DINO https://arxiv.org/abs/2104.14294; iBOT https://arxiv.org/abs/2111.07832; DINOv2
    https://arxiv.org/abs/2304.07193; on chest films CheXFound https://arxiv.org/abs/2502.05142, section III-A.
Official code: https://github.com/RPIDIAL/CheXFound at a4bac49, a fork of DINOv2 (facts checked, nothing copied).

One step: the teacher sees two global crops whole; the student sees them with patches hidden, and eight small local
crops. The class token's prototypes of every student crop must match the teacher's of every other global crop (DINO),
the prototypes of hidden patches the teacher's of the same patches (iBOT), and class tokens of different films must keep
apart (KoLeo). Crops of one length are one dense pass; nothing is padded.

Departures: the ratio of hidden patches is drawn over the global batch and the masks per film, so that a step does not
depend on the devices (`masks_over="device"` restores theirs); the teacher has no stochastic depth at any time; masked
patches are taken out of the batch instead of being padded to an upper bound; the warm-up of the learning rate ends one
step later. No value of a loss changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from hilum.losses.dino import Center, dino_loss
from hilum.losses.ibot import ibot_loss, patch_weights
from hilum.losses.koleo import koleo_loss
from hilum.losses.sinkhorn import sinkhorn
from hilum.methods.dinov2.collapse import CollapseWatch, measures
from hilum.methods.dinov2.config import Config, HeadConfig
from hilum.methods.dinov2.start import start_from_encoder, start_from_file, start_from_stage
from hilum.methods.method import Optimisation, Output
from hilum.models.blocks import Block
from hilum.models.ema import follow
from hilum.models.prototypes import PrototypeHead
from hilum.models.vit import VisionTransformer
from hilum.schema import Preprocessing
from hilum.transforms.crops import CROP_MASKS, GLOBAL_CROPS, LOCAL_CROPS, CropViews
from hilum.transforms.image import normalise


class Network(nn.Module):
    """An encoder and its heads: the student, and the teacher that follows it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.backbone = VisionTransformer(config.backbone)
        self.dino_head = _head(self.backbone.config.width, config.dino_head)
        self.ibot_head = None if config.shared_head else _head(self.backbone.config.width, config.ibot_head)

    def hidden_patches(self, tokens: Tensor, masks: Tensor) -> Tensor:
        """Prototype scores of masked patches: tokens (B, 1 + R + P, D), masks (B, P) -> (M, K), row by row."""
        head = self.dino_head if self.ibot_head is None else self.ibot_head
        scores: Tensor = head(tokens[:, self.backbone.num_prefix_tokens :][masks])
        return scores


@dataclass(frozen=True)
class Targets:
    """What the teacher says of a batch."""

    classes: Tensor  # (2B, K) assignments of the class token, rows sum to 1: all first crops, then all second ones
    patches: Tensor  # (M, K') assignments of the hidden patches
    tokens: Tensor  # (2B, 1 + R + P, D)


def _head(width: int, config: HeadConfig) -> PrototypeHead:
    return PrototypeHead(
        width, config.prototypes, hidden=config.hidden, bottleneck=config.bottleneck, layers=config.layers
    )


class DINOv2(nn.Module):
    """The method: the teacher's encoder survives."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.student = Network(config)
        self.student.backbone.gradient_checkpointing = config.gradient_checkpointing
        self.teacher = _teacher_of(self.student)
        self.dino_center = Center(config.dino_head.prototypes, momentum=config.center_momentum)
        patches = config.dino_head if config.shared_head else config.ibot_head
        self.ibot_center = Center(patches.prototypes, momentum=config.center_momentum)
        self.preprocessing = Preprocessing(
            size=config.image_size, channels=config.channels, mean=config.mean, std=config.std
        )
        self.optimisation = Optimisation(
            lr_scales={"patch_embed": config.patch_lr}, frozen_until={"last_layer": config.freeze_last_layer}
        )
        self._watch = CollapseWatch()

    @property
    def backbone(self) -> VisionTransformer:
        """The teacher's encoder: what survives pretraining."""
        return self.teacher.backbone

    @property
    def encoder(self) -> VisionTransformer:
        """The same as it is exported: without mask token and stochastic depth."""
        config = replace(
            self.backbone.config, mask_token=False, drop_path=0.0, drop_path_uniform=False, drop_path_skip=False
        )
        exported = VisionTransformer(config)
        exported.load_state_dict({k: v for k, v in self.backbone.state_dict().items() if k != "mask_token"})
        return exported

    def views(self) -> CropViews:
        """Two global crops with masks, and the local crops, of a film."""
        config = self.config
        return CropViews(
            config.crops,
            patch_size=config.backbone.patch_size,
            mask_probability=config.mask_probability,
            mask_ratio=config.mask_ratio,
            draws_over=config.masks_over,
        )

    def forward(self, batch: Mapping[str, Any], progress: float) -> Output:
        """Loss of one micro-batch.

        Args:
            batch: `global_crops` (B, 2, 1, S, S) and `local_crops` (B, L, 1, s, s), uint8, or floating with all
                channels and normalised; `crop_masks` (B, 2, P) bool.
            progress: share of the run that is done; sets the teacher's temperature.
        """
        whole, parts = (normalise(_by_crop(batch[key]), self.preprocessing) for key in (GLOBAL_CROPS, LOCAL_CROPS))
        masks, films = _by_crop(batch[CROP_MASKS]), len(batch[CROP_MASKS])
        targets = self._targets(whole, masks, progress)

        tokens = self.student.backbone.forward_features(whole, masks)
        local_tokens = self.student.backbone.forward_features(parts)
        scores: Tensor = self.student.dino_head(torch.cat([tokens[:, 0], local_tokens[:, 0]]))
        hidden = self.student.hidden_patches(tokens, masks)

        config = self.config
        temperature = config.student_temperature
        losses = self._class_losses(torch.split(scores, films), torch.split(targets.classes, films))
        weights = patch_weights(masks)
        losses["ibot"] = ibot_loss(hidden, targets.patches, weights, images=len(masks), temperature=temperature)
        loss = config.dino_weight * (losses["dino_local"] + losses["dino_global"]) + config.ibot_weight * losses["ibot"]
        if config.koleo_weight > 0:
            first, second = (
                koleo_loss(crop[:, 0], gathered=config.koleo_gathered) for crop in torch.split(tokens, films)
            )
            losses["koleo"] = first + second
            loss = loss + config.koleo_weight * losses["koleo"]
        watched = measures(targets.classes, scores[: 2 * films], targets.tokens[:films, 0], temperature=temperature)
        return Output(loss, {**{name: value.detach() for name, value in losses.items()}, **watched})

    def _class_losses(self, scores: Sequence[Tensor], targets: Sequence[Tensor]) -> dict[str, Tensor]:
        """DINO's cross-entropies of local and of global crops, sums over pairs divided by the number of all pairs.

        Args:
            scores: (B, K) prototype scores of the student, a crop each: two global ones, then the local ones.
            targets: (B, K) assignments of the teacher's two global crops.
        """
        temperature, terms = self.config.student_temperature, 2 + 2 * (len(scores) - 2)
        across = [  # each global crop has the other one's assignment as its target
            dino_loss([student], [teacher], temperature=temperature)
            for student, teacher in zip(scores[:2], reversed(targets), strict=True)
        ]
        return {
            "dino_local": dino_loss(scores[2:], targets, temperature=temperature) / terms,
            "dino_global": (across[0] + across[1]) / terms,
        }

    @torch.no_grad()
    def _targets(self, whole: Tensor, masks: Tensor, progress: float) -> Targets:
        """What the teacher says of the global crops (2B, C, S, S), seen whole."""
        tokens = self.teacher.backbone.forward_features(whole)
        classes: Tensor = self.teacher.dino_head(tokens[:, 0])
        patches = self.teacher.hidden_patches(tokens, masks)
        temperature = self.teacher_temperature(progress)
        if self.config.centering == "sinkhorn":
            classes, patches = (sinkhorn(part, epsilon=temperature, gathered=True) for part in (classes, patches))
            return Targets(classes, patches, tokens)
        found = Targets(
            self.dino_center.targets(classes, temperature), self.ibot_center.targets(patches, temperature), tokens
        )
        self.dino_center.update(classes)
        self.ibot_center.update(patches)
        return found

    def teacher_temperature(self, progress: float) -> float:
        """Linear from the first to the last value over the warm-up, then constant."""
        first, last = self.config.teacher_temperature
        share = min(1.0, progress / self.config.teacher_warmup) if self.config.teacher_warmup else 1.0
        return first + (last - first) * share

    def before_step(self, progress: float) -> None:
        """Nothing to do: the optimizer keeps the last layers still (`optimisation`)."""

    def after_step(self, progress: float) -> None:
        """The teacher moves towards the student, by a momentum on a cosine from first to last."""
        first, last = self.config.momentum
        momentum = last + (first - last) * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * progress)).item())
        follow(self.teacher, self.student, momentum)

    def warnings(self, scalars: Mapping[str, float]) -> tuple[str, ...]:
        """Sentences for the log where the numbers of a step say that the representation collapses."""
        return self._watch.look(scalars)

    def start_from(self, path: str | Path) -> tuple[str, ...]:
        """Start from a released file: CheXFound's with student, teacher and heads, or any encoder of our layouts."""
        return start_from_file(self, path)

    def start_from_encoder(self, weights: Mapping[str, Tensor], *, where: str | Path) -> tuple[str, ...]:
        """Start student and teacher from an exported encoder; heads and mask token stay fresh."""
        return start_from_encoder(self, weights, where=where)

    def start_from_method(self, earlier: nn.Module, *, where: str | Path) -> tuple[str, ...]:
        """Start from an earlier stage: student, teacher, heads and centers of another run."""
        return start_from_stage(self, cast(DINOv2, earlier).state_dict(), where=where)


def _teacher_of(student: Network) -> Network:
    """A copy that takes no gradient and drops no path."""
    teacher = deepcopy(student).requires_grad_(False)
    teacher.backbone.config = replace(teacher.backbone.config, drop_path=0.0)
    teacher.backbone.gradient_checkpointing = False
    for block in teacher.backbone.blocks:
        cast(Block, block).drop_path = 0.0
    return teacher


def _by_crop(crops: Tensor) -> Tensor:
    """(B, C, ...) -> (C * B, ...): the first crops of all films, then the second ones, and so on."""
    return crops.transpose(0, 1).flatten(0, 1)
