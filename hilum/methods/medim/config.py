"""What MedIM is: every choice a field, every difference between paper and code a line of `VARIANTS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from hilum.errors import ConfigError
from hilum.lookup import unknown_name
from hilum.methods.masked_image import check_channels
from hilum.models.report_masks import SELECTIONS, Selection
from hilum.models.resnet import ResNetConfig
from hilum.models.text import TextConfig
from hilum.models.towers import TowersConfig
from hilum.models.vit import VIT_SIZES, ViTConfig, vit_config

RESNET: Final = "resnet50"
CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "local": ("words", "films"),
    "model": (*VIT_SIZES, RESNET),
    "selection": SELECTIONS,
    "without_terms": ("random", "as_selected"),
    "mask_value": ("zero", "learned"),
    "restored": ("all", "hidden"),
    "preparation": ("tidy", "medim"),
    "sentences": ("some", "all"),
    "term_rule": ("phrases", "released"),
    "word_rule": ("whole", "released"),
    "framing": ("squeeze", "pad"),
    "missing_reports": ("drop", "keep"),
}


@dataclass(frozen=True)
class Config:
    """What MedIM is and how it sees films and reports."""

    # --- networks
    model: str = "vit_base_patch16"  # a name of models.vit.VIT_SIZES, or resnet50
    image_size: int = 224  # pixels a side
    channels: int = 3  # grey is repeated; 3 lets ImageNet weights load
    vit: dict[str, Any] = field(default_factory=dict)  # more fields of ViTConfig, e.g. patch_size, depth
    resnet: dict[str, Any] = field(default_factory=dict)  # more fields of ResNetConfig, e.g. enlarged
    gradient_checkpointing: bool = False  # recompute block activations of the ViT to save memory
    text: TextConfig = field(default_factory=lambda: TextConfig(width=768, heads=12, hidden=3072, positions=512))
    dim: int = 128  # features of the joint space
    hidden: int = 2048  # width inside the projections
    prototypes: int = 500
    decoder: tuple[int, ...] = (512, 256, 128, 64)  # features after each block; each doubles the side of the map
    # --- alignment
    ita_weight: float = 1.0  # films against reports
    local_weight: float = 1.0  # words against patches
    proto_weight: float = 1.0  # prototypes
    local: Literal["words", "films"] = "words"  # who competes: the report's words (MGCA) or the batch's films (untried)
    temperature: float = 0.07  # of films against reports
    local_temperature: float = 0.1  # of words against patches
    proto_temperature: float = 0.2
    epsilon: float = 0.05  # of the codes
    sinkhorn_iterations: int = 3
    frozen_prototypes: float = 0.02  # share of the run: the first of the paper's 50 epochs
    skip_twins: bool = True  # films of one study or with the same report are no negatives of each other
    per_device: bool = False  # negatives, codes and batch statistics of one device only, as released
    # --- masks
    kwm: bool = True  # restore what the report's terms look at
    sdm: bool = True  # restore what one of its sentences looks at
    selection: Selection = "high"  # the paper's and the simplest; see models.report_masks
    mask_ratio: float = 0.5  # share of the cells of the feature map
    diverse_share: float = 0.9  # of high cells hidden by the diverse selection; 1 - share of the others
    without_terms: Literal["random", "as_selected"] = (
        "random"  # where no word is attended to: else a film is not masked
    )
    mask_value: Literal["zero", "learned"] = "zero"  # what stands in a hidden cell
    restored: Literal["all", "hidden"] = "all"  # pixels that count
    restore_weight: float = 10.0  # alpha: of each of the two restorations
    # --- films
    framing: Literal["squeeze", "pad"] = "squeeze"  # both sides to the square, or black borders
    crop: tuple[float, float] = (0.85, 1.0)  # side of the random crop / side of the square
    jitter: float = 0.2  # brightness and contrast, largest departure of the factors from 1
    jitter_chance: float = 0.8
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)  # on the [0, 1] scale, one a channel
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    blur_chance: float = 0.0  # small findings are sharp edges, and the restoration would learn to blur
    # --- reports
    sections: tuple[str, ...] = ("impression", "findings")  # names of transforms.text sections, in this order
    missing_reports: Literal["drop", "keep"] = "drop"  # keep: such films learn to restore random cells
    preparation: Literal["tidy", "medim"] = "tidy"  # true sentences, or cut at every full stop and ASCII only
    sentences: Literal["some", "all"] = "some"  # some: a random number of them, so that one alone means something too
    term_rule: Literal["phrases", "released"] = "phrases"  # terms of several words and plurals, or single words
    term_list: str = ""  # a word list of the user's (MeSH); ours where blank
    word_rule: Literal["whole", "released"] = "whole"  # how pieces become words; see models.report_words
    padded_words: bool = False  # words that are not there enter statistics and denominators
    length: int = 112  # word pieces of a report that are read

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        check_channels(self.channels, self.mean, self.std, where="medim")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise unknown_name(getattr(self, name), list(allowed), kind=name, where="medim")
        temperatures = (self.temperature, self.local_temperature, self.proto_temperature, self.epsilon)
        weights = (self.ita_weight, self.local_weight, self.proto_weight, self.restore_weight)
        checks = (
            (0 < self.mask_ratio < 1, f"mask_ratio is {self.mask_ratio} and must lie between 0 and 1"),
            (0 <= self.diverse_share <= 1, f"diverse_share is {self.diverse_share} and must lie in [0, 1]"),
            (0 < self.crop[0] <= self.crop[1] <= 1, f"crop is {self.crop} and must be 0 < low <= high <= 1"),
            (0 <= self.jitter < 1, f"jitter is {self.jitter} and must lie in [0, 1)"),
            (min(temperatures) > 0, f"temperatures and epsilon are {temperatures} and must be positive"),
            (min(weights) >= 0, f"the weights of the losses are {weights} and must not be negative"),
            (
                min(self.prototypes, self.sinkhorn_iterations) >= 1,
                "prototypes and sinkhorn_iterations must be 1 or more",
            ),
            (3 <= self.length <= self.text.positions, f"length {self.length} must be 3 to {self.text.positions}"),
        )
        for holds, rule in checks:
            if not holds:
                raise ConfigError(rule, where="medim")

    @property
    def backbone(self) -> ViTConfig | ResNetConfig:
        """The encoder's architecture; a ViT learns its positions unless `vit` says otherwise.

        Raises:
            ConfigError: no class token, or a decoder that does not lead from the feature map back to the film.
        """
        fixed: dict[str, Any] = {"image_size": self.image_size, "channels": self.channels}
        if self.model == RESNET:
            known = ResNetConfig.__dataclass_fields__
            for name in self.resnet:
                if name not in known:
                    raise unknown_name(name, list(known), kind="field of the ResNet", where="medim")
            more = {name: tuple(value) if isinstance(value, list) else value for name, value in self.resnet.items()}
            config: ViTConfig | ResNetConfig = ResNetConfig(**{"enlarged": 320, **more, **fixed})
        else:
            config = vit_config(self.model, **{**self.vit, **fixed})
        if not config.class_token:
            raise ConfigError("the ViT must have a class token, which speaks for the film", where="medim")
        side = (config.enlarged or config.image_size) if isinstance(config, ResNetConfig) else config.image_size
        drawn = config.grid[0] * 2 ** len(self.decoder)
        if drawn != side:
            what = f"a map of {config.grid[0]} cells and a decoder of {len(self.decoder)} blocks draw {drawn} pixels"
            raise ConfigError(f"{what} and the film has {side}", where="medim", fix="Change the length of decoder")
        return config

    @property
    def towers(self) -> TowersConfig:
        """The joint space: MGCA's projections of both sides."""
        return TowersConfig(
            text=self.text,
            dim=self.dim,
            hidden=self.hidden,
            image_head="mlp",
            image_local_head="mlp",
            text_head="mlp",
            text_local_head="mlp",
            image_pool="cls",
            text_pool="first",
            preparation="medim" if self.preparation == "medim" else "tidy words",  # training sees words, no signs
            length=self.length,
            sync_norm=not self.per_device,
        )

    @property
    def restores(self) -> tuple[str, ...]:
        """The decoder's heads: what masks there are."""
        return tuple(name for name, wanted in (("word", self.kwm), ("sent", self.sdm)) if wanted)


PRESETS: Final[dict[str, Config]] = {
    "medim": Config(),
    "medim_resnet50": Config(model=RESNET),
    # minutes on two CPU cores: ViT-Tiny's width on 128 px films of the phantom, a grid of 8 x 8
    "phantom": Config(
        model="vit_tiny_patch16",
        image_size=128,
        channels=1,
        mean=(0.5,),
        std=(0.5,),
        vit={"depth": 6},
        text=TextConfig(width=128, depth=2, heads=2, hidden=512, positions=64),
        dim=128,
        hidden=256,
        prototypes=32,
        decoder=(64, 32, 16, 16),
        length=64,
    ),
}

_AS_RELEASED: Final[Mapping[str, Any]] = {  # by the released command line, which overrides the code's own defaults
    "skip_twins": False,
    "per_device": True,
    "selection": "diverse",
    "without_terms": "as_selected",
    "mask_value": "zero",
    "restore_weight": 5.0,
    "framing": "pad",
    "crop": (224 / 240, 224 / 240),
    "jitter": 0.4,
    "blur_chance": 0.5,
    "preparation": "medim",
    "sentences": "all",
    "term_rule": "released",
    "word_rule": "released",
    "padded_words": True,
    "text": {"dropout": 0.1},
}
VARIANTS: Final[dict[str, Mapping[str, Any]]] = {
    "hilum": {},
    "released": _AS_RELEASED,
    "paper": {  # where it is silent, as released
        **_AS_RELEASED,
        "per_device": False,
        "selection": "high",
        "mask_value": "learned",
        "restore_weight": 10.0,
        "term_rule": "phrases",
        "word_rule": "whole",
        "padded_words": False,
    },
}
