"""The image branch that MAE, MRM and MaCo share: hide patches, encode the rest, predict the film at 1x or 2x.

Papers: MAE https://arxiv.org/abs/2111.06377; MRM https://arxiv.org/abs/2301.13155 adds the target at twice the
encoder's resolution (section 3.2, "masked image restoration with high resolution").

At scale 2 the batch holds films of (2S, 2S) pixels: the encoder sees them resized to S, the targets are their
patches of 2p x 2p pixels, so both sides have one grid. A method holds its `backbone` and `decoder`; this file
holds the arithmetic between them.

Departures: the mask is drawn per sample in the loader instead of per batch on the device; only patches that enter
the loss are predicted, and tokens are not put back into grid order before the decoder. No value changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hilum.errors import ConfigError
from hilum.losses.reconstruction import masked_patch_loss, patch_statistics
from hilum.models.decoder import MaskedDecoder
from hilum.models.fill import fill, fits
from hilum.models.masking import order_by_noise, visible_count
from hilum.models.patches import grid_of, patchify, unpatchify
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.schema import IMAGE, MASK_NOISE, Preprocessing
from hilum.transforms.image import denormalise, normalise
from hilum.transforms.views import as_image, crop_resize, draw_crop

LossOn = Literal["masked", "all"]
_LOSS_ON: Final = ("masked", "all")


@dataclass(frozen=True)
class Encoded:
    """Films after the encoder, with what the decoder and the targets need."""

    images: Tensor  # (B, C, kS, kS) normalised, at the resolution of the target (k = scale)
    latent: Tensor  # (B, 1 + R + V, D): class token (and registers), then the visible patches as `order[:, :V]`
    order: Tensor  # (B, L) int64 patch numbers, visible ones first
    visible: int  # V

    @property
    def patches(self) -> Tensor:
        """The encoded visible patches: (B, V, D)."""
        return self.latent[:, -self.visible :]


@dataclass(frozen=True)
class MaskedImage:
    """How films are hidden and what is predicted of them."""

    patch_size: int  # p, pixels a side of the encoder's patches
    mask_ratio: float = 0.75  # share of hidden patches, in [0, 1)
    norm_pix: bool = True  # targets standardised per patch
    scale: int = 1  # pixels of the target a pixel of the encoder's input, a side: 2 is MRM's super-resolution
    antialias: bool = True  # of the resize to the encoder's input; off is what torchvision < 0.17 did to tensors
    loss_on: LossOn = "masked"  # which patches enter the loss

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        checks = (
            (0 <= self.mask_ratio < 1, "mask_ratio", "in [0, 1)"),
            (self.scale >= 1, "scale", "1 or more"),
            (self.loss_on in _LOSS_ON, "loss_on", "masked or all"),
            (self.mask_ratio > 0 or self.loss_on == "all", "loss_on", "all where nothing is hidden"),
        )
        for holds, name, rule in checks:
            if not holds:
                raise ConfigError(f"{name} is {getattr(self, name)!r} and must be {rule}", where="masked image")

    def decoder(self, encoder: ViTConfig, *, width: int, depth: int, heads: int) -> MaskedDecoder:
        """The decoder that fits an encoder and this target, with random weights.

        Raises:
            ConfigError: the mask leaves no patch visible, or patches overlap, so that visible ones show hidden ones.
        """
        if encoder.stride != encoder.patch_size:
            raise ConfigError("patches that overlap cannot be hidden", where="patch_stride", fix="Leave it out")
        self.check_visible(encoder.patches)
        return MaskedDecoder(
            encoder.width,
            encoder.grid,
            width=width,
            depth=depth,
            heads=heads,
            outputs=(self.scale * encoder.patch_size) ** 2 * encoder.channels,
            mlp_ratio=encoder.mlp_ratio,
            norm_eps=encoder.norm_eps,
        )

    def check_visible(self, patches: int) -> None:
        """Refuse a mask that leaves none of `patches` visible."""
        if visible_count(patches, self.mask_ratio) < 1:
            what = f"mask_ratio {self.mask_ratio} leaves none of {patches} patches visible"
            raise ConfigError(what, where="masked image")

    def encode(self, backbone: VisionTransformer, images: Tensor, noise: Tensor) -> Encoded:
        """Encode the visible patches.

        Args:
            backbone: the encoder.
            images: (B, C, kS, kS) normalised, at the resolution of the target.
            noise: (B, L) in [0, 1); the patches of smallest noise stay visible.
        """
        order = order_by_noise(noise)
        visible = visible_count(noise.shape[1], self.mask_ratio)
        latent = backbone.forward_masked(self.shrink(images), order[:, :visible])
        return Encoded(images, latent, order, visible)

    def shrink(self, images: Tensor) -> Tensor:
        """What the encoder sees: (B, C, kS, kS) normalised -> (B, C, S, S), bicubic."""
        if self.scale == 1:
            return images
        height, width = (side // self.scale for side in images.shape[-2:])
        planes = images[:, :1] if is_grey(images) else images
        small = F.interpolate(
            planes, size=(height, width), mode="bicubic", align_corners=False, antialias=self.antialias
        )
        return small.expand(-1, images.shape[1], -1, -1)

    def loss(self, decoder: MaskedDecoder, encoded: Encoded, latent: Tensor | None = None) -> Tensor:
        """Reconstruction loss of a micro-batch, a scalar in float32 or better.

        Args:
            decoder: predicts the patches.
            encoded: of `encode`.
            latent: decode these tokens in place of `encoded.latent` (the report's words added to them, say).
        """
        tokens = encoded.latent if latent is None else latent
        if self.loss_on == "all":
            predicted, chosen = decoder.predict_all(tokens, encoded.order), None
        else:
            predicted, chosen = decoder(tokens, encoded.order), encoded.order[:, encoded.visible :]
        target = target_patches(encoded.images, self.scale * self.patch_size, chosen)
        return masked_patch_loss(predicted, target, norm_pix=self.norm_pix)

    @torch.no_grad()
    def pictures(
        self,
        decoder: MaskedDecoder | None,
        encoded: Encoded,
        preprocessing: Preprocessing,
        latent: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Pictures for people: what was there, what was seen, what the model drew.

        With `norm_pix` a prediction knows neither brightness nor contrast of its patch; both are borrowed
        from the original, so these pictures look better than the model knows. Without a decoder nothing is drawn.

        Returns:
            `original`, `masked` (hidden patches mid-grey), `reconstructed` (visible patches as they were; all
            patches predicted where nothing is hidden), each (B, C, kS, kS) in [0, 1].
        """
        patch_size = self.scale * self.patch_size
        order = encoded.order
        pixels = target_patches(encoded.images, patch_size)
        hidden = torch.ones_like(order, dtype=torch.bool).scatter(1, order[:, : encoded.visible], False)[..., None]
        seen = pixels.masked_fill(hidden, 0.0)
        rows = {"original": pixels, "masked": seen, "reconstructed": seen}
        if decoder is not None:
            predicted = decoder.predict_all(encoded.latent if latent is None else latent, order).float()
            if self.norm_pix:
                mean, deviation = patch_statistics(pixels)
                predicted = predicted * deviation + mean
            drawn = hidden if self.mask_ratio > 0 else torch.ones_like(hidden)
            rows["reconstructed"] = torch.where(drawn, predicted, pixels)
        grid = grid_of(encoded.images, patch_size)
        return {
            name: denormalise(unpatchify(values, patch_size, grid), preprocessing).clamp(0, 1)
            for name, values in rows.items()
        }


def normalised_films(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """`normalise`, with grey repeated over channels of one mean and deviation as one plane seen C times.

    A film at twice the resolution is large; resizing and cutting one plane instead of three copies of it is a tenth of
    a small model's step.

    Args:
        images: (B, 1, H, W) uint8, or (B, C, H, W) floating, returned as it is.
        preprocessing: mean and std on the [0, 1] scale, and the number of channels.

    Returns:
        (B, C, H, W) float32.
    """
    mean, std = set(preprocessing.mean), set(preprocessing.std)
    if images.is_floating_point() or len(mean) > 1 or len(std) > 1:
        return normalise(images, preprocessing)
    plane = normalise(images, replace(preprocessing, channels=1, mean=tuple(mean), std=tuple(std)))
    return plane.expand(-1, preprocessing.channels, -1, -1)


def is_grey(images: Tensor) -> bool:
    """Whether all channels of (B, C, H, W) are one plane of memory."""
    return images.shape[1] > 1 and images.stride(1) == 0


def target_patches(images: Tensor, patch_size: int, chosen: Tensor | None = None) -> Tensor:
    """`patchify`, cutting one plane only where all channels are the same: (B, V or L, p * p * C)."""
    if not is_grey(images):
        return patchify(images, patch_size, chosen)
    rows = patchify(images[:, :1], patch_size, chosen)
    return rows[..., None].expand(-1, -1, -1, images.shape[1]).flatten(2)


@dataclass(frozen=True)
class MaskedViews:
    """A random resized crop, perhaps mirrored, and the noise that decides which patches are hidden."""

    image_size: int  # pixels a side of the view: the resolution of the target
    patches: int  # L, draws of noise
    crop_scale: tuple[float, float]  # share of the film's area
    flip: float  # probability

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        if not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            rule = "must be 0 < low <= high <= 1"
            raise ConfigError(f"crop_scale is {self.crop_scale} and {rule}", where="masked image")
        if not 0 <= self.flip <= 1:
            raise ConfigError(f"flip is {self.flip} and must lie in [0, 1]", where="masked image")

    def __call__(self, film: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """Film (H, W) uint8 -> image (1, S, S) uint8 and mask noise (L,) float32 in [0, 1)."""
        height, width = film.shape
        box = draw_crop(rng, height, width, self.crop_scale)
        mirrored = rng.random() < self.flip
        noise = rng.random(self.patches, dtype=np.float32)
        pixels = crop_resize(film, box, self.image_size)
        return {
            IMAGE: as_image(pixels[:, ::-1] if mirrored else pixels),
            MASK_NOISE: torch.from_numpy(noise),
        }


def check_channels(channels: int, mean: tuple[float, ...], std: tuple[float, ...], *, where: str) -> None:
    """Refuse a mean or std without one value a channel."""
    if len(mean) != channels or len(std) != channels:
        raise ConfigError(f"mean and std need one value for each of {channels} channels", where=where)


def start_decoder(decoder: MaskedDecoder, weights: Mapping[str, Tensor], *, where: str | Path) -> str:
    """Fill a decoder where the file's fits; says which, for the log."""
    if fits(decoder, weights):
        fill(decoder, weights, where=where)
        return "the decoder starts from the file"
    return "the decoder starts from random weights: the file has none of this shape"
