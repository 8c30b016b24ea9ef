"""Masked autoencoder: hide three quarters of a film, encode the rest, predict the hidden pixels.

Paper: Masked Autoencoders Are Scalable Vision Learners, https://arxiv.org/abs/2111.06377
Official code: https://github.com/facebookresearch/mae at efb2a80 (facts checked, nothing copied).
CXRBase (https://arxiv.org/abs/2410.08861) is this method on chest films with ViT-L, started from the MAE of
ImageNet: the preset `cxrbase`.

Departures: those of the image branch (`masked_image.py`); no value changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from hilum.errors import ConfigError
from hilum.methods.masked_image import Encoded, MaskedImage, MaskedViews, start_decoder
from hilum.methods.method import Output
from hilum.models.fill import fill
from hilum.models.pretrained import read_mae
from hilum.models.vit import VisionTransformer, ViTConfig, vit_config
from hilum.schema import IMAGE, MASK_NOISE, Preprocessing
from hilum.transforms.image import normalise


@dataclass(frozen=True)
class Config:
    """What a masked autoencoder is and how it sees films."""

    model: str = "vit_base_patch16"  # a name of models.vit.VIT_SIZES
    image_size: int = 224  # pixels a side
    channels: int = 3  # grey is repeated; 3 lets ImageNet weights load
    vit: dict[str, Any] = field(default_factory=dict)  # more fields of ViTConfig, e.g. patch_size, depth
    decoder_width: int = 512
    decoder_depth: int = 8  # blocks
    decoder_heads: int = 16
    mask_ratio: float = 0.75  # share of hidden patches
    norm_pix: bool = True  # targets standardised per patch (MAE table 1d; CXRBase does not say)
    crop_scale: tuple[float, float] = (0.2, 1.0)  # share of the film's area in a random crop
    flip: float = 0.5  # probability; CXRBase flips, although it swaps the heart's side: set 0 to keep sides
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)  # ImageNet, on the [0, 1] scale, one a channel
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    gradient_checkpointing: bool = False  # recompute block activations of the encoder to save memory

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        if not 0 < self.mask_ratio < 1:
            raise ConfigError(f"mask_ratio is {self.mask_ratio} and must lie between 0 and 1", where="mae")
        if not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            rule = "must be 0 < low <= high <= 1"
            raise ConfigError(f"crop_scale is {self.crop_scale} and {rule}", where="mae")
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ConfigError(f"mean and std need one value for each of {self.channels} channels", where="mae")

    @property
    def backbone(self) -> ViTConfig:
        """The encoder's architecture: fixed sine-cosine positions unless `vit` says otherwise."""
        fixed = {"image_size": self.image_size, "channels": self.channels}
        return vit_config(self.model, **{"position": "sincos", **self.vit, **fixed})

    @property
    def image(self) -> MaskedImage:
        """How films are hidden and what is predicted of them."""
        return MaskedImage(self.backbone.patch_size, self.mask_ratio, self.norm_pix)


PRESETS: Final[dict[str, Config]] = {
    "mae": Config(),
    "cxrbase": Config(model="vit_large_patch16"),  # paper section 3.3
    # ViT-Tiny's width on 128 px films of the phantom: minutes on two CPU cores
    "phantom": Config(
        model="vit_tiny_patch16",
        image_size=128,
        channels=1,
        mean=(0.5,),
        std=(0.25,),
        decoder_width=128,
        decoder_depth=2,
        decoder_heads=4,
    ),
}


class MAE(nn.Module):
    """The method: `backbone` survives, `decoder` serves pretraining only."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        architecture = config.backbone
        self.backbone = VisionTransformer(architecture)
        self.backbone.gradient_checkpointing = config.gradient_checkpointing
        self.decoder = config.image.decoder(
            architecture, width=config.decoder_width, depth=config.decoder_depth, heads=config.decoder_heads
        )

    @property
    def preprocessing(self) -> Preprocessing:
        """The record that travels with the encoder."""
        config = self.config
        return Preprocessing(size=config.image_size, channels=config.channels, mean=config.mean, std=config.std)

    def views(self) -> MaskedViews:
        """The transform a training film goes through."""
        config = self.config
        return MaskedViews(config.image_size, config.backbone.patches, config.crop_scale, config.flip)

    def forward(self, batch: Mapping[str, Any], progress: float) -> Output:
        """Loss of one micro-batch.

        Args:
            batch: `image` (B, 1, S, S) uint8 or (B, C, S, S) normalised, `mask_noise` (B, L).
            progress: share of the run that is done; the method has no schedule.
        """
        loss = self.config.image.loss(self.decoder, self._encode(batch))
        return Output(loss, {"loss": loss.detach()})

    def before_step(self, progress: float) -> None:
        """Nothing to do."""

    def after_step(self, progress: float) -> None:
        """Nothing to do."""

    def start_from(self, path: str | Path, *, heads: int | None = None) -> tuple[str, ...]:
        """Start from a released MAE file (CXRBase: ImageNet's), the decoder too where the file has a fitting one.

        Args:
            path: a .pth or .safetensors file in one of MAE's layouts.
            heads: attention heads of the file's encoder, which no tensor tells; this model's where omitted.

        Returns:
            What was done, one line each, for the log.

        Raises:
            CheckpointError: damaged, or of another architecture; nothing of the model has changed then.
        """
        file = read_mae(path, heads=heads or self.backbone.config.heads)
        fill(self.backbone, file.backbone_for(self.backbone.config), where=path)
        notes = list(file.report())
        notes.append(start_decoder(self.decoder, file.decoder, where=path))
        return tuple(notes)

    @torch.no_grad()
    def reconstruct(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Pictures for people, `original`, `masked` and `reconstructed`: see `MaskedImage.pictures`."""
        return self.config.image.pictures(self.decoder, self._encode(batch), self.preprocessing)

    def _encode(self, batch: Mapping[str, Any]) -> Encoded:
        return self.config.image.encode(self.backbone, normalise(batch[IMAGE], self.preprocessing), batch[MASK_NOISE])
