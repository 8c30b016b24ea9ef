"""Numbers for the model card, read from judged folders: the metrics that head each task, with their intervals.

`results.json` keeps every estimate as value, low, high and the counts it rests on. The table below says under which
names a task keeps those that speak for it; `*` stands for every category there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hilum.checkpoint import CONFIG, read_config
from hilum.encoder import Encoder
from hilum.errors import UserError
from hilum.evaluation.features import weights_digest
from hilum.exporting.places import without_places
from hilum.lookup import unknown_name
from hilum.metrics.estimate import interval_text
from hilum.model_card import Measured
from hilum.results.judgement import RESULTS, judged_folder

HEADLINES: Final[dict[str, tuple[tuple[str, str], ...]]] = {  # task -> (metric, where results.json keeps it)
    "classification": (("AUROC", "macro.auroc"), ("AUPRC", "macro.auprc"), ("AUROC", "findings.*.auroc")),
    "zero-shot": (("AUROC", "macro.auroc"), ("AUPRC", "macro.auprc"), ("AUROC", "findings.*.auroc")),
    "segmentation": (
        ("Dice, films with the finding", "macro.dice_positive.model"),
        ("Dice, films with the finding", "findings.*.scores.dice_positive.model"),
    ),
    "detection": (("AP", "macro.model.ap"), ("AP50", "macro.model.ap50"), ("AP50", "findings.*.model.ap50")),
    "survival": (("Uno's C", "endpoints.*.uno"), ("AUROC at the horizon", "endpoints.*.auroc")),
    "grounding": (("mIoU", "ways.*.miou.micro"), ("Pointing", "ways.*.pointing.micro")),
    "saliency": (("mIoU", "ways.*.miou.micro"), ("Pointing", "ways.*.pointing.micro")),
    "retrieval": (("R@10, same study", "directions.*.study.recall.10"),),
}
DIGEST: Final = "encoder_sha256"  # in the record of an adapted model
HOW: Final = ("head", "encoder", "trained_on", "label_fraction", "data", "split")  # of the context, in this order


def measured(folders: Sequence[str | Path], encoder: Encoder | None = None) -> list[Measured]:
    """The numbers of judged folders, or of runs that were judged.

    Args:
        folders: each holds a results.json, or one folder that does.
        encoder: what they must be numbers of, where the run beside them says which encoder it had.

    Raises:
        UserError: nothing was judged there, the task has no headline, or the run had another encoder.
    """
    known = () if encoder is None or not folders else (weights_digest(encoder.model), encoder.origin.get(DIGEST))
    return [_measured(judged_folder(Path(folder)), known) for folder in folders]


def _measured(folder: Path, known: Sequence[str | None]) -> Measured:
    """One judged folder."""
    try:
        results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        task = results["task"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError("holds no results.json that can be read", where=folder, fix="Judge the run again") from error
    if task not in HEADLINES:
        raise unknown_name(str(task), list(HEADLINES), kind="task of results", where=str(folder))
    _refuse_other_encoder(folder, known)
    rows = tuple(
        (category, metric, text, _count(found.get("n")), _count(found.get("n_patients")))
        for metric, path in HEADLINES[task]
        for category, found in _estimates(results, path.split("."))
        if (text := interval_text(found["value"], found.get("low"), found.get("high"))) != "undefined"
    )
    if not rows:
        raise UserError("holds no number that is defined", where=folder, fix="Judge on films that have the findings")
    context, drawn = results.get("context", {}), results.get("bootstrap", {})
    how = {"task": task, **{key: context[key] for key in HOW if context.get(key) not in (None, "")}}
    if drawn:
        share = f"{drawn.get('confidence', 0.95):.0%}".replace("%", " %")
        how["intervals"] = f"{share}, bootstrap over patients, {drawn.get('draws')} draws, seed {drawn.get('seed')}"
    how["command"] = context.get("command") or "not recorded"
    shown = {key: without_places(str(value)) for key, value in how.items()}
    return Measured(without_places(str(context.get("title") or task)), shown, rows)


def _estimates(found: Any, path: Sequence[str], category: str = "mean") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every estimate under a path of names; `*` is every name, which is then the category."""
    if not path:
        if isinstance(found, Mapping) and "value" in found:
            yield category, found
        return
    name, *rest = path
    if not isinstance(found, Mapping):
        return
    for key in list(found) if name == "*" else [name]:
        if key in found:
            yield from _estimates(found[key], rest, str(key) if name == "*" else category)


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "–"


def _refuse_other_encoder(folder: Path, known: Sequence[str | None]) -> None:
    """A run keeps the digest of the encoder it was built on; numbers of another one are not this one's.

    Args:
        folder: the judged folder; its run is the folder around it.
        known: digests of the encoder, and of the one it was adapted from.

    Raises:
        UserError: the run's record names other weights.
    """
    record = folder.parent / "model" / CONFIG
    if not known or not record.is_file():
        return
    told = _told(read_config(record.parent))
    if told is not None and told not in known:
        raise UserError(
            f"was judged with another encoder: its run was built on weights {told:.12}..., these are {known[0]:.12}...",
            where=folder,
            fix="Name results of this encoder",
        )


def _told(values: object) -> str | None:
    """The digest of an encoder, wherever it stands."""
    if isinstance(values, dict):
        found = values.get(DIGEST)
        parts = [found] if isinstance(found, str) else [_told(value) for value in values.values()]
        return next((part for part in parts if part is not None), None)
    return None
