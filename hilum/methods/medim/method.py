"""MedIM: let the report say which regions of the film are hidden, and restore them, on top of MGCA's alignment.

Papers: MedIM, Boost Medical Image Representation via Radiology Report-Guided Masking (MICCAI 2023),
    https://doi.org/10.1007/978-3-031-43907-0_2; the alignment is MGCA's, https://arxiv.org/abs/2210.06044
Official code: https://github.com/YtongXie/MedIM at 825599e, https://github.com/HKU-MedAI/MGCA at 680fe4a (facts
    checked, nothing copied).

The encoder sees the whole film. Its feature map is masked afterwards, once where the report's terms look (KWM) and once
where one of its sentences looks (SDM), and a small decoder draws the film from each masked map. Where words look comes
from the alignment of films with reports: global vectors, words with patches, prototypes.

Departures of the default: films that share a study or a report are no negatives of each other; contrast, codes and
batch statistics span all devices; terms of several words and plurals are found; padded words take part in nothing; a
film without a term is masked at random at the same ratio; grey films are jittered in intensity only. A ResNet's map is
decoded by the same decoder as a ViT's instead of a U-Net. The rest of the differences is in `config.VARIANTS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.losses.alignment import region_alignment, token_alignment
from hilum.losses.contrastive import clip_contrast
from hilum.losses.gather import gather, total, world
from hilum.losses.prototype import prototype_alignment
from hilum.losses.restoration import restoration_error
from hilum.methods.clock import StageClock
from hilum.methods.medim.config import PRESETS, VARIANTS, Config
from hilum.methods.medim.start import start_image_side
from hilum.methods.medim.views import PIECE_WORDS, SENTENCE_WORDS, TERM_WORDS, MedIMViews
from hilum.methods.method import Output
from hilum.models.report_masks import report_attention, select_cells
from hilum.models.report_words import words_of
from hilum.models.resnet import ResNet, ResNetConfig
from hilum.models.restoration_decoder import HEADS, RestorationDecoder
from hilum.models.start_text import start_report_encoder
from hilum.models.text import ReportEncoder, TextFeatures
from hilum.models.towers import Towers
from hilum.models.vit import VisionTransformer
from hilum.schema import HAS_REPORT, IMAGE, MASK_NOISE, REPORT_GROUP, TOKEN_MASK, TOKENS, Preprocessing
from hilum.transforms.image import denormalise, normalise
from hilum.transforms.text.wordpiece import WordPiece

__all__ = ["PRESETS", "VARIANTS", "Config", "MedIM"]

WORD, SENTENCE = HEADS
CHOSEN: Final = {WORD: TERM_WORDS, SENTENCE: SENTENCE_WORDS}  # which words each mask follows


@dataclass(frozen=True)
class Film:
    """What the encoder made of a batch of films."""

    pixels: Tensor  # (B, C, H, W) in [-1, 1], what is to be restored
    map: Tensor  # (B, P, D) features of the cells
    cells: Tensor  # (B, P, E) unit vectors of the cells
    whole: Tensor  # (B, E) vectors of the films, any length
    seen: Tensor | None  # (B, P) attention of the class token, without gradient; None for a ResNet


@dataclass(frozen=True)
class Report:
    """What the text encoder made of their reports."""

    words: Tensor  # (B, W, E) unit vectors; zero where no word enters
    real: Tensor  # (B, W) bool
    weights: Tensor  # (B, W) attention of [CLS]
    whole: Tensor  # (B, E), any length; zero for films without a report


@dataclass(frozen=True)
class Mask:
    """Where a report looks and what is hidden for it."""

    attention: Tensor  # (B, P)
    hidden: Tensor  # (B, P) bool
    guided: Tensor  # (B,) bool: some word was attended to


class MedIM(nn.Module):
    """The method: `backbone` and `towers` survive, prototypes and decoder serve pretraining only.

    Args:
        config: what it is.
        tokenizer: what reads the reports.
    """

    reads_reports: ClassVar[bool] = True

    def __init__(self, config: Config, tokenizer: WordPiece) -> None:
        super().__init__()
        self.config, self.tokenizer, self.clock = config, tokenizer, StageClock()
        architecture, sync = config.backbone, not config.per_device
        self.backbone: VisionTransformer | ResNet
        if isinstance(architecture, ResNetConfig):
            self.backbone, local_width = ResNet(architecture, sync=sync), architecture.local_width
        else:
            self.backbone, local_width = VisionTransformer(architecture), architecture.width
            self.backbone.gradient_checkpointing = config.gradient_checkpointing
        self.towers = Towers(
            config.towers,
            architecture.width,
            architecture.patches,
            len(tokenizer),
            pad_id=tokenizer.pad_id,
            local_width=local_width,
        )
        self.prototypes = nn.Parameter(F.normalize(torch.randn(config.prototypes, config.dim), dim=1))
        self.decoder: RestorationDecoder | None = None
        self.mask_token: nn.Parameter | None = None
        if config.restores:
            self.decoder = RestorationDecoder(
                local_width, config.decoder, config.channels, heads=config.restores, sync=sync
            )
            if config.mask_value == "learned" and config.selection != "none":
                self.mask_token = nn.Parameter(torch.zeros(local_width))

    @property
    def preprocessing(self) -> Preprocessing:
        """The record that travels with the encoder."""
        config = self.config
        return Preprocessing(
            size=config.image_size, channels=config.channels, mean=config.mean, std=config.std, resize=config.framing
        )

    def views(self) -> MedIMViews:
        """The transform a training film and its report go through."""
        return MedIMViews(self.config, self.tokenizer, self.backbone.config.patches)

    def forward(self, batch: Mapping[str, Any], progress: float) -> Output:
        """Loss of one micro-batch; contrast and prototypes are over the micro-batches of all devices.

        Args:
            batch: what `views` gives for each film, stacked: `image` uint8 or (B, C, S, S) normalised; `report_group`
                and `has_report` (B,).
            progress: share of the run that is done; see `before_step`.
        """
        config = self.config
        with self.clock("image"):
            film = self._film(batch)
        with self.clock("text"):
            report = self._report(batch)
        with self.clock("loss"):
            ita, local, proto = self._alignment(film, report, batch)
            loss = config.ita_weight * ita + config.local_weight * local + config.proto_weight * proto
            scalars = {"ita": ita, "local": local, "proto": proto}
            if self.decoder is not None:
                masks = self._masks(film, report, batch)
                errors = self._restoration(film, masks)
                loss = loss + config.restore_weight * sum(errors.values())
                scalars |= {f"restore_{head}": error for head, error in errors.items()}
                scalars |= _counts(masks, batch[HAS_REPORT])
        return Output(loss, {name: value.detach() for name, value in {"loss": loss, **scalars}.items()})

    def before_step(self, progress: float) -> None:
        """Keep the prototypes as they are at the start of the run."""
        if progress < self.config.frozen_prototypes:
            self.prototypes.grad = None

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """Make the prototypes unit length again."""
        self.prototypes.copy_(F.normalize(self.prototypes, dim=1))

    def start_from(self, path: str | Path, *, heads: int | None = None) -> tuple[str, ...]:
        """Start the image side from a file: MedIM's or MGCA's, a supervised ViT (DeiT), or an MAE.

        Args:
            path: .ckpt, .pth or .safetensors.
            heads: attention heads of the file's encoder, which no tensor tells; this model's where omitted.

        Returns:
            What was used and what was not, one line each.

        Raises:
            CheckpointError: damaged, or of another architecture; nothing has changed then.
        """
        return start_image_side(self.backbone, self.towers, path, heads=heads)

    def start_text_from(self, path: str | Path) -> tuple[str, ...]:
        """Start the report encoder from a BERT folder, its first layers; errors as in `start_from`."""
        assert isinstance(self.towers.text, ReportEncoder)  # as its configuration says
        return start_report_encoder(self.towers.text, path)

    @torch.no_grad()
    def look(self, batch: Mapping[str, Any]) -> dict[str, Mask]:
        """Where terms ("word") and a sentence ("sent") look, and the masks of each, for pictures and measures."""
        film, report = self._film(batch), self._report(batch)
        return self._masks(film, report, batch)

    @torch.no_grad()
    def restore(self, batch: Mapping[str, Any]) -> dict[str, tuple[Mask, Tensor]]:
        """The masks and what the decoder draws of each, (B, C, H, W) in [-1, 1]; nothing without restoration."""
        film, report = self._film(batch), self._report(batch)
        masks = self._masks(film, report, batch)
        drawn = self._draw(film, masks) if masks else {}
        return {head: (masks[head], drawing.tanh()) for head, drawing in drawn.items()}

    @torch.no_grad()
    def reconstruct(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Pictures for people: `original`, `masked` (hidden cells mid-grey) and `reconstructed` whole from the rest.

        Of the first mask there is (terms before a sentence); each (B, C, H, W) in [0, 1]. Without restoration all three
        are the film.
        """
        told = {**batch, HAS_REPORT: batch[PIECE_WORDS].amax(1) >= 0}
        pixels = self._film(told).pixels / 2 + 0.5
        restored = self.restore(told)
        if not restored:
            return dict.fromkeys(("original", "masked", "reconstructed"), pixels)
        mask, drawn = restored[self.config.restores[0]]
        hidden = mask.hidden.float().reshape(-1, 1, *self.backbone.config.grid)
        hidden = F.interpolate(hidden, size=pixels.shape[-2:], mode="nearest").bool()
        return {"original": pixels, "masked": pixels.masked_fill(hidden, 0.5), "reconstructed": drawn / 2 + 0.5}

    def _film(self, batch: Mapping[str, Any]) -> Film:
        images = normalise(batch[IMAGE], self.preprocessing)
        if isinstance(self.backbone, ResNet):
            local, last = self.backbone.forward_maps(images)
            cells, tokens, seen = local.flatten(2).transpose(1, 2), last.mean((2, 3))[:, None], None
        else:
            prefix = self.backbone.num_prefix_tokens
            tokens, weights = self.backbone.forward_with_attention(images)
            cells, seen = tokens[:, prefix:], weights.mean(1)[:, prefix:]
        unit = F.normalize(self.towers.image_local(cells), dim=2)
        pixels = 2 * denormalise(images, self.preprocessing) - 1
        if isinstance(self.backbone, ResNet):
            pixels = self.backbone.enlarge(pixels)
        return Film(pixels, cells, unit, self.towers.image_global(tokens), seen)

    def _report(self, batch: Mapping[str, Any]) -> Report:
        """Read the reports; projections and their batch statistics see reports and words that are there, only."""
        config, towers = self.config, self.towers
        mask, numbers = batch[TOKEN_MASK], batch[PIECE_WORDS]
        longest = mask.shape[1] if config.padded_words else int(mask.sum(1).max())
        mask, numbers = mask[:, :longest], numbers[:, :longest]
        features = towers.text(batch[TOKENS][:, :longest], mask, attentions=True)
        assert features.attention is not None
        words = words_of(features.tokens, features.attention, numbers, mask, config.word_rule)
        has = batch[HAS_REPORT]
        real = words.real & has[:, None]
        entering = has[:, None].expand_as(real) if config.padded_words else real
        projected = towers.text_local(words.vectors[entering][None])[0]
        unit = F.normalize(projected, dim=1)
        local = unit.new_zeros(*real.shape, unit.shape[-1])
        local[entering] = unit
        of_reports = towers.text_global(TextFeatures(features.tokens[has], None, None))
        whole = of_reports.new_zeros(len(has), of_reports.shape[-1])
        whole[has] = of_reports
        return Report(local, real, words.weights * real, whole)

    def _alignment(self, film: Film, report: Report, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        """ITA, token and prototype losses; their means over devices are those of the global batch."""
        config = self.config
        vectors = [film.whole, report.whole, batch[HAS_REPORT], batch[REPORT_GROUP]]
        if not config.per_device:
            vectors = [gather(vector) for vector in vectors]
        images, reports, has, groups = vectors
        ita = clip_contrast(
            images,
            reports,
            1 / config.temperature,
            directions="sum",
            groups=groups if config.skip_twins else None,
            has_report=has,
        )
        proto = prototype_alignment(
            F.normalize(images[has], dim=1),
            F.normalize(reports[has], dim=1),
            self.prototypes,
            temperature=config.proto_temperature,
            epsilon=config.epsilon,
            iterations=config.sinkhorn_iterations,
        )
        local = self._regions if config.local == "films" else self._tokens
        return ita, local(film, report, batch), proto

    def _tokens(self, film: Film, report: Report, batch: Mapping[str, Any]) -> Tensor:
        """MGCA's token loss, the mean over films with a report."""
        of_words, of_cells = token_alignment(
            report.words,
            film.cells,
            report.real,
            report.weights,
            film.seen,
            temperature=self.config.local_temperature,
            normalise_patch_context=film.seen is None,  # MGCA's two encoders differ in this
            padding_competes=self.config.padded_words,
        )
        films = total(batch[HAS_REPORT].sum()).clamp(min=1) / world()
        return (of_words + of_cells).sum() / films

    def _regions(self, film: Film, report: Report, batch: Mapping[str, Any]) -> Tensor:
        """Our region loss over the films of the global batch whose report has words."""
        config = self.config
        seen = film.cells.new_ones(film.cells.shape[:2]) if film.seen is None else film.seen
        parts = [film.cells, seen, report.words, report.real, report.weights, batch[REPORT_GROUP]]
        if not config.per_device:
            room = config.length - report.real.shape[1]  # devices cut padding off at their own longest report
            parts[2:5] = F.pad(parts[2], (0, 0, 0, room)), F.pad(parts[3], (0, room)), F.pad(parts[4], (0, room))
            parts = [gather(part) for part in parts]
        told, longest = parts[3].any(1), max(int(parts[3].sum(1).max()), 1)
        cells, seen, words, real, weights, groups = (part[told] for part in parts)
        return region_alignment(
            words[:, :longest],
            cells,
            real[:, :longest],
            weights[:, :longest],
            seen,
            groups=groups if config.skip_twins else None,
            temperature=config.local_temperature,
        )

    def _masks(self, film: Film, report: Report, batch: Mapping[str, Any]) -> dict[str, Mask]:
        """What is hidden of each film's map, for each head of the decoder."""
        config, masks = self.config, {}
        count = report.real.shape[1]
        for number, head in enumerate(HEADS):
            if head not in config.restores:
                continue
            chosen = F.pad(batch[CHOSEN[head]], (0, count))[:, :count] & report.real
            noise = batch[MASK_NOISE][:, number]
            attention = report_attention(report.words, film.cells, chosen, config.local_temperature)
            hidden = select_cells(attention, noise, config.selection, config.mask_ratio, config.diverse_share)
            guided = chosen.any(1)
            if config.without_terms == "random" and config.selection != "none":
                anywhere = select_cells(attention, noise, "random", config.mask_ratio)
                hidden = torch.where(guided[:, None], hidden, anywhere)
            masks[head] = Mask(attention, hidden, guided)
        return masks

    def _draw(self, film: Film, masks: Mapping[str, Mask]) -> dict[str, Tensor]:
        """The decoder's drawings from the masked maps, (B, C, H, W) before tanh."""
        assert self.decoder is not None
        instead = film.map.new_zeros(()) if self.mask_token is None else self.mask_token.to(film.map.dtype)
        grid = self.backbone.config.grid
        maps = [
            torch.where(mask.hidden[..., None], instead, film.map).transpose(1, 2).reshape(len(film.map), -1, *grid)
            for mask in masks.values()
        ]
        return dict(zip(masks, self.decoder(maps), strict=True))

    def _restoration(self, film: Film, masks: Mapping[str, Mask]) -> dict[str, Tensor]:
        """The restoration error of each head."""
        only_hidden = self.config.restored == "hidden"
        grid = self.backbone.config.grid
        cells = {head: mask.hidden.reshape(-1, *grid) if only_hidden else None for head, mask in masks.items()}
        drawn = self._draw(film, masks)
        return {head: restoration_error(drawing, film.pixels, cells[head]) for head, drawing in drawn.items()}


def _counts(masks: Mapping[str, Mask], has_report: Tensor) -> dict[str, Tensor]:
    """Films of the micro-batch whose report has no term (`films_without_terms`), and the share of cells hidden."""
    counts = {f"hidden_{head}": mask.hidden.float().mean() for head, mask in masks.items()}
    if WORD in masks:
        counts["films_without_terms"] = (~masks[WORD].guided & has_report).sum().float()
    return counts
