"""Masked record modelling: restore the hidden part of a film, at twice its resolution, and of its report.

Paper: Advancing Radiograph Representation Learning with Masked Record Modeling, https://arxiv.org/abs/2301.13155
Official code: https://github.com/RL4M/MRM-pytorch at 3730ba4 (facts checked, nothing copied).

One vector of the visible patches is added to the embeddings of the report's words, so restoring hidden words needs
the film; both losses train the image encoder, which alone survives. Every point where paper and released code differ,
or where a table of the paper removes a part, is a field of `Config`; `VARIANTS` sets them together.

Departures: masks are drawn per sample in the loader; words are hidden with the sample's own generator; the vector of
the film is projected after the mean over patches instead of before (the same number); the language head scores only
the positions that enter the loss, whose count is taken over all devices. No value changes.
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
from hilum.losses.masked_language import masked_language_loss
from hilum.methods.clock import StageClock
from hilum.methods.masked_image import Encoded, LossOn, MaskedImage, MaskedViews, normalised_films
from hilum.methods.method import Output
from hilum.methods.mrm_start import start_from_file, start_text_from_folder
from hilum.models.decoder import MaskedDecoder
from hilum.models.initialise import initialise
from hilum.models.masked_language import MaskedLanguageHead
from hilum.models.onednn import Linear
from hilum.models.text import ReportEncoder, TextConfig
from hilum.models.vit import VisionTransformer, ViTConfig, vit_config
from hilum.schema import HAS_REPORT, IMAGE, MASK_NOISE, MASKED, TOKEN_MASK, TOKENS, Preprocessing
from hilum.transforms.masked_report import hide_words
from hilum.transforms.text import WordPiece

_CHOICES: Final = {
    "image_loss_on": ("masked", "all"),
    "image_pool": ("mean", "max"),
    "image_vector_on": ("all", "visible", "none"),
    "report_masking": ("word", "token"),
    "report_loss_on": ("masked", "all"),
    "missing_reports": ("drop", "keep"),
}


@dataclass(frozen=True)
class Config:
    """What masked record modelling is and how it sees films and reports."""

    model: str = "vit_base_patch16"  # a name of models.vit.VIT_SIZES
    image_size: int = 224  # pixels a side of the encoder's input
    channels: int = 3  # grey is repeated; 3 lets ImageNet weights load
    vit: dict[str, Any] = field(default_factory=dict)  # more fields of ViTConfig, e.g. patch_size, depth
    decoder_width: int = 768
    decoder_depth: int = 4  # blocks
    decoder_heads: int = 6
    mask_ratio: float = 0.75  # share of hidden patches; 0: the encoder sees all (Table 5b)
    image_loss: bool = True  # restore the film (Table 4)
    image_loss_on: LossOn = "masked"  # patches in the loss; `all` where nothing is hidden
    image_weight: float = 1.0  # lambda of Eq. 3
    super_resolution: bool = True  # targets at twice the encoder's resolution (Table 4)
    antialias: bool = True  # of the resize to the encoder's input; off aliases every fine structure into noise
    norm_pix: bool = True  # targets standardised per patch, as in MAE: structure, not exposure
    crop_scale: tuple[float, float] = (0.2, 1.0)  # share of the film's area in a random crop
    flip: float = 0.0  # probability; off: the report says left and right
    mean: tuple[float, ...] = (0.4978,)  # on the [0, 1] scale; one value, or one a channel (released code: MIMIC's)
    std: tuple[float, ...] = (0.2449,)
    report_loss: bool = True  # restore the report (Table 4)
    report_ratio: float = 0.5  # probability that a word is hidden
    report_masking: Literal["word", "token"] = "word"  # a hidden piece beside its visible rest is too easy
    report_loss_on: Literal["masked", "all"] = "masked"  # positions in the loss; visible words and padding teach little
    image_pool: Literal["mean", "max"] = "mean"  # of visible patches to one vector: GAP or GMP (Table 5a)
    image_vector_on: Literal["all", "visible", "none"] = "all"  # words that get it; none: the report alone, a control
    report_to_image: bool = False  # visible words are added to the patches that the image decoder gets (Table 4)
    tied: bool = True  # the output matrix is the table of word vectors: a third of the text weights less, as BERT
    text: TextConfig = field(default_factory=TextConfig)
    length: int = 100  # word pieces of a report that are read
    sections: tuple[str, ...] = ()  # of the report; () is the whole text, headings and all
    missing_reports: Literal["drop", "keep"] = "drop"  # keep: films without a report teach through their pixels alone
    gradient_checkpointing: bool = False  # recompute block activations of the encoder to save memory

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is {getattr(self, name)!r} and must be one of {known}", where="mrm")
        checks = (
            (self.image_loss or self.report_loss, "with neither loss nothing is learned: judge the start itself"),
            (0 < self.report_ratio <= 1, f"report_ratio is {self.report_ratio} and must lie in (0, 1]"),
            (self.image_weight > 0, f"image_weight is {self.image_weight}; to leave the film out set image_loss=false"),
            (self.length <= self.text.positions, f"length {self.length} exceeds {self.text.positions} text positions"),
            (self.length >= 3, f"length is {self.length}: no room for a word"),
            (self.image_loss or self.image_vector_on != "none", "image_vector_on=none needs the image loss"),
            (self.report_loss or not self.report_to_image, "report_to_image needs the report loss"),
            (self.image_loss or not self.report_to_image, "report_to_image needs the image loss"),
        )
        for holds, what in checks:
            if not holds:
                raise ConfigError(what, where="mrm")
        for values in (self.mean, self.std):
            if len(values) not in (1, self.channels):
                raise ConfigError(f"mean and std need one value or one for each of {self.channels}", where="mrm")
        _ = self.image, self.crops  # they refuse their own

    @property
    def backbone(self) -> ViTConfig:
        """The encoder's architecture: fixed sine-cosine positions unless `vit` says otherwise."""
        fixed = {"image_size": self.image_size, "channels": self.channels}
        return vit_config(self.model, **{"position": "sincos", **self.vit, **fixed})

    @property
    def image(self) -> MaskedImage:
        """How films are hidden and what is predicted of them."""
        return MaskedImage(
            self.backbone.patch_size,
            self.mask_ratio,
            self.norm_pix,
            scale=2 if self.super_resolution else 1,
            antialias=self.antialias,
            loss_on=self.image_loss_on if self.mask_ratio > 0 else "all",
        )

    @property
    def crops(self) -> MaskedViews:
        """The image part of the transform of a training film."""
        return MaskedViews(self.image.scale * self.image_size, self.backbone.patches, self.crop_scale, self.flip)


PRESETS: Final[dict[str, Config]] = {
    "mrm": Config(),
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
        text=TextConfig(width=128, depth=2, heads=4, hidden=512, positions=100),
    ),
}

# The released code, with its own defaults and launch script.
_RELEASED: Final[dict[str, Any]] = {
    "antialias": False,  # tensors on torchvision < 0.17
    "norm_pix": True,  # the flag of the launch script
    "flip": 0.5,
    "mean": (0.4978,),
    "std": (0.2449,),
    "report_masking": "word",
    "report_loss_on": "all",  # visible words, [CLS] and padding too
    "image_vector_on": "all",
    "tied": False,
    "text": {"position": "learned", "dropout": 0.1},
}
VARIANTS: Final[dict[str, Mapping[str, Any]]] = {
    "hilum": {},
    "released": _RELEASED,
    # What the paper says otherwise; where it is silent, its numbers came from the released code.
    "paper": {
        **_RELEASED,
        "norm_pix": False,  # section 3.2: pixels normalised to [0, 1]
        "mean": (0.0,),
        "std": (1.0,),
        "report_masking": "token",  # section 3.1
        "report_loss_on": "masked",  # Eq. 1
        "image_vector_on": "visible",  # section 3.1
        "text": {"position": "sincos", "dropout": 0.1},  # section 3.1; appendix A.2 says learnable
    },
}


@dataclass(frozen=True)
class RecordViews:
    """A masked crop of the film and a masked reading of its report."""

    image: MaskedViews
    tokenizer: WordPiece
    length: int  # T, word pieces
    ratio: float  # probability that a word is hidden
    whole_words: bool

    def __call__(self, film: np.ndarray, rng: np.random.Generator, text: str) -> dict[str, Tensor]:
        """Film (H, W) uint8 and report -> image, mask noise, tokens (T,), token mask (T,) and masked (T,)."""
        views = self.image(film, rng)
        reader = self.tokenizer
        read = reader.encode(text, self.length)
        hidden = hide_words(
            read.ids,
            reader.continues,
            rng.random,
            ratio=self.ratio,
            whole_words=self.whole_words,
            pad_id=reader.pad_id,
            kept=() if reader.sep_id is None else (reader.sep_id,),
        )
        return {
            **views,
            TOKENS: torch.from_numpy(read.ids),
            TOKEN_MASK: torch.from_numpy(read.mask),
            MASKED: torch.from_numpy(hidden),
        }


class MRM(nn.Module):
    """The method: `backbone` survives, the other parts serve pretraining and `hilum restore`.

    `decoder` draws the film; `bridge` makes the film's vector fit the words; `report` reads the hybrid words; `words`
    scores the vocabulary; `words_to_image` carries visible words to the image decoder. A part that the configuration
    leaves out is None.
    """

    reads_reports: ClassVar[bool] = True

    def __init__(self, config: Config, tokenizer: WordPiece) -> None:
        super().__init__()
        self.config, self.tokenizer, self.clock = config, tokenizer, StageClock()
        encoder, text = config.backbone, config.text
        config.image.check_visible(encoder.patches)
        self.backbone = VisionTransformer(encoder)
        self.backbone.gradient_checkpointing = config.gradient_checkpointing
        self.decoder: MaskedDecoder | None = None
        self.bridge: nn.Module | None = None
        self.report: ReportEncoder | None = None
        self.words: MaskedLanguageHead | None = None
        self.words_to_image: nn.Module | None = None
        if config.image_loss:
            self.decoder = config.image.decoder(
                encoder, width=config.decoder_width, depth=config.decoder_depth, heads=config.decoder_heads
            )
        if config.report_loss:
            if config.image_vector_on != "none":
                self.bridge = Linear(encoder.width, text.width)
                initialise(self.bridge, "xavier")
            self.report = ReportEncoder(text, len(tokenizer), pad_id=tokenizer.pad_id)
            initialise(self.report, "xavier")  # every linear layer; word vectors keep BERT's own start
            self.words = MaskedLanguageHead(text.width, len(tokenizer), tied=config.tied, norm_eps=text.norm_eps)
        if config.report_to_image:
            self.words_to_image = Linear(text.width, encoder.width)
            initialise(self.words_to_image, "xavier")

    @property
    def preprocessing(self) -> Preprocessing:
        """The record that travels with the encoder."""
        config = self.config
        mean, std = (v * config.channels if len(v) == 1 else v for v in (config.mean, config.std))
        return Preprocessing(size=config.image_size, channels=config.channels, mean=mean, std=std)

    def views(self) -> RecordViews:
        """The transform a training film and its report go through."""
        config = self.config
        whole = config.report_masking == "word"
        return RecordViews(config.crops, self.tokenizer, config.length, config.report_ratio, whole)

    def forward(self, batch: Mapping[str, Any], progress: float) -> Output:
        """Loss of one micro-batch.

        Args:
            batch: `image` (B, 1, kS, kS) uint8 or (B, C, kS, kS) normalised, k = 2 with super-resolution;
                `mask_noise` (B, L); `tokens`, `token_mask`, `masked` (B, T); `has_report` (B,), all where absent.
            progress: share of the run that is done; the method has no schedule.
        """
        config = self.config
        losses: dict[str, Tensor] = {}
        with self.clock("image"):
            encoded = self.encode(batch)
            if self.decoder is not None:
                latent = self._with_words(encoded, batch)
                losses["image_loss"] = config.image.loss(self.decoder, encoded, latent)
        if self.report is not None:
            with self.clock("text"):
                hidden = self.read(batch, self.image_vector(encoded))
            with self.clock("loss"):
                chosen = self._scored(batch)
                logits = self.score(hidden[chosen])
                losses["report_loss"] = masked_language_loss(logits, batch[TOKENS][chosen])
        weights = {"image_loss": config.image_weight, "report_loss": 1.0}
        loss = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        return Output(loss, {"loss": loss.detach(), **{name: value.detach() for name, value in losses.items()}})

    def before_step(self, progress: float) -> None:
        """Nothing to do."""

    def after_step(self, progress: float) -> None:
        """Nothing to do."""

    def start_from(self, path: str | Path, *, heads: int | None = None) -> tuple[str, ...]:
        """Start from a released MAE file (the encoder) or MRM file (every part that fits): see `mrm_start`."""
        return start_from_file(self, path, heads=heads)

    def start_text_from(self, path: str | Path) -> tuple[str, ...]:
        """Start the report decoder from a BERT folder: see `mrm_start`."""
        return start_text_from_folder(self, path)

    # --- the parts of a forward pass, for evaluation too --------------------------------------------------------------

    def encode(self, batch: Mapping[str, Any]) -> Encoded:
        """The visible patches of the films `image`, chosen by `mask_noise`."""
        images = normalised_films(batch[IMAGE], self.preprocessing)
        return self.config.image.encode(self.backbone, images, batch[MASK_NOISE])

    def image_vector(self, encoded: Encoded) -> Tensor | None:
        """The film for the report decoder, (B, text width): its visible patches pooled; None for the report alone."""
        if self.bridge is None:
            return None
        if self.config.image_pool == "mean":
            return cast(Tensor, self.bridge(encoded.patches.mean(dim=1)))
        return cast(Tensor, self.bridge(encoded.patches).amax(dim=1))

    def read(self, batch: Mapping[str, Any], vector: Tensor | None) -> Tensor:
        """The report decoder's states (B, T, text width) over hidden and visible words.

        Args:
            batch: `tokens`, `token_mask`, `masked` (B, T).
            vector: (B, text width) of `image_vector`, or another in its place; None reads the report alone.
        """
        assert self.report is not None
        hidden = batch[MASKED]
        ids = batch[TOKENS].masked_fill(hidden, self.tokenizer.mask_id)
        added = None if vector is None else vector[:, None]
        if added is not None and self.config.image_vector_on == "visible":
            added = added * self._visible(batch)[..., None]
        states: Tensor = self.report(ids, batch[TOKEN_MASK], added=added).tokens
        return states

    def score(self, hidden: Tensor) -> Tensor:
        """Scores of the vocabulary: (..., text width) -> (..., V)."""
        assert self.words is not None
        return cast(Tensor, self.words(hidden, self._table().weight))

    @torch.no_grad()
    def reconstruct(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Pictures for people, `original`, `masked` and `reconstructed`: see `MaskedImage.pictures`."""
        encoded = self.encode(batch)
        latent = self._with_words(encoded, batch)
        return self.config.image.pictures(self.decoder, encoded, self.preprocessing, latent)

    def _table(self) -> nn.Embedding:
        assert self.report is not None
        table: nn.Embedding = self.report.bert.embeddings.word_embeddings
        return table

    def _visible(self, batch: Mapping[str, Any]) -> Tensor:
        """(B, T) bool: neither hidden nor padding."""
        return cast(Tensor, batch[TOKEN_MASK].bool() & ~batch[MASKED])

    def _scored(self, batch: Mapping[str, Any]) -> Tensor:
        """(B, T) bool: the positions in the report loss; none of a film without a report."""
        hidden: Tensor = batch[MASKED]
        chosen = hidden if self.config.report_loss_on == "masked" else torch.ones_like(hidden)
        return chosen & batch[HAS_REPORT][:, None] if HAS_REPORT in batch else chosen

    def _with_words(self, encoded: Encoded, batch: Mapping[str, Any]) -> Tensor | None:
        """The encoder's tokens with the mean of the visible words added to the patches; None without that switch."""
        if self.words_to_image is None:
            return None
        seen = self._visible(batch)[..., None]
        mean = (self._table()(batch[TOKENS]) * seen).sum(dim=1) / seen.sum(dim=1).clamp(min=1)
        added = self.words_to_image(mean)[:, None]
        if HAS_REPORT in batch:
            added = added * batch[HAS_REPORT][:, None, None]
        first = encoded.latent[:, : -encoded.visible]
        return torch.cat([first, encoded.patches + added], dim=1)
