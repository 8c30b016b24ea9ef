"""A detector on our encoders: the tokens of several blocks, LW-DETR's projector and decoder of transformers on them.

Paper: LW-DETR, https://arxiv.org/abs/2406.03459 (a plain ViT, a light projector, three decoder layers, boxes as a set).
The network and its loss are transformers' (Apache-2.0); its own ViT is left out and ours takes the place, from which
the projector gets maps of one stride. A convolutional encoder gives its last two stages, both at the
stride of the earlier.

Departures: the taps are evenly spaced over all blocks; there are no windows in the attention; one group of queries
unless asked (the release trains 13 at once); never more queries than places to start from; and the first guess of a
box has the mean size of the training boxes, where the release starts all boxes at a twentieth of the film.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.errors import ConfigError
from hilum.models.backbone import Architecture, Backbone, Convolutional, ConvolutionalConfig, cells_at

FIRST_SIDE: Final = 0.05  # share of the film that a proposal of LW-DETR's first level starts with
SCALES: Final = (0.5, 1.0, 2.0)  # that the projector knows


@dataclass(frozen=True)
class DetectorConfig:
    """Sizes of projector and decoder, and the weights of the loss; LW-DETR's own values unless said."""

    blocks: int = 4  # taps of the encoder; fewer where it has fewer blocks
    scales: tuple[float, ...] = (1.0,)  # of the maps: 0.5, 1 or 2 times the grid of patches
    width: int = 256  # features of a query
    layers: int = 3  # of the decoder
    heads: int = 8  # of the attention among queries; twice as many look at the maps
    feedforward: int = 2048  # features inside a decoder layer
    queries: int = 300  # boxes that can be found on a film, at most the places of the maps
    groups: int = 1  # sets of queries that learn side by side; the first one finds (Group DETR)

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        checks = (
            (not self.scales or set(self.scales) - set(SCALES), "scales", f"of {', '.join(map(str, SCALES))}"),
            (self.width % (4 * self.heads) != 0, "width", f"a multiple of 4 heads, {4 * self.heads}"),
            (min(self.blocks, self.layers, self.heads, self.queries, self.groups) < 1, "sizes", "1 or more"),
        )
        for wrong, name, rule in checks:
            if wrong:
                raise ConfigError(f"must be {rule}, not {getattr(self, name, 0)}", where=f"detector {name}")


class Detector(nn.Module):
    """Normalised films (B, C, S, S) -> boxes and how sure of each finding in each.

    Args:
        backbone: the encoder.
        findings: number of categories.
        size: S, pixels a side of the films, which decides how many queries there can be.
        config: sizes.
    """

    def __init__(self, backbone: Backbone, findings: int, size: int, config: DetectorConfig) -> None:
        super().__init__()
        self.config, self.backbone = config, backbone
        self.taps = tap_blocks(backbone.config, config.blocks)
        self.lateral: nn.Module | None = None
        if isinstance(backbone, Convolutional):
            backbone.freeze_reader()
            self.lateral = nn.Conv2d(backbone.config.stage_widths[-1], backbone.config.stage_widths[-2], 1)
        self.places = places_of(backbone.config, size, config.scales)
        self.queries = min(config.queries, self.places)
        self.decoder = _lw_detr(self._channels(), len(self.taps), findings, self.queries, config)

    def maps(self, images: Tensor) -> Tensor:
        """Maps of the taps, one after another in the channels: (B, C, S, S) -> (B, taps * D, rows, columns)."""
        if isinstance(self.backbone, Convolutional):
            assert self.lateral is not None
            before, last = self.backbone.forward_stages(images)[-2:]
            return torch.cat(
                [before, F.interpolate(self.lateral(last), size=before.shape[-2:], mode="bilinear")], dim=1
            )
        rows, columns = self.backbone.config.grid_of(images)
        outputs = self.backbone.forward_intermediates(images, self.backbone.config.depth - self.taps[0], norm=True)
        chosen = [outputs[tap - self.taps[0]][:, self.backbone.num_prefix_tokens :] for tap in self.taps]
        return torch.cat(chosen, dim=2).transpose(1, 2).reshape(len(images), -1, rows, columns)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, Q, K) and boxes (B, Q, 4), centre, width and height as shares of the film's sides."""
        output = self._decode(self.maps(images), None)
        return output.logits, output.pred_boxes

    def loss(self, images: Tensor, truth: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch, and its parts for the log.

        Args:
            images: (B, C, S, S) normalised.
            truth: of each film: categories (M,) int64 and boxes (M, 4), centre, width and height as shares.

        Returns:
            LW-DETR's sum over decoder layers and proposals, per true box; and its last layer's three parts.
        """
        labels = [{"class_labels": kinds, "boxes": boxes} for kinds, boxes in truth]
        output = self._decode(self.maps(images), labels)
        named = {"loss_class": "loss_ce", "loss_l1": "loss_bbox", "loss_giou": "loss_giou"}
        return output.loss, {ours: output.loss_dict[theirs].detach() for ours, theirs in named.items()}

    def start_at(self, sides: Tensor) -> None:
        """Let the first guess of every box have these sides (2,), width and height as shares of the film."""
        with torch.no_grad():
            for head in self.decoder.model.enc_out_bbox_embed:
                head.layers[-1].bias[2:] = torch.log(sides / FIRST_SIDE)

    def _decode(self, maps: Tensor, labels: Any) -> Any:
        """The decoder in full precision: its loss takes logarithms that half of it does not bear."""
        with torch.autocast(maps.device.type, enabled=False):
            return self.decoder(maps.float(), labels=labels)

    def _channels(self) -> int:
        sizes = self.backbone.config
        return sizes.stage_widths[-2] if isinstance(sizes, ConvolutionalConfig) else sizes.width


class _Projector(nn.Module):
    """What stands where transformers has its backbone: maps that are made already, projected to the decoder's width."""

    def __init__(self, projector: nn.Module, taps: int) -> None:
        super().__init__()
        self.projector, self.taps = projector, taps

    def forward(self, maps: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(B, taps * D, rows, columns) and a mask of ones -> (map, mask) a scale."""
        projected = self.projector(tuple(maps.chunk(self.taps, dim=1)))
        return [(one, one.new_ones((len(one), *one.shape[-2:]), dtype=torch.bool)) for one in projected]


def tap_blocks(sizes: Architecture, blocks: int) -> tuple[int, ...]:
    """Numbers of the blocks that are read, evenly spaced, the last one among them; or two stages."""
    if isinstance(sizes, ConvolutionalConfig):
        return len(sizes.blocks) - 2, len(sizes.blocks) - 1
    count = min(blocks, sizes.depth)
    return tuple(math.ceil(sizes.depth * (number + 1) / count) - 1 for number in range(count))


def places_of(sizes: Architecture, size: int, scales: Sequence[float]) -> int:
    """How many places of the maps a box can start from, on films of `size` pixels."""
    side = sizes.stage_sides(size)[-2] if isinstance(sizes, ConvolutionalConfig) else cells_at(sizes, size)[0]
    return sum({0.5: -(-side // 2), 1.0: side, 2.0: 2 * side}[scale] ** 2 for scale in scales)


def _lw_detr(channels: int, taps: int, findings: int, queries: int, config: DetectorConfig) -> Any:
    """LW-DETR of transformers with random weights and without its ViT."""
    from transformers import LwDetrConfig, LwDetrForObjectDetection, LwDetrViTConfig  # seconds to import

    outside: dict[str, Any] = {  # only its width and the number of maps matter: the network itself is thrown away
        "hidden_size": channels, "num_hidden_layers": taps, "num_attention_heads": 1, "mlp_ratio": 1, "image_size": 32,
        "pretrain_image_size": 32, "num_windows": 1, "num_channels": 1, "out_indices": list(range(1, taps + 1)),
    }  # fmt: skip
    sizes: dict[str, Any] = {
        "projector_scale_factors": list(config.scales),
        "d_model": config.width,
        "decoder_layers": config.layers,
        "decoder_ffn_dim": config.feedforward,
        "decoder_self_attention_heads": config.heads,
        "decoder_cross_attention_heads": 2 * config.heads,
        "num_queries": queries,
        "group_detr": config.groups,
        "num_labels": findings,
    }
    made: Any = LwDetrForObjectDetection(LwDetrConfig(backbone_config=LwDetrViTConfig(**outside), **sizes))
    made.model.backbone = _Projector(made.model.backbone.projector, taps)
    return made
