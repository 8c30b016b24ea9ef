"""CXRBase: a ViT-L masked autoencoder, ImageNet first, then a million chest films.

Paper: https://arxiv.org/abs/2410.08861 (section 3.3); what it leaves out is taken from MAE's own recipe.
Command: python recipes/cxrbase.py --data DATA --out RUN --init mae_pretrain_vit_large.pth [--devices 8]
Hardware: the paper used 8 GPUs; here any number, the global batch stays 2,048.
Hours: about 62 on one H200 at half of its bf16 rate, computed from the arithmetic (99 EFLOP for 800 epochs of
    1.04 million films), not measured.
Expect: no published number can be checked: the weights, the private films and the splits were not released. The paper
    reports a mean AUROC of 75.4 on ChestX-ray14 after fine-tuning on few films (table 1).
"""

from __future__ import annotations

import hilum


def cxrbase(data: str, out: str, *, init: str | None = None, devices: int = 1, resume: bool = False) -> str:
    """Pretrain at the paper's scale.

    Args:
        data: a prepared folder, films at 512 px.
        out: the run folder.
        init: the released MAE file of ImageNet, which the paper starts from.
        devices: GPUs of this machine.
        resume: go on with the run.
    """
    return str(
        hilum.pretrain(
            "mae",
            data=data,
            out=out,
            preset="cxrbase",  # ViT-L/16 at 224, decoder 512 x 8, 75 % masked, crops of 20-100 %, flips
            init=init,
            epochs=800,
            warmup=30 / 800,
            batch_size=2048,
            micro_batch=256,
            base_lr=1.5e-4,  # not in the paper; MAE's
            weight_decay=0.05,
            precision="bf16",
            compile=True,
            workers=12,
            devices=devices,
            resume=resume,
        )
    )


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(cxrbase)
