"""DINOv2 beside MAE on synthetic films at equal arithmetic: linear probe, nearest neighbours, GLoRI, attention, stages.

Paper: https://arxiv.org/abs/2502.05142 (CheXFound), sections III-B, V-A, V-C, V-D, for two CPU cores; films are
    the phantom's (docs/phantom.md).
Command: python recipes/phantom_dinov2.py --out RUNS [--parts methods,glori,attention,short] [--seeds 0,1,2]
Hardware: 2 CPU cores, 24 GiB; calls with different --seeds or --parts and the same --out share the work.
Hours: see docs/phantom_dinov2.md.
Expect: at equal arithmetic DINOv2 beats MAE under a linear probe and k-NN; GLoRI beats the linear probe on the small
    findings and its attention hits their boxes more often than the encoder's class token. What came out, and what was
    missed and why, is in docs/phantom_dinov2.md.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import hilum
from hilum.datasets.phantom import write_phantom
from hilum.manifest import Manifest
from hilum.manifest.share import first_patients
from hilum.metrics.bootstrap import difference
from hilum.metrics.estimate import interval_text
from hilum.metrics.over_runs import mean_over_runs
from hilum.side_by_side import Contest, judged_probe, run_contest

JUDGED: Final = {"val": 700, "test": 1300}  # patients; a fifth of what is drawn would take hours to judge
SMALL: Final = {"width": 96, "depth": 4, "heads": 3}
# Chosen on validation films in runs of 400 steps (docs/log.md). Few prototypes and a short bottleneck, because a batch
# of 64 crops cannot fill more; weights as wide as xavier's and no LayerScale, because 2,500 steps are too few to grow
# from almost nothing; crops that share more of the film.
HEAD: Final = {"prototypes": 128, "hidden": 128, "bottleneck": 8}
DINOV2: Final[dict[str, Any]] = {
    "vit": {**SMALL, "mlp": "gelu", "registers": 0, "layer_scale": None, "init": "xavier"},
    "local_size": 48,
    "local_crops": 4,
    "global_scale": [0.4, 1.0],
    "local_scale": [0.15, 0.4],
    "dino_head": HEAD,
    "ibot_head": HEAD,
    "teacher_temperature": [0.02, 0.02],
    "momentum": [0.98, 1.0],
    "koleo_weight": 0.1,
    "ibot_weight": 1.0,
}
MFLOP: Final = {"mae": 194, "dinov2": 594, "first stage": 182}  # a film, forward and backward, as torch counts them
STEPS: Final = {"mae": 7650, "dinov2": 2500}  # of 32 films: equal arithmetic
SHORT: Final = 1000  # steps of each variant
LAST_STAGE: Final = 0.5  # share of its arithmetic that two stages spend at full size
SMALL_FINDINGS: Final = ("Nodule", "Fracture", "Pneumothorax")
FINDINGS: Final = (*SMALL_FINDINGS, "Effusion", "Cardiomegaly", "Consolidation", "Edema", "Mass")
GLORI: Final = {"head": "glori", "head_set": {"dim": 96, "heads": 4, "feedforward": 192}, "epochs": 12}


def contest(data: str, seeds: tuple[int, ...]) -> Contest:
    """MAE and DINOv2 at equal arithmetic, probed on the labels of a tenth of the patients."""
    training = {"batch_size": 32, "epochs": 100, "lr": 1e-3, "warmup": 0.1, "keep_checkpoints": 1, "probe": False}
    return Contest(
        data=data,
        methods=("mae", "dinov2"),
        seeds=seeds,
        training={**training, "size": 128},
        own={method: {"max_steps": steps} for method, steps in STEPS.items()},
        options={"mae": {"vit": SMALL}, "dinov2": DINOV2},
        labels=FINDINGS,
        fraction=0.1,
        neighbours=20,
        probes={"probe": {}},
    )


def short(base: Contest, out: Path) -> Contest:
    """Ours, the paper's and the code's variant, and two stages, on one smaller budget and one seed.

    The variants decide style, flip, momentum, KoLeo and whose masks are drawn together; the network is the same. Two
    stages spend half of the arithmetic at 64 px first.
    """
    first = out / "first-stage"
    if not (first / "encoder").is_dir():
        steps = round(SHORT * (1 - LAST_STAGE) * MFLOP["dinov2"] / MFLOP["first stage"])
        shape = {**base.training, "size": 64, "max_steps": steps, "set": {**DINOV2, "local_size": 32}}
        resume = (first / "config.json").is_file()
        hilum.pretrain("dinov2", data=base.data, out=str(first), preset=base.preset, resume=resume, **shape)
    own: dict[str, dict[str, Any]] = {
        "dinov2": {"max_steps": SHORT},
        "paper": {"max_steps": SHORT, "variant": "paper"},
        "released": {"max_steps": SHORT, "variant": "released"},
        "two-stages": {"max_steps": round(SHORT * LAST_STAGE), "init": str(first)},
    }
    theirs = {key: value for key, value in DINOV2.items() if key not in ("momentum", "koleo_weight")}
    # stochastic depth of 40 % in four blocks of a thousand steps would decide the comparison by itself
    theirs = {**theirs, "drop_path": 0.0}
    options = {"dinov2": DINOV2, "two-stages": DINOV2, "paper": theirs, "released": theirs}
    kinds = dict.fromkeys(own, "dinov2")
    return replace(base, methods=tuple(own), kinds=kinds, own=own, options=options, seeds=base.seeds[:1])


def glori_against_linear(base: Contest, out: Path) -> str:
    """GLoRI minus the linear probe on the same encoders: each small finding, mean over seeds, paired."""
    lines = ["| finding | linear probe | GLoRI | paired difference |", "|---|---|---|---|"]
    linear, glori = (
        mean_over_runs([judged_probe(out / f"dinov2-{seed}-{probe}", base.draws) for seed in base.seeds])
        for probe in ("probe", "glori")
    )
    for finding in (None, *SMALL_FINDINGS):
        pair = [run.macro("auroc") if finding is None else run.estimate("auroc", finding) for run in (linear, glori)]
        gap = difference(glori, linear, "auroc", finding)
        shown = [interval_text(part.value, part.low, part.high) for part in pair]
        against = interval_text(gap.value, gap.low, gap.high, signed=True)
        lines.append(f"| {finding or 'macro'} | {shown[0]} | {shown[1]} | {against} |")
    return "\n".join(lines)


def phantom_dinov2(
    *,
    out: str,
    patients: int = 30000,
    seeds: tuple[int, ...] = (0, 1, 2),
    parts: tuple[str, ...] = ("methods", "glori", "attention", "short"),
) -> str:
    """Draw films, pretrain, probe, and write the tables; what is finished in `out` is kept.

    Args:
        out: a folder.
        patients: how many to draw.
        seeds: of pretraining, heads and the labelled share.
        parts: which questions are asked.
    """
    folder = Path(out)
    data = folder / "phantom"
    if not data.is_dir():
        write_phantom(data, patients=patients, size=256, seed=3, workers=2)
        first_patients(Manifest.read(data), JUDGED).write(data)
    base = contest(str(data), seeds)

    def say(line: str) -> None:
        print(line, flush=True)

    if "methods" in parts:
        run_contest(base, folder / "methods", say=say)
    if "glori" in parts:
        run_contest(
            replace(base, probes={"probe": {}, "glori": GLORI}, methods=("dinov2",)), folder / "methods", say=say
        )
        say(glori_against_linear(base, folder / "methods"))
    if "attention" in parts:
        for seed in seeds:
            run, place = folder / "methods" / f"dinov2-{seed}-glori", folder / f"attention-{seed}"
            if not (place / "results.json").is_file():
                hilum.ground(str(run), data=str(data), out=str(place))
    if "short" in parts:
        run_contest(short(base, folder / "short"), folder / "short", say=say)
    return out


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(phantom_dinov2)
