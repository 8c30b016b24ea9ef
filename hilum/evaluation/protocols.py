"""The papers' protocols of classification by name: option -> value, each from the source its comment names.

`hilum adapt classify --preset NAME` takes these and whatever is given beside them. What belongs to the data is not
here: labels, views, splits. What no preset repeats, and why, stands with each; docs/classification.md has it in a
table.

Common to all. Test films go through the encoder's own preprocessing record. Arithmetic is fp32 unless `--precision`
says otherwise; the papers train in fp16. Uncertain and blank labels have no part in loss or metric, in every head of
a grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# --- MRM (https://arxiv.org/abs/2301.13155, section 4 and appendix; RL4M/MRM-pytorch at 3730ba4) --------------------
#
# Not repeated: Apex O2 (use --precision fp16 on a GPU); a second optimizer for the head that is never stepped; lists
# of 1 % that do not lie inside those of 10 % (ours are nested).
_MRM: Final[Mapping[str, Any]] = {
    "mode": "finetune",
    "pool": "mean",  # of the 196 patch tokens, then a fresh LayerNorm, then Linear
    "head": "linear",
    "head_set": {"init_std": 2e-5},  # truncated normal
    "start": "fresh",
    "drop_path": 0.1,
    "train_positions": True,  # the fixed table of pretraining learns here
    "optimizer": "sgd",
    "momentum": 0.9,
    "weight_decay": 0.0,
    "layer_decay": 1.0,  # one rate for all
    "clip_norm": 1.0,
    "decay": "cosine",  # after linear warm-up, to 0
    "batch_size": 96,
    "loss": "bce",  # mean over labels, logits
    "label_smoothing": 0.0,
    "mixup": 0.0,
    "augment": "mrm",  # RandomResizedCrop of 0.08 to 1, bilinear; flip
    "select": "auroc",
    "evaluate_every": 1.0,  # epochs
    "fraction_unit": "image",  # its lists of 1 and 10 % were drawn by film
    "seed": 42,
}

# data set -> share of the films -> peak rate, steps, steps of warm-up (its README)
MRM_RATES: Final[dict[str, dict[float, tuple[float, int, int]]]] = {
    "nih": {0.01: (3e-2, 3_000, 50), 0.1: (3e-3, 30_000, 500), 1.0: (3e-3, 200_000, 5_000)},
    "rsna": {0.01: (3e-3, 2_000, 50), 0.1: (5e-4, 10_000, 200), 1.0: (5e-4, 50_000, 2_000)},
    "chexpert": {0.01: (3e-3, 2_000, 150), 0.1: (5e-4, 60_000, 1_500), 1.0: (5e-4, 200_000, 15_000)},
    "covid": {1.0: (3e-2, 1_000, 50)},
}

# --- MaCo (https://arxiv.org/abs/2309.05904; SZUHvern/MaCo at 7f64d95): MRM's script, looked at every 10 epochs
_MACO: Final[Mapping[str, Any]] = {**_MRM, "evaluate_every": 10.0}
MACO_RATES: Final[dict[str, dict[float, tuple[float, int, int]]]] = {
    "nih": {0.01: (8.5e-3, 2_000, 50), 0.1: (3e-3, 30_000, 500), 1.0: (3e-3, 200_000, 5_000)},
    "chexpert": {0.01: (8e-4, 2_000, 50), 0.1: (1e-4, 60_000, 1_500), 1.0: (1e-5, 200_000, 15_000)},
    "rsna": {0.01: (6.5e-3, 2_000, 50), 0.1: (6e-4, 10_000, 200), 1.0: (5e-4, 50_000, 2_000)},
}

# --- CXRBase (https://arxiv.org/abs/2410.08861, Methods), and where it is silent MAE (arXiv 2111.06377, A.2) --------
#
# Said: "multilayer perceptron", label smoothing (no value), batch 16, 50 epochs, best validation AUROC, crops of 20 %
# and more with flip (of "training", perhaps of pretraining alone). MAE's: the rest. The rate is RETFound's, whose
# wording the paper follows: 5e-3 a 256 films. Not repeated: RandAugment, random erasing and CutMix, which the paper
# does not mention; mixup it does not mention either (--mixup 0.8 is MAE's).
_CXRBASE: Final[Mapping[str, Any]] = {
    "mode": "finetune",
    "pool": "mean",  # of the patch tokens, then a fresh LayerNorm
    "head": "mlp",
    "start": "fresh",
    "drop_path": 0.2,  # MAE's for ViT-L
    "optimizer": "adamw",
    "weight_decay": 0.05,
    "layer_decay": 0.75,
    "decay": "cosine",
    "warmup": 0.1,  # 5 of 50 epochs
    "epochs": 50,
    "batch_size": 16,
    "lrs": (5e-3 * 16 / 256,),
    "loss": "bce",
    "label_smoothing": 0.1,
    "mixup": 0.0,
    "augment": "cxrbase",
    "select": "auroc",
    "evaluate_every": 1.0,
}

# --- MedIM (https://doi.org/10.1007/978-3-031-43907-0_2, section 3; YtongXie/MedIM at 825599e) ----------------------
#
# Not repeated: weight decay of the bias (1e-6 of next to nothing); a validation loader that drops its last batch,
# which leaves CheXpert's 202 films none at all; early stopping after 50 of 50 epochs, which never stops. The random
# start of the layer is MAE's small one instead of torch's. VinDr's hard-coded class weights are not published with a
# rule.
_MEDIM: Final[Mapping[str, Any]] = {
    "mode": "frozen",
    "pool": "cls",  # after the final norm
    "head": "linear",
    "head_set": {"standardise": False},
    "lrs": (5e-4,),
    "decay": "constant",
    "weight_decay": 1e-6,
    "epochs": 50,
    "batch_size": 512 * 8,  # 512, gradients of 8 batches added up
    "loss": "bce",
    "label_smoothing": 0.0,
    "augment": "medim",  # SimCLR's, in training only, without flip
    "select": "loss",
    "policy": "medim-chexpert",
    "fraction_unit": "image",
    "seed": 123,
}

# --- CheXFound (https://arxiv.org/abs/2502.05142, IV-A; RPIDIAL/CheXFound at a4bac49) -------------------------------
#
# The presets without a suffix are the code, which made the numbers; "-paper" is what the paper says instead: nine
# rates, a new head for the second round. Not repeated: fp16 autocast of the frozen encoder, gradients that are no
# numbers set to 0, and its loss, in which all heads but the first learn ignored labels as negatives. The winner among
# the rates is taken at its best epoch, which the paper leaves open. Policy of CheXpert: --policy u-zeros. Its films
# are stretched to their own [0, 1], which is in the preprocessing record of the encoder.
_CHEXFOUND: Final[Mapping[str, Any]] = {
    "mode": "frozen",
    "grid": "chexfound-released",  # 13 rates, 1e-5 to 0.1, not scaled by batch
    "decay": "cosine",
    "weight_decay": 1e-4,
    "epochs": 10,
    "batch_size": 256,
    "loss": "bce",
    "loss_sum": True,
    "label_smoothing": 0.0,
    "augment": "chexfound",  # RandomResizedCrop of 0.75 to 1, bicubic; flip
    "select": "auroc",
    "second_round": "warm",  # train and val, from the weights of the first round
}
_PROBE: Final[Mapping[str, Any]] = {**_CHEXFOUND, "head": "chexfound-probe"}
_GLORI: Final[Mapping[str, Any]] = {**_CHEXFOUND, "head": "glori", "head_variant": "released"}
_AS_PAPER: Final[Mapping[str, Any]] = {"grid": "chexfound-paper", "second_round": "fresh"}
_SETS: Final[dict[str, Mapping[str, Any]]] = {  # what differs by data set; CXR-LT, CheXpert and PLCO are as above
    "shenzhen": {"epochs": 100, "batch_size": 256},
    "montgomery": {"epochs": 100, "batch_size": 16},
    "jsrt": {"epochs": 100, "batch_size": 16},
}


def _by_share(
    name: str, protocol: Mapping[str, Any], rates: Mapping[str, Mapping[float, tuple[float, int, int]]]
) -> dict[str, Mapping[str, Any]]:
    """A protocol for each data set and share of its films: mrm-finetune-nih-1 has 1 % of ChestX-ray14."""
    return {
        f"{name}-{data}-{round(100 * share)}": {**protocol, "fraction": share, **_budget(data, share, rates)}
        for data, shares in rates.items()
        for share in shares
    }


def _budget(data: str, share: float, rates: Mapping[str, Mapping[float, tuple[float, int, int]]]) -> dict[str, Any]:
    rate, steps, warmup = rates[data][share]
    return {"lrs": (rate,), "steps": steps, "warmup": warmup / steps}


PROTOCOLS: Final[dict[str, Mapping[str, Any]]] = {
    "cxrbase-finetune": _CXRBASE,
    "mrm-finetune": {**_MRM, **_budget("nih", 1.0, MRM_RATES)},  # with the budget of all of ChestX-ray14
    **_by_share("mrm-finetune", _MRM, MRM_RATES),
    "maco-finetune": {**_MACO, **_budget("nih", 1.0, MACO_RATES)},
    **_by_share("maco-finetune", _MACO, MACO_RATES),
    "maco-frozen": {**_MACO, **_budget("nih", 1.0, MACO_RATES), "freeze": True},  # its option: head and norm alone
    "medim-probe": _MEDIM,
    "medim-probe-covidx": {  # three classes by cross-entropy, films of 256 pixels before the crop
        **_MEDIM,
        "targets": "multiclass",
        "batch_size": 96,
        "augment_set": {"frame": 256 / 224},
        "policy": "ignore",
    },
    "chexfound-probe": _PROBE,
    "chexfound-glori": _GLORI,
    "chexfound-probe-paper": {**_PROBE, **_AS_PAPER},
    "chexfound-glori-paper": {**_GLORI, **_AS_PAPER, "head_variant": "paper"},
    **{f"chexfound-probe-{data}": {**_PROBE, **values} for data, values in _SETS.items()},
    **{f"chexfound-glori-{data}": {**_GLORI, **values} for data, values in _SETS.items()},
}
