"""MAE, MRM, MaCo and MedIM side by side on synthetic films: what do reports buy?

Paper: https://arxiv.org/abs/2111.06377 (MAE), https://arxiv.org/abs/2301.13155 (MRM), https://arxiv.org/abs/2309.05904
    (MaCo), https://doi.org/10.1007/978-3-031-43907-0_2 (MedIM); films and reports are the phantom's (docs/phantom.md).
Command: python recipes/phantom_reports.py --out RUNS [--patients 30000] [--epochs 0.75] [--seeds 0,1,2]
Hardware: 2 CPU cores, 24 GiB; two calls with different --seeds and the same --out share the work.
Hours: see docs/phantom_reports.md.
Expect: with labels of 1 % of the patients a frozen probe on MRM, MaCo or MedIM beats one on MAE; the differences,
    their intervals and what was missed are in docs/phantom_reports.md.
"""

from __future__ import annotations

from pathlib import Path

from hilum.datasets.phantom import write_phantom
from hilum.manifest import Manifest
from hilum.manifest.share import first_patients
from hilum.side_by_side import Contest, run_contest

SMALL = {"width": 96, "heads": 3, "depth": 4}  # one backbone for all: on two cores a larger one sees too few films

TEXT = {"width": 96, "depth": 2, "heads": 3, "hidden": 384}
READERS = {  # what each makes of its budget on two cores; chosen on films of another seed, never on these
    "medim": {"text": TEXT, "hidden": 128, "decoder": [32, 24, 16, 8]},
}
JUDGED = {"val": 700, "test": 1300}  # patients; a fifth of what is drawn would take hours to judge a dozen encoders on


def phantom_reports(
    *,
    out: str,
    patients: int = 30000,
    epochs: float = 0.75,
    seeds: tuple[int, ...] = (0, 1, 2),
    methods: tuple[str, ...] = ("mae", "mrm", "maco", "medim"),
) -> str:
    """Draw films, pretrain every method with every seed at one budget, probe with 1 % of the labels, read out.

    Args:
        out: a folder; what is finished in it is kept.
        patients: how many to draw; 30,000 give 50 positives of the commoner findings in 1 % of the training patients.
        epochs: of pretraining, the same for all.
        seeds: of pretraining, heads and the labelled share.
        methods: the first is what the others are compared with.
    """
    data = Path(out) / "phantom"
    if not data.is_dir():
        write_phantom(data, patients=patients, size=256, seed=3, workers=2)
        first_patients(Manifest.read(data), JUDGED).write(data)
    training = {"epochs": epochs, "batch_size": 32, "lr": 1e-3, "warmup": 0.1, "keep_checkpoints": 1}
    contest = Contest(
        data=str(data), methods=methods, seeds=seeds, options=READERS,
        training={**training, "probe": False, "set": {"vit": SMALL}},
    )  # fmt: skip
    run_contest(contest, out, say=lambda line: print(line, flush=True))
    return str(Path(out) / "standings.md")


if __name__ == "__main__":
    from hilum.commands.arguments import run_script

    run_script(phantom_reports)
