"""Heads that draw masks: UPerNet on four depths of an encoder, and MedIM's decoder on its last map.

UPerNet: https://arxiv.org/abs/1807.10221, the head of `transformers`, with a fully convolutional auxiliary head on the
third level. On a Vision Transformer the tokens after blocks 3, 5, 7 and 11 of 12 (counted from 0; the same shares of
other depths), without the final norm, are brought to 4, 2, 1 and 1/2 times their size, as BEiT and MRM
(https://arxiv.org/abs/2301.13155) do; the four stages of a convolutional encoder have these sizes already (of three,
the last map is halved once more).
MedIM (its released SIIM harness): the patch tokens after the final norm, a Linear layer, the decoder that restored
films in pretraining, and a fresh convolution.

Departures: batch statistics are ours (`BatchNorm`), which span all devices on any of them; MRM's relative position
bias in every block (zeros at the start) is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.upernet.configuration_upernet import UperNetConfig
from transformers.models.upernet.modeling_upernet import UperNetFCNHead, UperNetHead

from hilum.errors import ConfigError
from hilum.losses.segmentation import mask_probabilities
from hilum.models.backbone import Architecture, Backbone, Convolutional, ConvolutionalConfig, local_width
from hilum.models.batch_norm import BatchNorm
from hilum.models.restoration_decoder import RestorationDecoder

Form = Literal["upernet", "medim"]
TAPS: Final = (4, 6, 8, 12)  # after how many of 12 blocks
POOLS: Final = (1, 2, 3, 6)  # sides of the grids that the top level is averaged over
LEVELS: Final = 4
AUXILIARY_LEVEL: Final = 2
MASK: Final = "mask"  # name of the decoder's only output


@dataclass(frozen=True)
class Config:
    """Sizes of a head that draws masks."""

    form: Form = "upernet"
    maps: int = 2  # a finding: background and finding, or the finding alone
    width: int = 768  # upernet: features of every level; 64 is enough for small encoders on a CPU
    auxiliary_width: int = 256  # upernet: of the auxiliary head; 0 leaves it out
    dropout: float = 0.1  # upernet: of whole features before the last convolution
    decoder: tuple[int, ...] = (512, 256, 128, 64)  # medim: features after each block, each of which doubles the side

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        if self.maps not in (1, 2):
            raise ConfigError(f"1 or 2 maps a finding, not {self.maps}", where="maps")
        if self.width < 1 or self.auxiliary_width < 0 or not self.decoder or min(self.decoder) < 1:
            raise ConfigError("sizes of the head must be positive", where="width", fix="Try 768, or 64 on a CPU")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"must be in [0, 1), not {self.dropout}", where="dropout", fix="0 switches it off")


class Segmenter(nn.Module):
    """Normalised films (B, C, S, S) -> raw maps (B, K, M, S, S)."""

    def __init__(self, backbone: Backbone, findings: int, config: Config) -> None:
        super().__init__()
        self.config, self.findings = config, findings
        self.backbone = backbone
        if isinstance(backbone, Convolutional):
            backbone.freeze_reader()
        drawn = findings * config.maps
        make = UPerNet if config.form == "upernet" else Restorer
        self.head = make(backbone.config, drawn, config)

    def forward(self, images: Tensor) -> Tensor:
        """Raw maps of every finding at the size of the films."""
        return self.both(images)[0]

    def both(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Raw maps of the head and of its auxiliary head, which only training has, and not every head."""
        drawn, auxiliary = self.head(self.backbone, images)
        return self._full(drawn, images), None if auxiliary is None else self._full(auxiliary, images)

    def probabilities(self, images: Tensor) -> Tensor:
        """Probability of each finding at each pixel: (B, C, S, S) -> (B, K, S, S)."""
        return mask_probabilities(self(images).float())

    def _full(self, maps: Tensor, images: Tensor) -> Tensor:
        size = images.shape[-2:]
        if maps.shape[-2:] != size:
            maps = F.interpolate(maps.float(), size=size, mode="bilinear", align_corners=False)
        return maps.reshape(len(maps), self.findings, self.config.maps, *size)


class UPerNet(nn.Module):
    """UPerNet with its pyramid."""

    def __init__(self, architecture: Architecture, drawn: int, config: Config) -> None:
        super().__init__()
        widths = level_widths(architecture)
        self.rescale = nn.ModuleList(
            [nn.Identity()] * LEVELS if isinstance(architecture, ConvolutionalConfig) else rescaling(architecture.width)
        )
        sizes = UperNetConfig(
            hidden_size=config.width,
            pool_scales=list(POOLS),
            auxiliary_channels=max(config.auxiliary_width, 1),
            auxiliary_in_channels=widths[AUXILIARY_LEVEL],
            auxiliary_num_convs=1,
            auxiliary_concat_input=False,
        )
        sizes.num_labels = drawn
        self.decode = _ready(UperNetHead(sizes, widths), config.dropout)  # type: ignore[no-untyped-call]
        self.auxiliary: nn.Module | None = None
        if config.auxiliary_width:
            self.auxiliary = _ready(UperNetFCNHead(sizes, widths, in_index=AUXILIARY_LEVEL), config.dropout)

    def forward(self, backbone: Backbone, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Raw maps at a quarter of the films' size (of a patch of 16), and the auxiliary head's in training."""
        maps = [rescale(level) for rescale, level in zip(self.rescale, levels(backbone, images), strict=True)]
        extra = self.auxiliary(maps) if self.training and self.auxiliary is not None else None
        return self.decode(maps), extra


class Restorer(nn.Module):
    """MedIM's decoder behind a Linear layer."""

    def __init__(self, architecture: Architecture, drawn: int, config: Config) -> None:
        super().__init__()
        width = local_width(architecture)
        self.bridge = nn.Linear(width, width)
        self.decoder = RestorationDecoder(width, config.decoder, drawn, heads=(MASK,))

    def forward(self, backbone: Backbone, images: Tensor) -> tuple[Tensor, None]:
        """Raw maps, twice the side of the encoder's map for each block of the decoder."""
        if isinstance(backbone, Convolutional):
            cells = backbone.forward_maps(images)[0].permute(0, 2, 3, 1)
        else:
            tokens = backbone.forward_features(images)[:, backbone.num_prefix_tokens :]
            cells = tokens.reshape(len(tokens), *backbone.config.grid_of(images), -1)
        return self.decoder([self.bridge(cells).permute(0, 3, 1, 2)])[0], None


def levels(backbone: Backbone, images: Tensor) -> list[Tensor]:
    """Four maps of an encoder, early ones first: of four depths of a Vision Transformer, or of four stages.

    Args:
        backbone: either.
        images: (B, C, H, W) normalised.

    Returns:
        4 x (B, D, rows, columns): all of one size, or each half of the one before.
    """
    if isinstance(backbone, Convolutional):
        found = backbone.forward_stages(images)
        return found if len(found) == LEVELS else [*found, F.max_pool2d(found[-1], 2)]
    numbers = tap_blocks(backbone.config.depth)
    taps = backbone.forward_intermediates(images, backbone.config.depth - numbers[0])
    grid = backbone.config.grid_of(images)
    chosen = [taps[number - numbers[0]] for number in numbers]
    prefix = backbone.num_prefix_tokens
    return [tap[:, prefix:].transpose(1, 2).reshape(len(tap), -1, *grid) for tap in chosen]


def tap_blocks(depth: int) -> tuple[int, int, int, int]:
    """After which blocks, counted from 0, a Vision Transformer of this depth is read: 12 -> 3, 5, 7, 11."""
    first, second, third, last = (max(0, round(part * depth / 12) - 1) for part in TAPS)
    return first, second, third, last


def level_widths(architecture: Architecture) -> list[int]:
    """Features of the four levels."""
    if isinstance(architecture, ConvolutionalConfig):
        return [*architecture.stage_widths, architecture.stage_widths[-1]][:LEVELS]
    return [architecture.width] * LEVELS


def rescaling(width: int) -> list[nn.Module]:
    """From four maps of one size to 4, 2, 1 and 1/2 times that."""
    return [
        nn.Sequential(
            nn.ConvTranspose2d(width, width, 2, stride=2),
            BatchNorm(width),
            nn.GELU(),
            nn.ConvTranspose2d(width, width, 2, stride=2),
        ),
        nn.ConvTranspose2d(width, width, 2, stride=2),
        nn.Identity(),
        nn.MaxPool2d(2, stride=2),
    ]


def start_decoder(segmenter: Segmenter, weights: dict[str, Tensor], *, where: str) -> Sequence[str]:
    """Give the blocks of MedIM's decoder what pretraining has learned; its outputs start fresh.

    Args:
        segmenter: with `form="medim"`.
        weights: keys of `RestorationDecoder`.
        where: the file, for messages.

    Returns:
        The names that were filled.

    Raises:
        ConfigError: a head of another form, or blocks of other sizes.
    """
    if not isinstance(segmenter.head, Restorer):
        raise ConfigError("only MedIM's head has a decoder to start", where="decoder", fix="Use --head medim")
    own = segmenter.head.decoder.state_dict()
    blocks = {name for name in own if not name.startswith("final_out_")}
    wrong = [name for name in sorted(blocks) if name not in weights or weights[name].shape != own[name].shape]
    if wrong:
        raise ConfigError(
            f"its decoder does not fit: {wrong[0]} and {len(wrong) - 1} more differ or are missing",
            where=where,
            fix="Give the decoder's sizes with --decoder, as in the pretraining run, or --decoder-start fresh",
        )
    with torch.no_grad():
        for name in sorted(blocks):
            own[name].copy_(weights[name])
    return sorted(blocks)


def _ready(head: nn.Module, dropout: float) -> nn.Module:
    """A head of transformers with our batch statistics, mmsegmentation's dropout and start of the last convolution."""
    for part in head.modules():
        if isinstance(norm := getattr(part, "batch_norm", None), nn.BatchNorm2d):
            part.batch_norm = BatchNorm(norm.num_features)
    last = cast(nn.Conv2d, head.classifier)
    nn.init.normal_(last.weight, std=0.01)
    nn.init.zeros_(cast(nn.Parameter, last.bias))
    head.classifier = nn.Sequential(nn.Dropout2d(dropout), last)
    return head
