"""MRM: films and their reports restored together, from ImageNet's MAE; and the paper's ablations on the phantom.

Paper: https://arxiv.org/abs/2301.13155 (section 4.6; tables 4 and 5 for `part`); released code RL4M/MRM-pytorch.
Command: python recipes/mrm.py --data DATA --out RUN --init mae_pretrain_vit_base.pth [--variant paper] [--devices 4];
    on the phantom, for PART of PARTS:
    python recipes/mrm.py --data DATA --out RUNS/PART --scale phantom --part PART
Hardware: the paper used four GPUs of 12 GB; here any number, the global batch stays 256. The phantom: 2 CPU cores.
Hours: about 6 on one H200 at a quarter of its bf16 rate, computed from the arithmetic (70 GFLOP a film and step,
    377,110 films, 200 epochs: 5.3 EFLOP), not measured; the paper's took two days. Reading films at 448 px needs a
    dozen cores. Phantom: 0.1 to 0.2 a part.
Expect: the paper's AUROC on NIH ChestX-ray14 after fine-tuning with 1 / 10 / 100 % of the labels: 79.4 / 84.0 / 85.9; a
    user who trained by the released recipe reports 77.7 with 1 %. Parts, with 1 / 10 / 100 %: max_pool 77.2 / 83.8 /
    86.0, half_hidden 78.8 / 84.4 / 86.1, nothing_hidden 75.4 / 82.0 / 84.4, lambda_2 78.6 / 83.5 / 85.4, lambda_half
    79.0 / 83.7 / 85.9; of no_report the text says about 5 less with 1 %. The rows of table 4 have lost their names in
    the text we have. The phantom's own numbers are in docs/methods/mrm.md.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import hilum

FULL: Final[dict[str, Any]] = {  # what the loop does at the paper's scale
    "preset": "mrm",
    "epochs": 200.0,
    "warmup": 40 / 200,
    "batch_size": 256,
    "base_lr": 1.5e-4,
    "weight_decay": 0.05,
    "precision": "bf16",
    "compile": True,
    "workers": 12,
}
PHANTOM: Final[dict[str, Any]] = {
    "preset": "phantom",
    "epochs": 20.0,
    "warmup": 0.1,
    "batch_size": 48,
    "lr": 1e-3,
    "vocabulary": 2000,
}
PARTS: Final[dict[str, dict[str, Any]]] = {  # options of the method; "neither" is no run: judge the starting weights
    "whole": {},
    "no_report": {"report_loss": False},  # table 4
    "no_film": {"image_loss": False, "mask_ratio": 0.0},  # the encoder sees all
    "no_super_resolution": {"super_resolution": False},
    "words_to_film": {"report_to_image": True},
    "max_pool": {"image_pool": "max"},  # table 5a
    "half_hidden": {"mask_ratio": 0.5},  # table 5b
    "nothing_hidden": {"mask_ratio": 0.0},
    "lambda_2": {"image_weight": 2.0},  # table 5c
    "lambda_half": {"image_weight": 0.5},
    "report_alone": {"image_vector_on": "none"},  # no row of the paper: what `hilum restore` compares with
}


def mrm(
    data: str,
    out: str,
    *,
    scale: Literal["full", "phantom"] = "full",
    variant: Literal["hilum", "paper", "released"] = "hilum",
    part: str = "whole",
    init: str | None = None,
    tokenizer: str | None = None,
    devices: int = 1,
    seed: int = 0,
    resume: bool = False,
) -> str:
    """Pretrain, the whole method or with one part changed.

    Args:
        data: a prepared folder with reports, films at 512 px (phantom: 256).
        out: the run folder.
        scale: the paper's size, or minutes on two CPU cores.
        variant: our choices, the paper's or the released code's, where these disagree.
        part: the row of tables 4 and 5, a name of PARTS.
        init: the released MAE file of ImageNet, where the paper starts the film encoder.
        tokenizer: trained on the reports if omitted.
        devices: GPUs of this machine.
        seed: of everything.
        resume: go on with the run.
    """
    from hilum.lookup import unknown_name

    if part not in PARTS:
        raise unknown_name(part, list(PARTS), kind="part")
    return str(
        hilum.pretrain(
            "mrm",
            data=data,
            out=out,
            variant=variant,
            init=init,
            tokenizer=tokenizer,
            set=PARTS[part],
            devices=devices,
            seed=seed,
            resume=resume,
            **(FULL if scale == "full" else PHANTOM),
        )
    )


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(mrm)
