"""MedIM: the report says what is masked, on top of MGCA's alignment; and the paper's ablations on the phantom.

Paper: https://doi.org/10.1007/978-3-031-43907-0_2 (MedIM, MICCAI 2023; table 3 for `part`, Fig. 3 for `selection` and
    `ratio`); what it leaves out is from YtongXie/MedIM.
Command: python recipes/medim.py --data DATA --out RUN --init deit_base.pth --init_text BIOCLINICALBERT
    [--variant paper] [--devices 8]; on the phantom, for PART in align, kwm and full:
    python recipes/medim.py --data DATA --out RUNS/PART --scale phantom --part PART
Hardware: the paper does not say; the released command uses 8 GPUs with 18 films each. The phantom: 2 CPU cores.
Hours: about 2.6 on one H200 at a quarter of its bf16 rate, computed from the arithmetic (0.18 TFLOP a film and step,
    210,000 films, 50 epochs: 1.9 EFLOP), not measured. Phantom: 0.2 on idle cores.
Expect: the paper's linear probe with 1 / 10 / 100 % of the labels: CheXpert 88.91 / 89.25 / 89.65 (AUROC), COVIDx
    77.22 / 90.34 / 93.57 (accuracy); by part with 10 % (COVIDx, CheXpert, SIIM): align 89.04, 88.29,
    60.64; kwm 89.85, 88.86, 62.54; full 90.34, 89.25, 63.50. Its CheXpert test set is not the one that MGCA and MRM
    report on, no weights were
    released, and its own 80/20 split is not published. The phantom's own numbers are in docs/methods/medim.md.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import hilum

# the loop at the paper's scale (section 3.1); warm-up over 40 % of the run is the released code's
OPTIMISATION: Final[dict[str, Any]] = {
    "epochs": 50.0,
    "warmup": 0.4,
    "batch_size": 144,
    "lr": 2e-5,
    "weight_decay": 0.05,
}
PHANTOM: Final[dict[str, Any]] = {"epochs": 20.0, "warmup": 0.1, "batch_size": 64, "lr": 1e-3, "vocabulary": 2000}
PARTS: Final[dict[str, dict[str, Any]]] = {  # the rows of table 3, as options of the method
    "align": {"kwm": False, "sdm": False},
    "kwm": {"sdm": False},
    "full": {},
}


def medim(
    data: str,
    out: str,
    *,
    scale: Literal["full", "resnet50", "phantom"] = "full",
    variant: Literal["hilum", "paper", "released"] = "hilum",
    part: Literal["full", "kwm", "align"] = "full",
    selection: Literal["high", "diverse", "random", "low", "none"] | None = None,
    ratio: float | None = None,
    init: str | None = None,
    init_text: str | None = None,
    devices: int = 1,
    seed: int = 0,
    resume: bool = False,
) -> str:
    """Pretrain, the whole method or a part of it.

    Args:
        data: a prepared folder with reports; frontal films are used.
        out: the run folder.
        scale: the paper's ViT-B, a ResNet-50 at 320 pixels, or minutes on two CPU cores.
        variant: our choices, the paper's or the released code's, where these disagree.
        part: the row of table 3: alignment alone, with the masks of words, with both masks.
        selection: which cells are hidden (Fig. 3 left); the variant's if omitted.
        ratio: share of cells hidden, 0.25 to 0.75 in Fig. 3 right; 0.5 if omitted.
        init: a file of supervised ImageNet weights (DeiT-B in the paper) or of MGCA.
        init_text: a BERT folder (BioClinicalBERT in the paper); its first six layers are used.
        devices: GPUs of this machine.
        seed: of everything.
        resume: go on with the run.
    """
    if scale == "phantom":
        loop = {"preset": "phantom", **PHANTOM}
    else:
        preset = {"full": "medim", "resnet50": "medim_resnet50"}[scale]
        loop = {"preset": preset, "precision": "bf16", "workers": 12, **OPTIMISATION}
    chosen = {name: value for name, value in (("selection", selection), ("mask_ratio", ratio)) if value is not None}
    return str(
        hilum.pretrain(
            "medim",
            data=data,
            out=out,
            variant=variant,
            init=init,
            init_text=init_text,
            views=("PA", "AP"),
            set={**PARTS[part], **chosen},
            devices=devices,
            seed=seed,
            resume=resume,
            **loop,
        )
    )


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(medim)
