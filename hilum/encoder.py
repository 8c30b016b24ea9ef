"""A pretrained encoder as a user meets it: weights, architecture and preprocessing in one object.

enc = hilum.load("RUN")                      # a run, encoder or checkpoint folder, or a released file
x = torch.stack([enc.transform(film)])       # film: (H, W), uint8 or float in [0, 1]
enc.embed(x)                                 # (1, D)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hilum.checkpoint import CONFIG, FILES, TOKENIZER, WEIGHTS, load_checkpoint, read_config, save_checkpoint
from hilum.errors import CheckpointError, ConfigError
from hilum.heads.taps import Taps, taps_of
from hilum.lookup import lookup
from hilum.model_card import Statement, model_card
from hilum.models import pooling
from hilum.models.backbone import (
    Backbone,
    Convolutional,
    architecture_from_json,
    architecture_to_json,
    build_backbone,
    local_width,
)
from hilum.models.fill import fill
from hilum.models.towers import Towers, towers_from_json
from hilum.schema import Preprocessing
from hilum.transforms.image import prepare_film
from hilum.transforms.text import PREPARATIONS, Tokenizer, read_tokenizer

DOORS = {"hub": "hilum.exporting.hub:push"}  # rooms above this one, reached by name
EXPORTED = "hilum"  # key of config.json that holds our record in a folder of another format
TOWERS = "towers."  # prefix of the weights that compare films with reports
Pool = pooling.Pool  # what speaks for a film


class Encoder:
    """A network with the transform it was trained behind.

    Args:
        model: the network.
        preprocessing: how a film becomes its input.
        origin: where the weights come from (method, data, run), for model cards and results.
        towers: what puts films and reports into one space, where it was trained with reports.
        tokenizer: what reads them.
        pool: the vector that speaks for a film where no one says otherwise; the one its authors use.
    """

    def __init__(
        self,
        model: Backbone,
        preprocessing: Preprocessing,
        origin: Mapping[str, Any] | None = None,
        *,
        towers: Towers | None = None,
        tokenizer: Tokenizer | None = None,
        pool: Pool = "cls",
    ) -> None:
        assert towers is None or tokenizer is not None
        self.model, self.preprocessing, self.origin = model.eval(), preprocessing, dict(origin or {})
        self.towers, self.tokenizer = towers.eval() if towers is not None else None, tokenizer
        self.pool: Pool = pool

    @property
    def width(self) -> int:
        """D, features of one token."""
        return self.model.config.width

    def transform(self, film: np.ndarray) -> Tensor:
        """A film (H, W), uint8 or float in [0, 1], as the encoder's input (C, S, S) float32."""
        return prepare_film(film, self.preprocessing)

    @torch.no_grad()
    def embed(self, images: Tensor, pool: Pool | None = None) -> Tensor:
        """One vector a film: images (B, C, H, W) as `transform` gives them -> (B, D), or (B, 2D) for "cls+mean".

        Args:
            images: normalised films.
            pool: the class token, the mean of the patch tokens, or both side by side, after the final norm; the
                encoder's own where omitted.
        """
        return pooling.pool_tokens(self.model, self.model.forward_features(images), pool or self.pool)

    @torch.no_grad()
    def tokens(self, images: Tensor) -> Tensor:
        """Patch tokens after the final norm, row by row: (B, C, H, W) -> (B, P, D)."""
        return self.model.forward_features(images)[:, self.model.num_prefix_tokens :]

    @torch.no_grad()
    def taps(self, images: Tensor, blocks: int = 4) -> Taps:
        """Class and patch tokens of the last blocks after the final norm, oldest block's channels first.

        Args:
            images: (B, C, H, W) normalised films.
            blocks: how many; a convolutional encoder has one map.

        Returns:
            `cls` (B, blocks * D) and `patches` (B, P, blocks * D).

        Raises:
            ConfigError: more blocks than the encoder has.
        """
        return taps_of(self.model, images, blocks)

    @torch.no_grad()
    def attention(self, images: Tensor, block: int = -1) -> Tensor:
        """Attention weights of one block: (B, C, H, W) -> (B, heads, 1 + R + P, 1 + R + P).

        Raises:
            CheckpointError: a convolutional encoder, which has none.
        """
        if isinstance(self.model, Convolutional):
            what = "a convolutional encoder has no attention"
            raise CheckpointError(what, where="--encoder", fix="Use a Vision Transformer")
        return self.model.attention(images, block)

    def require_towers(self) -> tuple[Towers, Tokenizer]:
        """What compares films with reports.

        Raises:
            CheckpointError: the encoder was trained without reports.
        """
        if self.towers is None or self.tokenizer is None:
            converted = self.origin.get("layout")
            name = self.origin.get("method", converted or "origin unknown")
            raise CheckpointError(
                f"the encoder ({name}) has no text tower: it cannot compare films with text",
                where=self.origin.get("file", "--encoder"),
                fix="Convert it with --tokenizer, if it is one that reads text (chexzero, biomedclip, ...)"
                if converted
                else "Give one that was pretrained with maco or medim, or a released one that reads text",
            )
        return self.towers, self.tokenizer

    @torch.no_grad()
    def project(self, images: Tensor) -> Tensor:
        """One vector a film in the space it shares with reports, raw: (B, C, H, W) -> (B, E)."""
        towers, _ = self.require_towers()
        return towers.image_global(self.model.forward_features(images))

    @torch.no_grad()
    def project_tokens(self, images: Tensor) -> Tensor:
        """One vector a patch in the space it shares with words, raw, row by row: (B, C, H, W) -> (B, P, E)."""
        towers, _ = self.require_towers()
        if isinstance(self.model, Convolutional) and towers.config.image_local_head != "same":
            return towers.image_local(self.model.forward_maps(images)[0].flatten(2).transpose(1, 2))
        return towers.image_local(self.tokens(images))

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str], batch_size: int = 64) -> Tensor:
        """One vector a text in the space it shares with films, raw: N texts -> (N, E), on the encoder's device."""
        towers, tokenizer = self.require_towers()
        prepare, length = PREPARATIONS[towers.config.preparation], towers.config.length
        device = next(towers.parameters()).device
        read = [tokenizer.encode(prepare(text, None), length) for text in texts]
        parts = [torch.zeros(0, towers.config.dim, device=device)]
        for start in range(0, len(read), batch_size):
            chunk = read[start : start + batch_size]
            ids, mask = (torch.from_numpy(np.stack([getattr(r, name) for r in chunk])) for name in ("ids", "mask"))
            longest = int(mask.sum(dim=1).max())  # padding changes nothing but the time it takes
            features = towers.text(ids[:, :longest].to(device), mask[:, :longest].to(device))
            parts.append(towers.text_global(features))
        return torch.cat(parts)

    @property
    def position_prior(self) -> Tensor | None:
        """Learned importance of each patch position, raw weights (P,); None where none was learned."""
        layer = self.towers.position if self.towers is not None else None
        return None if layer is None else layer.weight.detach()[0]

    def to(self, device: str | torch.device) -> Encoder:
        """Move the weights; returns itself."""
        self.model.to(device)
        if self.towers is not None:
            self.towers.to(device)
        return self

    def describe(self) -> dict[str, Any]:
        """What goes into config.json beside the weights."""
        towers = {} if self.towers is None else {"towers": self.towers.config.to_json()}
        return {
            "kind": "encoder",
            "architecture": architecture_to_json(self.model.config),
            "preprocessing": self.preprocessing.to_json(),
            "pool": self.pool,
            **towers,
            "origin": self.origin,
        }

    def save(self, folder: str | Path) -> Path:
        """Write model.safetensors, config.json and the model card.

        Raises:
            UserError: the folder cannot be written; nothing half-written stays.
        """
        folder = Path(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        weights = self.model.state_dict()
        if self.towers is not None:
            weights.update({TOWERS + key: value for key, value in self.towers.state_dict().items()})
        tokenizer = self.tokenizer.to_json() if self.tokenizer is not None else None
        description = self.describe()
        card = model_card(description, sum(weight.numel() for weight in self.model.parameters()))
        return save_checkpoint(folder, weights, description, card, tokenizer=tokenizer)

    def push_to_hub(self, repo: str, *, licence: str, data: str, **options: Any) -> str | None:
        """Upload it to the Hugging Face Hub, privately unless `private=False`; see `exporting.hub.push`.

        Args:
            repo: ORGANISATION/NAME.
            licence: of the weights: an id of the Hub such as cc-by-nc-4.0, or words.
            data: which films it learned from, and under which terms they may be shared.
            options: `format`, `out`, `private`, `token`, `results`, `dry_run` of `exporting.hub.push`.

        Returns:
            The address; None after a dry run.

        Raises:
            ConfigError: licence or data are not stated, or the format cannot hold this encoder.
            UserError: the Hub refused or was not reached.
        """
        push = lookup(DOORS, "hub", kind="door")
        url: str | None = push(self, repo, statement=Statement(licence, data), **options).url
        return url


def encoder_folder(path: Path) -> Path:
    """Where the encoder of a run lies, or the folder itself."""
    return path / "encoder" if (path / "encoder" / CONFIG).is_file() else path


def load(
    source: str | Path,
    *,
    layout: str | None = None,
    heads: int | None = None,
    text_heads: int | None = None,
    image_size: int | None = None,
    patch_stride: int | None = None,
    tokenizer: str | Path | None = None,
    text: str | Path | None = None,
) -> Encoder:
    """Load an encoder: one of ours, or one that others released (`hilum convert --layouts` lists them).

    Args:
        source: a run folder (its exported encoder), an encoder folder, a released file or folder, the name of one on
            the Hugging Face Hub (org/name, hf://org/name@revision), or timm:NAME where timm is installed.
        layout: of a released file whose tensors fit several; found out where omitted.
        heads: attention heads of a released file, which no tensor tells; width // 64 where omitted.
        text_heads: the same of its text encoder.
        image_size: pixels a side of a released file, where no position table tells.
        patch_stride: pixels between its patches, where they overlap.
        tokenizer: of its text encoder, which is loaded only with one: a file, or a folder.
        text: a folder with its text encoder, where that is not in the file (BioViL).

    Raises:
        CheckpointError: nothing there, damaged, of another kind, or only partly used; the message says which.
        ConfigError: no such layout, or an answer that an encoder of ours does not need.
    """
    from hilum.released.asked import Asked  # what is released is built with this file, so it cannot come before it
    from hilum.released.hub import resolve

    reader, reports = (None if given is None else Path(given) for given in (tokenizer, text))
    asked = Asked(heads, text_heads, image_size, patch_stride, reader, reports)
    source = resolve(source)
    folder = encoder_folder(source)
    if not is_ours(folder):
        from hilum.released.build import build

        return build(source, asked, layout=layout)
    if needless := [name for name, value in {**vars(asked), "layout": layout}.items() if value is not None]:
        what = f"an encoder of Hilum says itself what its {needless[0].replace('_', ' ')} is"
        raise ConfigError(what, where=needless[0], fix="Leave it out: it is for released files")
    config = read_config(folder)
    if config.get("kind") != "encoder":
        raise CheckpointError(
            f"is a {config.get('kind', 'foreign')} checkpoint, not an encoder",
            where=folder,
            fix="Give the run's encoder/ folder",
        )
    weights, config = load_checkpoint(folder)
    model = build_backbone(architecture_from_json(config["architecture"], where=str(folder / CONFIG)))
    joint = {key.removeprefix(TOWERS): value for key, value in weights.items() if key.startswith(TOWERS)}
    fill(model, {key: value for key, value in weights.items() if not key.startswith(TOWERS)}, where=folder / WEIGHTS)
    preprocessing, pool = Preprocessing.from_json(config["preprocessing"]), config.get("pool", "cls")
    if "towers" not in config:
        return Encoder(model, preprocessing, config.get("origin"), pool=pool)
    words = read_tokenizer(folder / TOKENIZER)
    towers = _towers(model, config["towers"], words, where=str(folder / CONFIG))
    fill(towers, joint, where=folder / WEIGHTS)
    return Encoder(model, preprocessing, config.get("origin"), towers=towers, tokenizer=words, pool=pool)


def is_ours(folder: Path) -> bool:
    """Whether a folder is a checkpoint that Hilum wrote, whole or damaged."""
    return (folder / FILES).is_file() or ((folder / CONFIG).is_file() and "kind" in read_config(folder))


def _towers(model: Backbone, config: Mapping[str, Any], tokenizer: Tokenizer, *, where: str) -> Towers:
    """The towers that config.json describes, for the tokenizer beside them."""
    sizes = towers_from_json(config, where=where)
    local = local_width(model.config)
    seen = model.config
    return Towers(sizes, seen.width, seen.patches, len(tokenizer), pad_id=tokenizer.pad_id, local_width=local)
