"""`hilum zero-shot`: an encoder with a text tower and sentences to findings, without a label."""

from __future__ import annotations

from typing import Literal


def zero_shot(
    encoder: str,
    *,
    data: str,
    out: str,
    also: tuple[str, ...] = (),
    labels: tuple[str, ...] = (),
    prompts: str = "findings",
    scoring: Literal["chexzero", "biovil", "maco-released"] = "chexzero",
    thresholds: Literal["none", "validation"] = "none",
    policy: str = "ignore",
    split: Literal["train", "val", "test"] = "test",
    views: tuple[str, ...] = (),
    draws: int = 1000,
    seed: int = 0,
    batch_size: int = 64,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    workers: int = 0,
) -> str:
    """Score findings by sentences and judge them; writes results.html, .md, .json and predictions.parquet.

    Args:
        encoder: a run or encoder folder of a method that reads reports (maco, medim), or a converted one (chexzero).
        data: folder with a manifest that has label columns.
        out: folder for the results; new or empty.
        also: more encoders, e.g. B,C, whose probabilities are averaged with the first one's, as CheXzero does with ten.
        labels: findings to score; default all labelled findings that the prompts speak of.
        prompts: a YAML file of sentences for and against each finding, or one that comes with the package: findings
            (plain sentences) or chexzero (the name of the finding, and no before it).
        scoring: chexzero averages sentences at unit length and compares cosines; biovil averages raw sentences;
            maco-released compares raw products.
        thresholds: none uses no label at all; validation chooses those of the largest F1 on the val split.
        policy: uncertain labels (-1) as ones, zeros or ignore; also by finding, e.g. zeros,Edema=ones.
        split: whose films are judged.
        views: only films with these view positions, e.g. PA,AP.
        draws: patients are drawn this often for the intervals.
        seed: of the draws.
        batch_size: films a forward pass.
        device: cpu, cuda, or whichever is there.
        workers: loader processes.
    """
    given = dict(locals())
    import shlex
    import sys

    from hilum.commands.arguments import as_words
    from hilum.evaluation.features import Runner
    from hilum.evaluation.predict import summary
    from hilum.evaluation.zero_shot import ZeroShot, judge_zero_shot

    judged = judge_zero_shot(
        encoder,
        data,
        out,
        ZeroShot(**{name: given[name] for name in ZeroShot.__dataclass_fields__}),
        also=also,
        runner=Runner(device=device, batch_size=batch_size, workers=workers),
        command=f"hilum {shlex.join(as_words(zero_shot, given))}",
    )
    left_out = "".join(f"{note}\n" for note in judged.results["notes"] if note.startswith("Left out"))
    sys.stdout.write(f"{left_out}{summary(judged.results)}\n{judged.page}\n")
    return str(judged.folder)
