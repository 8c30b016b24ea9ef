"""DINOv2 beside MAE on synthetic films at equal arithmetic: linear probe, nearest neighbours, GLoRI, attention, stages.

Paper: https://arxiv.org/abs/2502.05142 (CheXFound), sections III-B, V-A, V-C, V-D, for two CPU cores; films are
    the phantom's (docs/phantom.md).
Command: python recipes/phantom_dinov2.py --out RUNS [--parts methods,variants,glori,attention] [--seeds 0,1,2]
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
from hilum.run_folder import write_atomic
from hilum.side_by_side import Contest, judged_probe, run_contest

JUDGED: Final = {"val": 700, "test": 1300}  # patients; a fifth of what is drawn would take hours to judge
SMALL: Final = {"width": 96, "depth": 4, "heads": 3}
# Chosen on validation films in runs of 400 steps (docs/log.md). Few prototypes and a short bottleneck, because a batch
# of 64 crops cannot fill more; weights as wide as xavier's and no LayerScale, because a thousand steps are too few to
# grow from almost nothing; crops that share more of the film.
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
MFLOP: Final = {"mae": 194, "dinov2": 594, "first-stage": 182}  # a film, forward and backward, as torch counts them
LAST_STAGE: Final = 0.5  # share of its arithmetic that two stages spend at full size
SMALL_FINDINGS: Final = ("Nodule", "Fracture", "Pneumothorax")
FINDINGS: Final = (*SMALL_FINDINGS, "Effusion", "Cardiomegaly", "Consolidation", "Edema", "Mass")
GLORI: Final = {
    "head": "glori",
    "head_set": {"dim": 96, "heads": 4, "feedforward": 192},
    "epochs": 12,
    "batch_size": 64,
}


def contest(data: str, out: Path, seeds: tuple[int, ...], steps: int) -> Contest:
    """MAE, DINOv2, and DINOv2 in two stages at equal arithmetic, probed on the labels of a tenth of the patients."""
    training = {"batch_size": 32, "epochs": 100, "lr": 1e-3, "warmup": 0.1, "keep_checkpoints": 1, "probe": False}
    first = {"size": 64, "max_steps": equal("first-stage", steps * (1 - LAST_STAGE))}
    last = {"max_steps": round(steps * LAST_STAGE), "init": f"{out}/first-stage-{{seed}}"}
    return Contest(
        data=data,
        methods=("mae", "dinov2", "first-stage", "two-stages"),
        kinds=dict.fromkeys(("first-stage", "two-stages"), "dinov2"),
        seeds=seeds,
        training={**training, "size": 128},
        own={
            "mae": {"max_steps": equal("mae", steps)},
            "dinov2": {"max_steps": steps},
            "first-stage": first,
            "two-stages": last,
        },
        options={
            "mae": {"vit": SMALL},
            "dinov2": DINOV2,
            "first-stage": {**DINOV2, "local_size": 32},
            "two-stages": DINOV2,
        },
        labels=FINDINGS,
        fraction=0.1,
        neighbours=20,
        probes={"probe": {"pool": "cls+mean"}},
    )


def equal(name: str, steps: float) -> int:
    """Steps of one method with the arithmetic of so many steps of DINOv2."""
    return round(steps * MFLOP["dinov2"] / MFLOP[name])


def variants(base: Contest) -> Contest:
    """The paper's and the code's variant of the same small network and budget, one seed.

    They decide style, flip, momentum, KoLeo and whose masks are drawn together. Their stochastic depth is left out:
    40 % of four blocks in a thousand steps would decide the comparison by itself.
    """
    theirs = {key: value for key, value in DINOV2.items() if key not in ("momentum", "koleo_weight")}
    names, budget = ("dinov2", "paper", "released"), base.own["dinov2"]
    return replace(
        base,
        methods=names,
        kinds=dict.fromkeys(names, "dinov2"),
        own={"dinov2": budget, "paper": {**budget, "variant": "paper"}, "released": {**budget, "variant": "released"}},
        options={"dinov2": DINOV2, **{name: {**theirs, "drop_path": 0.0} for name in names[1:]}},
        seeds=base.seeds[:1],
    )


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
    steps: int = 1000,
    seeds: tuple[int, ...] = (0, 1, 2),
    parts: tuple[str, ...] = ("methods", "variants", "glori", "attention"),
) -> str:
    """Draw films, pretrain, probe, and write the tables; what is finished in `out` is kept.

    Args:
        out: a folder.
        patients: how many to draw.
        steps: of DINOv2, 32 films each; the others get as many as cost the same.
        seeds: of pretraining, heads and the labelled share.
        parts: which questions are asked.
    """
    folder = Path(out)
    data = folder / "phantom"
    if not data.is_dir():
        write_phantom(data, patients=patients, size=256, seed=3, workers=2)
        first_patients(Manifest.read(data), JUDGED).write(data)
    runs = folder / f"steps-{steps}"
    base = contest(str(data), runs, seeds, steps)

    def say(line: str) -> None:
        print(line, flush=True)

    if "methods" in parts:
        run_contest(base, runs, say=say)
    if "variants" in parts:
        run_contest(variants(base), runs, name="variants", say=say)
    if "glori" in parts:
        both = replace(base, probes={**base.probes, "glori": GLORI}, methods=("dinov2",))
        run_contest(both, runs, name="glori", say=say)
        write_atomic(runs / "glori-against-linear.md", glori_against_linear(both, runs) + "\n")
    for seed in seeds if "attention" in parts else ():
        run, place = runs / f"dinov2-{seed}-glori", runs / f"attention-{seed}"
        if not (place / "results.json").is_file():
            hilum.ground(str(run), data=str(data), out=str(place))
    return out


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(phantom_dinov2)
