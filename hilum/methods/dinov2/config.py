"""What DINOv2 on chest films is: every number of it, three variants, and how each is optimised.

Where the paper of CheXFound (https://arxiv.org/abs/2502.05142) and its code disagree, a field says so; `VARIANTS` lays
the paper's or the code's values over ours. Shares are of the whole run: the paper's 100 epochs with 10 of warm-up are
`warmup = 0.1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from hilum.errors import ConfigError
from hilum.models.vit import ViTConfig, vit_config
from hilum.transforms.crops import CropRecipe
from hilum.transforms.intensity import NaturalGrey, RadiographGrey

# global crop -> local crop, pixels a side (paper, IV-A1)
CROP_PAIRS: Final = {224: 96, 336: 128, 448: 128, 512: 144}


@dataclass(frozen=True)
class HeadConfig:
    """A projection to prototypes (models/prototypes.py)."""

    prototypes: int = 131_072  # K
    hidden: int = 2048
    bottleneck: int = 256
    layers: int = 3

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be built."""
        if min(self.prototypes, self.hidden, self.bottleneck, self.layers) < 1:
            raise ConfigError(f"sizes of a head must be 1 or more, not {self}", where="dinov2")


@dataclass(frozen=True)
class Config:
    """What the method is and how it sees films."""

    model: str = "vit_large_patch16"  # a name of models.vit.VIT_SIZES
    image_size: int = 224  # pixels a side of a global crop
    local_size: int | None = None  # pixels a side of a local crop; None: the paper's for this size, or 3/7 of it
    channels: int = 3  # grey is repeated
    vit: dict[str, Any] = field(default_factory=dict)  # more fields of ViTConfig, laid over DINOv2's
    drop_path: float = 0.0  # student's, in every block; the code has 0.4, which makes a step depend on its devices
    # --- views
    local_crops: int = 8
    global_scale: tuple[float, float] = (0.32, 1.0)  # share of the film's area
    local_scale: tuple[float, float] = (0.05, 0.32)
    style: Literal["radiograph", "natural"] = "radiograph"  # whose changes of grey levels, with the strengths below
    radiograph: RadiographGrey = field(default_factory=RadiographGrey)
    natural: NaturalGrey = field(default_factory=NaturalGrey)
    flip: float = 0.0  # probability; a mirrored heart is a diagnosis
    blur_quirk: bool = False  # the code blurs with probability 1 - p
    mask_probability: float = 0.5  # share of global crops with hidden patches
    mask_ratio: tuple[float, float] = (0.1, 0.5)  # of their patches
    masks_over: Literal["batch", "device"] = "batch"  # whose crops share the draw of ratios
    # --- objective
    dino_head: HeadConfig = HeadConfig(bottleneck=384)
    ibot_head: HeadConfig = HeadConfig()
    shared_head: bool = False  # patches go through the DINO head (iBOT, sect. 3.2) instead of their own
    dino_weight: float = 1.0
    ibot_weight: float = 3.0
    koleo_weight: float = 0.1  # code; the paper does not mention it
    koleo_gathered: bool = True  # neighbours are looked for among the films of all devices
    centering: Literal["sinkhorn", "softmax"] = "sinkhorn"  # how teacher assignments are kept from collapse
    student_temperature: float = 0.1
    teacher_temperature: tuple[float, float] = (0.04, 0.07)  # first and last of its linear warm-up
    teacher_warmup: float = 0.3  # share of the run over which it rises
    momentum: tuple[float, float] = (0.994, 1.0)  # of the teacher, along a cosine; the paper keeps 0.994
    center_momentum: float = 0.9  # softmax centering only
    freeze_last_layer: float = 0.01  # share of the run in which prototypes stand still: 1 epoch of 100
    patch_lr: float = 0.2  # learning-rate multiplier of the patch embedding
    position_start: Literal["resize", "fresh"] = "resize"  # of a stage at another size; the code deletes the table
    # --- input
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)  # ImageNet, on the [0, 1] scale, one a channel
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    gradient_checkpointing: bool = False  # recompute block activations of the student to save memory

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        checks = (
            (self.local_crops >= 1, "local_crops", "1 or more"),
            (0 <= self.drop_path < 1, "drop_path", "in [0, 1)"),
            (0 < self.mask_probability <= 1, "mask_probability", "in (0, 1]"),
            (0 < self.mask_ratio[0] <= self.mask_ratio[1] < 1, "mask_ratio", "two shares, 0 < low <= high < 1"),
            (min(self.teacher_temperature) > 0 < self.student_temperature, "teacher_temperature", "more than 0"),
            (0 <= self.teacher_warmup <= 1, "teacher_warmup", "a share of the run, in [0, 1]"),
            (all(0 <= m <= 1 for m in self.momentum), "momentum", "in [0, 1]"),
            (0 <= self.freeze_last_layer < 1, "freeze_last_layer", "a share of the run, in [0, 1)"),
            (min(self.dino_weight, self.ibot_weight, self.koleo_weight) >= 0, "loss weights", "0 or more"),
            (len(self.mean) == self.channels, "mean", f"one value for each of {self.channels} channels"),
            (len(self.std) == self.channels, "std", f"one value for each of {self.channels} channels"),
        )
        for holds, name, rule in checks:
            if not holds:
                raise ConfigError(f"{name} is {getattr(self, name, 'negative')!r} and must be {rule}", where="dinov2")

    @property
    def backbone(self) -> ViTConfig:
        """The student's architecture: DINOv2's with registers and SwiGLU unless `vit` says otherwise."""
        dinov2 = {
            "position": "learned",
            "position_resize": "bicubic_offset",
            "registers": 4,
            "layer_scale": 1e-5,
            "mlp": "swiglu",
            "init": "trunc_normal",
        }
        fixed = {
            "image_size": self.image_size,
            "channels": self.channels,
            "drop_path": self.drop_path,
            "drop_path_uniform": True,
            "drop_path_skip": True,
            "mask_token": True,
        }
        return vit_config(self.model, **{**dinov2, **self.vit, **fixed})

    @property
    def crops(self) -> CropRecipe:
        """How films are cut and changed."""
        return CropRecipe(
            global_size=self.image_size,
            local_size=self.local_size or local_size(self.image_size, self.backbone.patch_size),
            global_scale=self.global_scale,
            local_scale=self.local_scale,
            locals=self.local_crops,
            flip=self.flip,
            style=self.style,
            radiograph=self.radiograph,
            natural=self.natural,
            blur_quirk=self.blur_quirk,
        )


def local_size(size: int, patch_size: int) -> int:
    """Pixels a side of local crops: the paper's pair, or 3/7 of the global side in whole patches."""
    return CROP_PAIRS.get(size, max(1, round(size * 3 / 7 / patch_size)) * patch_size)


PRESETS: Final[dict[str, Config]] = {
    "dinov2": Config(),
    # a small ViT on 112 px crops of the phantom: minutes on two CPU cores
    "phantom": Config(
        model="vit_tiny_patch16",
        image_size=112,
        channels=1,
        mean=(0.5,),
        std=(0.25,),
        vit={"mlp": "gelu", "registers": 0},
        dino_head=HeadConfig(prototypes=1024, hidden=256, bottleneck=64),
        ibot_head=HeadConfig(prototypes=1024, hidden=256, bottleneck=64),
    ),
}

_NATURAL: Final = {"style": "natural", "flip": 0.5, "drop_path": 0.4, "masks_over": "device", "koleo_gathered": False}
VARIANTS: Final[dict[str, Mapping[str, Any]]] = {
    "hilum": {},
    "paper": {**_NATURAL, "momentum": (0.994, 0.994), "koleo_weight": 0.0},
    "released": {**_NATURAL, "blur_quirk": True, "position_start": "fresh"},
}

_ADAMW: Final = {
    "betas": (0.9, 0.999),
    "weight_decay": 0.04,
    "weight_decay_end": 0.2,
    "clip_norm": 3.0,
    "warmup": 0.1,
    "min_lr": 1e-6,
    "base_lr": 2e-4,
    "lr_rule": "sqrt",
}
SETTINGS: Final[dict[str, Mapping[str, Any]]] = {  # of the loop, where the user says nothing
    "hilum": _ADAMW,
    "paper": {**_ADAMW, "lr": 2e-4},  # "an initial learning rate of 2e-4": no rule is mentioned
    "released": _ADAMW,
}
