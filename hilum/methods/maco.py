"""MaCo: restore a film from half of it, and find its report by that half, weighted by what the mask left visible.

Paper: Enhancing Representation in Radiography-Reports Foundation Model, https://arxiv.org/abs/2309.05904
Official code: https://github.com/SZUHvern/MaCo at 7f64d95 (facts checked, nothing copied).

The image branch is MRM's (`masked_image.py`). The mean of the visible patches, projected, is compared with BERT's
pooled vector over the batches of all devices. A linear layer on the visibility map, zero at the start, scores each
mask; the score sharpens or softens the film's contrast (`losses/contrastive.py`), so its weights come to say where on
a film reports look. Paper and code differ in nearly every number: each difference is a field of `Config`, and
`VARIANTS` sets them together.

Departures of the default: films that share a study or a report are no negatives of each other; no flip, since reports
speak of sides; crops instead of turns; the temperature is learned as its logarithm; the input is antialiased; no
dropout, so that nothing is drawn on the device. In every variant films are projected to the width of the text, since
the released text encoder is half as wide as the projection and cannot run; layers that take no part are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from hilum.errors import ConfigError
from hilum.lookup import unknown_name
from hilum.losses.contrastive import (
    DIRECTIONS,
    REDUCTIONS,
    Directions,
    Reduction,
    clip_contrast,
    paper_contrast,
    released_contrast,
)
from hilum.losses.gather import gather
from hilum.methods.clock import StageClock
from hilum.methods.maco_start import start_from_file, start_text_from_folder
from hilum.methods.masked_image import Encoded, MaskedImage, MaskedViews, normalised_films
from hilum.methods.method import Output
from hilum.models.initialise import initialise
from hilum.models.text import TextConfig
from hilum.models.towers import Towers, TowersConfig
from hilum.models.vit import VisionTransformer, ViTConfig, vit_config
from hilum.schema import HAS_REPORT, IMAGE, MASK_NOISE, REPORT_GROUP, TOKEN_MASK, TOKENS, Preprocessing
from hilum.transforms.affine import AffineViews
from hilum.transforms.text import PREPARATIONS, WordPiece

Contrast = Literal["none", "clip", "released", "paper"]
TemperatureForm = Literal["log", "multiplier", "divisor"]
Framing = Literal["crop", "affine"]
MAX_SCALE: Final = 100.0  # of the cosines, as in CLIP; the released multiplier has no bound


@dataclass(frozen=True)
class Config:
    """What MaCo is and how it sees films and reports."""

    # --- networks
    model: str = "vit_base_patch16"  # a name of models.vit.VIT_SIZES
    image_size: int = 224  # pixels a side of the encoder's input
    channels: int = 3  # grey is repeated; 3 lets ImageNet weights load
    vit: dict[str, Any] = field(default_factory=dict)  # more fields of ViTConfig, e.g. patch_size, depth
    decoder_width: int = 768
    decoder_depth: int = 4  # blocks
    decoder_heads: int = 6
    text: TextConfig = field(default_factory=lambda: TextConfig(width=768, depth=6, heads=12, hidden=3072))
    gradient_checkpointing: bool = False  # recompute block activations of the encoder to save memory
    # --- reconstruction
    mask_ratio: float = 0.5  # share of hidden patches
    target_scale: int = 2  # pixels of the target a pixel of the input, a side: MRM's super-resolution
    antialias: bool = True  # of the resize to the input; off is what the released pipeline did
    norm_pix: bool = False  # targets standardised per patch
    reconstruction_weight: float = 1.0
    # --- contrast
    contrast: Contrast = "released"  # its score sharpens the films it trusts; the paper's softens them
    contrast_weight: float = 1.0
    directions: Directions = "both"  # mean of both, sum of both, or from films to reports alone
    skip_twins: bool = True  # films of one study or with the same report are no negatives of each other
    temperature: float = 0.03  # at the start, learned
    temperature_form: TemperatureForm = "log"  # what is learned: log(1/t), 1/t or t; Adam steps in it
    tau1: float = 1.0  # paper: temperature of w_t
    tau2: float = 16.0  # paper: temperature of w_l
    group_size: int = 16  # paper: D, films over which w_t and w_l are shared out
    reduction: Reduction = "weighted"  # paper: w_l * loss over the batch; what it is, is not said
    # --- films
    framing: Framing = "crop"  # random resized crops, or letterboxed films turned and scaled
    crop_scale: tuple[float, float] = (0.6, 1.0)  # crop: share of the film's area; less would cut findings away
    rotate: float = 20.0  # affine: largest angle, degrees
    zoom: tuple[float, float] = (0.8, 1.2)  # affine: factor
    flip: float = 0.0  # probability; reports speak of left and right
    mean: tuple[float, ...] = (0.4978,)  # MIMIC-CXR, on the [0, 1] scale; one value, or one a channel
    std: tuple[float, ...] = (0.2449,)
    # --- reports
    sections: tuple[str, ...] = ()  # names of transforms.text sections; none: the whole report
    missing_reports: Literal["drop", "keep"] = "drop"  # keep: such films learn from their pixels alone
    preparation: str = "maco"  # a name of transforms.text.PREPARATIONS: sentences shuffled, some kept
    length: int = 100  # word pieces of a report that are read

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        choices: tuple[tuple[str, str, tuple[str, ...]], ...] = (
            ("contrast", self.contrast, ("none", "clip", "released", "paper")),
            ("directions", self.directions, DIRECTIONS),
            ("reduction", self.reduction, REDUCTIONS),
            ("temperature_form", self.temperature_form, ("log", "multiplier", "divisor")),
            ("framing", self.framing, ("crop", "affine")),
            ("missing_reports", self.missing_reports, ("drop", "keep")),
            ("preparation", self.preparation, tuple(PREPARATIONS)),
        )
        for name, value, allowed in choices:
            if value not in allowed:
                raise unknown_name(value, list(allowed), kind=name, where="maco")
        checks = (
            (min(self.temperature, self.tau1, self.tau2) > 0, "temperature, tau1 and tau2 must be positive"),
            (self.group_size >= 1, f"group_size is {self.group_size} and must be 1 or more"),
            (
                min(self.reconstruction_weight, self.contrast_weight) >= 0,
                "the weights of the losses must not be negative",
            ),
            (2 <= self.length <= self.text.positions, f"length {self.length} must lie in 2 to {self.text.positions}"),
            ({len(self.mean), len(self.std)} <= {1, self.channels}, "mean and std need one value, or one a channel"),
        )
        for holds, rule in checks:
            if not holds:
                raise ConfigError(rule, where="maco")

    @property
    def backbone(self) -> ViTConfig:
        """The encoder's architecture: fixed sine-cosine positions unless `vit` says otherwise."""
        fixed = {"image_size": self.image_size, "channels": self.channels}
        config = vit_config(self.model, **{"position": "sincos", **self.vit, **fixed})
        if not config.class_token or config.registers:
            raise ConfigError("vit must have a class token and no registers", where="maco")
        return config

    @property
    def image(self) -> MaskedImage:
        """How films are hidden and what is predicted of them."""
        return MaskedImage(
            self.backbone.patch_size,
            mask_ratio=self.mask_ratio,
            norm_pix=self.norm_pix,
            scale=self.target_scale,
            antialias=self.antialias,
        )

    @property
    def weighted(self) -> bool:
        """Whether the mask's score weighs the contrast."""
        return self.contrast in ("released", "paper")

    @property
    def towers(self) -> TowersConfig:
        """The joint space: films are projected to the width of the text."""
        return TowersConfig(
            text=self.text,
            dim=self.text.width,
            image_head="linear",
            text_head="none",
            image_pool="mean",
            text_pool="pooler",
            position_weight=self.weighted,
            preparation=self.preparation,
            length=self.length,
        )


PRESETS: Final[dict[str, Config]] = {
    "maco": Config(),
    # minutes on two CPU cores: a narrow ViT on 128 px films that sees many of them, and a text encoder of two layers
    "phantom": Config(
        model="vit_tiny_patch16",
        image_size=128,
        channels=1,
        vit={"width": 96, "heads": 3, "depth": 4},
        mean=(0.5,),
        std=(0.25,),
        decoder_width=64,
        decoder_depth=1,
        decoder_heads=2,
        target_scale=1,
        text=TextConfig(width=96, depth=2, heads=3, hidden=384),
        temperature=0.1,
        length=64,
    ),
}

_AS_RELEASED: Final[Mapping[str, Any]] = {
    "target_scale": 2,
    "antialias": False,
    "reconstruction_weight": 1.0,
    "contrast": "released",
    "contrast_weight": 1.0,
    "directions": "both",
    "skip_twins": False,
    "temperature_form": "multiplier",
    "framing": "affine",
    "flip": 0.5,
    "text": {"dropout": 0.1},
}
VARIANTS: Final[dict[str, Mapping[str, Any]]] = {
    "hilum": {},
    "released": _AS_RELEASED,
    "paper": {  # where it is silent, as released
        **_AS_RELEASED,
        "target_scale": 1,
        "contrast": "paper",
        "directions": "image",
        "temperature_form": "divisor",
        "reconstruction_weight": 0.9,
        "contrast_weight": 0.1,
    },
}


@dataclass(frozen=True)
class MaCoViews:
    """A view of the film with its mask, and a share of its report's sentences as word pieces."""

    image: MaskedViews | AffineViews
    tokenizer: WordPiece
    preparation: str  # a name of PREPARATIONS
    length: int  # T, word pieces

    def __call__(self, film: np.ndarray, rng: np.random.Generator, text: str) -> dict[str, Tensor]:
        """Film (H, W) uint8 and report -> image, mask noise, tokens (T,) and token mask (T,)."""
        views = self.image(film, rng)
        read = self.tokenizer.encode(PREPARATIONS[self.preparation](text, rng), self.length)
        return {**views, TOKENS: torch.from_numpy(read.ids), TOKEN_MASK: torch.from_numpy(read.mask)}


class MaCo(nn.Module):
    """The method: `backbone` and `towers` survive, `decoder` serves pretraining only.

    Args:
        config: what it is.
        tokenizer: what reads the reports.
    """

    reads_reports: ClassVar[bool] = True

    def __init__(self, config: Config, tokenizer: WordPiece) -> None:
        super().__init__()
        self.config, self.tokenizer, self.clock = config, tokenizer, StageClock()
        architecture = config.backbone
        self.backbone = VisionTransformer(architecture)
        self.backbone.gradient_checkpointing = config.gradient_checkpointing
        self.decoder = config.image.decoder(
            architecture, width=config.decoder_width, depth=config.decoder_depth, heads=config.decoder_heads
        )
        self.towers = None
        if config.contrast == "none":
            return
        self.towers = Towers(
            config.towers, architecture.width, architecture.patches, len(tokenizer), pad_id=tokenizer.pad_id
        )
        initialise(self.towers, "xavier")  # every linear layer; word vectors keep BERT's own start
        if self.towers.position is not None:  # every position counts the same at the start
            nn.init.zeros_(self.towers.position.weight)
        start = 1 / torch.tensor([config.temperature])
        forms = {"log": start.log(), "multiplier": start, "divisor": 1 / start}
        self.temperature = nn.Parameter(forms[config.temperature_form])

    @property
    def preprocessing(self) -> Preprocessing:
        """The record that travels with the encoder."""
        config = self.config
        mean, std = (v * config.channels if len(v) == 1 else v for v in (config.mean, config.std))
        resize: Literal["squeeze", "pad"] = "squeeze" if config.framing == "crop" else "pad"
        return Preprocessing(size=config.image_size, channels=config.channels, mean=mean, std=std, resize=resize)

    @property
    def scale(self) -> Tensor:
        """What multiplies the cosines, 1 / temperature: (1,)."""
        if self.config.temperature_form == "log":
            return self.temperature.exp()
        return self.temperature if self.config.temperature_form == "multiplier" else 1 / self.temperature

    def views(self) -> MaCoViews:
        """The transform a training film and its report go through."""
        config = self.config
        size, patches = config.target_scale * config.image_size, config.backbone.patches
        image: MaskedViews | AffineViews = (
            MaskedViews(size, patches, config.crop_scale, config.flip)
            if config.framing == "crop"
            else AffineViews(size, patches, config.rotate, config.zoom, config.flip)
        )
        return MaCoViews(image, self.tokenizer, config.preparation, config.length)

    def forward(self, batch: Mapping[str, Any], progress: float) -> Output:
        """Loss of one micro-batch; the contrast is over the micro-batches of all devices.

        Args:
            batch: `image` (B, 1, kS, kS) uint8 or (B, C, kS, kS) normalised (k is the target's scale), `mask_noise`
                (B, L), `tokens` and `token_mask` (B, T), `report_group` (B,), `has_report` (B,).
            progress: share of the run that is done; the method has no schedule.
        """
        config = self.config
        with self.clock("image"):
            encoded = self._encode(batch)
            reconstruction = config.image.loss(self.decoder, encoded)
        loss = config.reconstruction_weight * reconstruction
        scalars = {"reconstruction": reconstruction.detach()}
        if self.towers is not None:
            contrast = self._contrast(self.towers, encoded, batch)
            loss = loss + config.contrast_weight * contrast
            scalars |= {"contrast": contrast.detach(), "scale": self.scale.detach().squeeze()}
        return Output(loss, {"loss": loss.detach(), **scalars})

    def before_step(self, progress: float) -> None:
        """Nothing to do."""

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """Keep the learned temperature where the cosines are multiplied by at most 100, as CLIP does."""
        if self.config.contrast == "none" or self.config.temperature_form == "multiplier":
            return
        if self.config.temperature_form == "log":
            self.temperature.clamp_(max=float(np.log(MAX_SCALE)))
        else:
            self.temperature.clamp_(min=1 / MAX_SCALE)

    def start_from(self, path: str | Path, *, heads: int | None = None) -> tuple[str, ...]:
        """Start from a released MAE or MaCo file: see `maco_start.start_from_file`."""
        return start_from_file(self, path, heads=heads)

    def start_text_from(self, path: str | Path) -> tuple[str, ...]:
        """Start the report encoder from a BERT folder: see `maco_start.start_text_from_folder`."""
        return start_text_from_folder(self, path)

    @torch.no_grad()
    def reconstruct(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Pictures for people, `original`, `masked` and `reconstructed`: see `MaskedImage.pictures`."""
        return self.config.image.pictures(self.decoder, self._encode(batch), self.preprocessing)

    def _encode(self, batch: Mapping[str, Any]) -> Encoded:
        images = normalised_films(batch[IMAGE], self.preprocessing)
        return self.config.image.encode(self.backbone, images, batch[MASK_NOISE])

    def _contrast(self, towers: Towers, encoded: Encoded, batch: Mapping[str, Any]) -> Tensor:
        """The contrast of the global batch, the same on every device."""
        config = self.config
        with self.clock("text"):
            texts = towers.text_global(towers.text(batch[TOKENS], batch[TOKEN_MASK]))
        with self.clock("loss"):
            images = gather(towers.image_global(encoded.latent))
            texts = gather(texts)
            shared: dict[str, Any] = {
                "directions": config.directions,
                "groups": gather(batch[REPORT_GROUP]) if config.skip_twins else None,
                "has_report": gather(batch[HAS_REPORT]),
            }
            if towers.position is None:
                return clip_contrast(images, texts, self.scale, **shared)
            score = gather(importance(towers.position, encoded))
            if config.contrast == "released":
                return released_contrast(images, texts, score, self.scale, **shared)
            shared |= {"tau1": config.tau1, "tau2": config.tau2, "reduction": config.reduction}
            return paper_contrast(images, texts, score, self.scale, group_size=config.group_size, **shared)


def importance(position: nn.Linear, encoded: Encoded) -> Tensor:
    """The score p of each film's mask, from which patches it left visible: (B, 1) float32."""
    seen = torch.zeros_like(encoded.order, dtype=position.weight.dtype)
    seen = seen.scatter(1, encoded.order[:, : encoded.visible], 1.0)
    with torch.autocast(seen.device.type, enabled=False):
        return cast(Tensor, position(seen))
