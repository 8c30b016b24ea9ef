"""What puts films and reports into one space: the report encoder and the projections of both sides.

A method that aligns films with reports (MaCo, MedIM) trains a `Towers` beside its backbone, a published encoder brings
its own, and the saved encoder keeps it: zero-shot, retrieval and grounding need nothing else. Vectors are raw; who
compares them normalises them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, cast

from torch import Tensor, nn

from hilum.config import override
from hilum.errors import ConfigError
from hilum.models.clip_text import ClipText, ClipTextConfig
from hilum.models.projections import HeadKind, projection
from hilum.models.text import ReportEncoder, TextConfig, TextFeatures

LocalKind = Literal[HeadKind, "same"]
ImagePool = Literal["mean", "cls", "projected-mean"]
TextPool = Literal["pooler", "first", "end", "word-mean"]


@dataclass(frozen=True)
class TowersConfig:
    """Sizes and rules of the joint space; travels as JSON with the weights."""

    text: TextConfig | ClipTextConfig = field(default_factory=TextConfig)
    dim: int = 768  # E, features of the joint space
    hidden: int = 2048  # width inside heads of several layers
    image_head: HeadKind = "linear"  # kinds: models.projections
    image_local_head: LocalKind = "same"  # of patches; "same": the film's head, on the tokens that it reads too
    text_head: HeadKind = "none"
    text_local_head: LocalKind = "same"  # of words; "same": words were aligned with nothing, whole texts were
    image_pool: ImagePool = "mean"  # what speaks for the film: mean or class token, or the mean after the head (BioViL)
    text_pool: TextPool = "pooler"  # BERT's pooled vector, position 0, the end token (CLIP), the mean word (GLoRIA)
    text_layers: int = 1  # last layers of BERT whose outputs are added (GLoRIA: 4)
    position_weight: bool = False  # MaCo's learned importance of each patch position
    preparation: str = "maco"  # how text is prepared: a name of transforms.text.PREPARATIONS
    length: int = 100  # pieces of a report that are read
    logit_scale: float | None = None  # what multiplied the cosines at the end of training, where it is known
    sync_norm: bool = True  # batch statistics over all devices (mlp heads)

    def __post_init__(self) -> None:
        """Refuse parts that do not fit each other."""
        clip = isinstance(self.text, ClipTextConfig)
        if clip != (self.text_pool == "end"):
            what = f"the text pool {self.text_pool!r} does not go with {'CLIP' if clip else 'BERT'}'s report encoder"
            raise ConfigError(what, where="towers", fix="Use 'end' with CLIP, and 'end' with nothing else")
        if not 1 <= self.text_layers <= (1 if clip else self.text.depth):
            what = f"{self.text_layers} last layers cannot be added"
            raise ConfigError(what, where="towers", fix="Give 1, or with BERT up to its depth")
        self._check_width("text_head", self.text_head, self.text.width)
        if self.text_local_head != "same":
            self._check_width("text_local_head", self.text_local_head, self.text.width)

    def _check_width(self, name: str, kind: HeadKind, width: int) -> None:
        """What is not projected must come in the joint width."""
        if kind == "none" and width != self.dim:
            raise ConfigError(
                f"without {name} vectors stay {width} wide and the joint space has {self.dim} features",
                where="towers",
                fix="Give both the same width, or use a head",
            )

    @property
    def aligns_words(self) -> bool:
        """Whether single words were aligned with patches (MGCA, MedIM, GLoRIA), not whole texts alone."""
        return self.text_local_head != "same"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; the kind of report encoder is named."""
        kind = "clip" if isinstance(self.text, ClipTextConfig) else "bert"
        return {**asdict(self), "text": {_KIND: kind, **asdict(self.text)}}


_KIND: Final = "kind"  # key of the report encoder's JSON; folders without it hold a BERT
_OLD_HEADS: Final[Mapping[str, Mapping[str, str]]] = {  # "head" of encoders saved before there were more than two
    "linear": {"image_head": "linear", "image_local_head": "same", "text_head": "none", "text_local_head": "same"},
    "mlp": dict.fromkeys(("image_head", "image_local_head", "text_head", "text_local_head"), "mlp"),
}


def towers_from_json(values: Mapping[str, Any], *, where: str) -> TowersConfig:
    """What `TowersConfig.to_json` gave, today or in an older version.

    Raises:
        ConfigError: an unknown field or a value without meaning.
    """
    rest = {key: value for key, value in values.items() if key not in ("text", "head")}
    text = dict(values.get("text", {}))
    blank: TextConfig | ClipTextConfig = ClipTextConfig() if text.pop(_KIND, "bert") == "clip" else TextConfig()
    sizes = override(blank, text, where=f"{where}: text")
    old = _OLD_HEADS.get(str(values.get("head")), {})
    all_fields = {"dim": sizes.width, **old, **rest}
    start = TowersConfig(
        text=sizes,
        dim=sizes.width,
        text_pool="end" if isinstance(sizes, ClipTextConfig) else "pooler",
    )
    return override(start, all_fields, where=where)


class Towers(nn.Module):
    """Report encoder and projections.

    Args:
        config: sizes and rules.
        image_width: D, features of the backbone's tokens.
        patches: P, patches of a film.
        vocabulary: entries of the tokenizer.
        pad_id: its padding entry.
        local_width: features of the local map where they differ from `image_width` (ResNet); "same" heads do not
            read that map.

    Raises:
        ConfigError: films that are not projected are not as wide as the joint space.
    """

    def __init__(
        self,
        config: TowersConfig,
        image_width: int,
        patches: int,
        vocabulary: int,
        *,
        pad_id: int = 0,
        local_width: int | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.text = _report_encoder(config, vocabulary, pad_id)
        config._check_width("image_head", config.image_head, image_width)
        self.image_head = self._head(config.image_head, image_width)
        if config.image_local_head != "same":
            config._check_width("image_local_head", config.image_local_head, local_width or image_width)
            self.image_local_head = self._head(config.image_local_head, local_width or image_width)
        self.text_head = self._head(config.text_head, config.text.width)
        if config.text_local_head != "same":
            self.text_local_head = self._head(config.text_local_head, config.text.width)
        self.position = nn.Linear(patches, 1) if config.position_weight else None

    def _head(self, kind: HeadKind, width: int) -> nn.Module:
        return projection(kind, width, self.config.hidden, self.config.dim, sync=self.config.sync_norm)

    def image_global(self, tokens: Tensor) -> Tensor:
        """One vector a film: tokens (B, 1 + P, D), class token first -> (B, E)."""
        if self.config.image_pool == "cls":
            return cast(Tensor, self.image_head(tokens[:, 0]))
        if self.config.image_pool == "projected-mean":
            return cast(Tensor, self.image_head(tokens[:, 1:])).mean(dim=1)
        return cast(Tensor, self.image_head(tokens[:, 1:].mean(dim=1)))

    def image_local(self, patches: Tensor) -> Tensor:
        """One vector a patch: (B, P, D) -> (B, P, E)."""
        head = self.image_head if self.config.image_local_head == "same" else self.image_local_head
        return cast(Tensor, head(patches))

    def text_global(self, features: TextFeatures) -> Tensor:
        """One vector a report: (B, E)."""
        return cast(Tensor, self.text_head(self._pooled(features)))

    def text_local(self, words: Tensor) -> Tensor:
        """One vector a word: (B, W, text width) -> (B, W, E)."""
        head = self.text_head if self.config.text_local_head == "same" else self.text_local_head
        return cast(Tensor, head(words))

    def _pooled(self, features: TextFeatures) -> Tensor:
        """What speaks for a report: (B, text width)."""
        if self.config.text_pool == "first":
            return features.tokens[:, 0]
        if self.config.text_pool == "word-mean":
            assert features.mask is not None  # both report encoders hand it on
            read = features.tokens * features.mask[:, :, None].to(features.tokens.dtype)
            return read.sum(dim=1) / self.config.length  # GLoRIA's divisor: the padded length, whatever was read
        assert features.pooled is not None  # the encoder was built with the pool that the configuration names
        return features.pooled


def _report_encoder(config: TowersConfig, vocabulary: int, pad_id: int) -> ReportEncoder | ClipText:
    """The network that reads, of the kind that its sizes belong to."""
    if isinstance(config.text, ClipTextConfig):
        return ClipText(config.text, vocabulary)
    pooler = config.text_pool == "pooler"
    return ReportEncoder(config.text, vocabulary, pad_id=pad_id, pooler=pooler, layers=config.text_layers)
