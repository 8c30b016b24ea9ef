"""The papers' protocols of pneumothorax segmentation on SIIM-ACR, as presets of `hilum adapt segment`.

The numbers are those of the released code where code and paper differ. SIIM's train, validation and test lists that
MRM and MaCo ship share positive films: results on them are optimistic, and a split by patient is not comparable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# MRM, https://arxiv.org/abs/2301.13155, appendix ("we train the segmentation network ...") and its mmsegmentation
# configuration: UPerNet at 512 px, 2 films on each of 4 GPUs, layer-wise decay, argmax of two maps
MRM_SIIM: Final[Mapping[str, Any]] = {
    "head": "upernet",
    "width": 768,
    "auxiliary_width": 256,
    "dropout": 0.1,
    "loss": "focal-dice",  # 2 x focal (gamma 2, alpha 0.5) + soft Dice of the softmax, auxiliary head at 0.4
    "size": 512,
    "resize": "pad",  # keep-ratio resize, padding unknown
    "crop": 1.0,
    "flip": 0.5,
    "rotate": 0.0,
    "contrast": 0.0,
    "brightness": 0.0,
    "lr": 2e-5,
    "weight_decay": 0.05,
    "layer_decay": 0.65,
    "drop_path": 0.1,
    "layer_scale": 1.0,  # the segmentation backbone adds it, MRM's has none
    "decay": "poly",
    "batch_size": 8,
    "steps": 160_000,
    "warmup_steps": 1500,
    "evaluate_every": 500,
    "precision": "fp16",
    "select": "all",  # by validation Dice of all films, empty = 1
    "threshold": "given",
}
PRESETS: Final[dict[str, Mapping[str, Any]]] = {
    "mrm-siim": MRM_SIIM,
    # MaCo, https://arxiv.org/abs/2309.05904: MRM's code with other rates (the paper names 5e-6 alone)
    "maco-siim": {**MRM_SIIM, "lr": 1.5e-5},
    # MedIM, https://arxiv.org/abs/2309.02992, section 3 and its SIIM harness (MGCA's): encoder and decoder from
    # pretraining, everything trained; neither names an augmentation or a schedule
    "medim-siim": {
        "head": "medim",
        "decoder": (512, 256, 128, 64),
        "loss": "focal-log-dice",  # 10 x focal (gamma 2) - log Dice of the batch
        "size": 224,
        "resize": "squeeze",
        "crop": 1.0,
        "flip": 0.0,
        "rotate": 0.0,
        "contrast": 0.0,
        "brightness": 0.0,
        "lr": 2e-5,
        "weight_decay": 0.05,
        "layer_decay": 1.0,
        "drop_path": 0.0,
        "decay": "constant",
        "batch_size": 32,
        "epochs": 50.0,
        "warmup_steps": 0,
        "seed": 123,
        "balance": True,  # all positive films and as many negative ones; validation and test keep all
        "select": "loss",  # by validation loss
        "threshold": "given",
    },
}

# What changes with the share of labels: steps, warm-up, rate, and how often validation films are looked at.
BY_FRACTION: Final[dict[str, dict[float, Mapping[str, Any]]]] = {
    "mrm-siim": {0.1: {"steps": 5000, "warmup_steps": 100, "evaluate_every": 50}},
    "maco-siim": {
        0.1: {"lr": 2e-5, "steps": 5000, "warmup_steps": 100, "evaluate_every": 50},
        0.01: {"lr": 5e-6, "steps": 1000, "warmup_steps": 100, "evaluate_every": 50},
    },
}
