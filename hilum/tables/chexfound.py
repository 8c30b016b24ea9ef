"""The result tables of CheXFound: linear probes and GLoRI on frozen encoders, mortality, and what scale buys.

Paper: https://arxiv.org/abs/2502.05142. Epochs and batches of each set are the paper's (section IV-A); the rest of the
protocol is in `chexfound-probe` and `chexfound-glori`. The splits are not released.
"""

from __future__ import annotations

from typing import Any, Final

from hilum.tables.published import read_rows, short_name
from hilum.tables.record import Choice, Column, PaperTable, Setting

SOURCE: Final = "CheXFound, https://arxiv.org/abs/2502.05142"
PRETRAIN: Final = "python recipes/chexfound.py --data DATA --out RUNS --judged CHEXPERT,SHENZHEN --devices 8"
SETS: Final[dict[str, tuple[str, dict[str, Any]]]] = {  # head -> data set, what differs by set
    "CXR-LT": ("cxr-lt-2024", {"epochs": 10, "batch_size": 256}),
    "CheXpert": ("chexpert-frontal-500", {"epochs": 10, "batch_size": 256, "policy": "u-zeros", "views": ("PA", "AP")}),
    "Shenzhen": ("shenzhen-tb", {"epochs": 100, "batch_size": 256}),
    "Montgomery": ("montgomery-tb", {"epochs": 100, "batch_size": 16}),
    "JSRT": ("jsrt", {"epochs": 100, "batch_size": 16}),
}
METRICS: Final = {"AUPRC": "auprc", "AUROC": "auroc"}
PROBE: Final = Setting("Linear probe", Choice(preset="chexfound-probe"))
GLORI: Final = Setting("GLoRI head", Choice(preset="chexfound-glori"))
FEW: Final = {"Montgomery": "28 test films: within noise", "JSRT": "50 test films: within noise"}
COPIED_BIOMED: Final = "the same AUROC and interval stand in the linear and in the GLoRI row"
COPIED_ZERO: Final = "the same AUROC and interval stand in the GLoRI row and in the zero-shot row of table III"


def columns_of_sets() -> tuple[Column, ...]:
    """AUPRC and AUROC on the five sets."""
    return tuple(
        Column(f"{head} {name}", head, Choice("classify", data, None, values, measure), 1)
        for head, (data, values) in SETS.items()
        for name, measure in METRICS.items()
    )


def noise() -> dict[tuple[str, str, str], str]:
    """Flags of the two tiny test sets."""
    return {("*", "*", f"{head} {name}"): reason for head, reason in FEW.items() for name in METRICS}


def _pretrain(_: str, method: str) -> str:
    return PRETRAIN if method == "CheXFound" else ""


def table_2() -> PaperTable:
    """Linear probe and GLoRI on six frozen encoders and five sets."""
    columns = columns_of_sets()
    flags = {
        ("Linear probe", "CheXFound", "CheXpert AUPRC"): "0.620 lies outside its interval, which is the GLoRI row's",
        ("Linear probe", "RAD-DINO", "CXR-LT AUROC"): "0.557 lies outside its own interval, .570 to .583",
        ("*", "BiomedCLIP", "CXR-LT AUROC"): COPIED_BIOMED,
        ("GLoRI head", "CheXzero", "CheXpert AUROC"): COPIED_ZERO,
        ("GLoRI head", "EVA-X", "CheXpert AUPRC"): "the same cell stands in table V as CXR-744K, ViT-B",
        **noise(),
    }
    return PaperTable(
        name="chexfound-table-2",
        title="Linear probe and GLoRI on frozen encoders",
        source=f"{SOURCE}, table II",
        columns=columns,
        settings=(PROBE, GLORI),
        rows=read_rows("chexfound-table-2", [column.key for column in columns], flags, pretrain=_pretrain),
        notes=(
            "The next best encoder is not EVA-X or RAD-DINO everywhere: BiomedCLIP has .643 (CXR-LT) and .841 "
            "(CheXpert), CheXzero .970 (Montgomery) and .906 (Shenzhen). The gain of 11.7 % on Shenzhen fits no row.",
            "MIMIC, CheXpert and ChestX-ray14 are in the pretraining of most of these encoders.",
            "The code knows one normalisation of films, CheXFound's; if the other encoders were judged with it and not "
            "with their own, their rows are too low.",
            "The released GLoRI file has no class token and is not the head of this table.",
        ),
    )


def table_3() -> PaperTable:
    """An encoder trained end to end and image-text alignment beside GLoRI."""
    columns = columns_of_sets()
    flags = {("Img-text align.", "CheXzero", "CheXpert AUROC"): COPIED_ZERO, **noise()}
    return PaperTable(
        name="chexfound-table-3",
        title="End to end, image-text alignment, GLoRI",
        source=f"{SOURCE}, table III",
        columns=columns,
        settings=(
            Setting("End-to-end", job=False),
            Setting("Img-text align.", Choice(task="zero-shot", options={"scoring": "chexzero"})),
            GLORI,
        ),
        rows=read_rows("chexfound-table-3", [column.key for column in columns], flags, pretrain=_pretrain),
        notes=("How ConvNeXt was trained is not said; prompts of the alignment rows are not said either.",),
    )


def table_4() -> PaperTable:
    """Cardiovascular death and death of any cause, as flags, on PLCO."""
    columns = tuple(
        Column(
            f"{head} {name}",
            title,
            Choice(
                "classify", "plco", "chexfound-glori", {"epochs": 10, "batch_size": 256}, measure, finding
            ),
            1,
        )
        for head, title, finding in (
            ("CVD", "cardiovascular death", "CardiovascularDeath"),
            ("Death", "death of any cause", "Death"),
        )
        for name, measure in METRICS.items()
    )  # fmt: skip
    return PaperTable(
        name="chexfound-table-4",
        title="Death on PLCO",
        source=f"{SOURCE}, table IV",
        columns=columns,
        settings=(Setting(""),),
        rows=read_rows("chexfound-table-4", [column.key for column in columns], pretrain=_pretrain),
        notes=(
            "A flag of death without time counts who left early as alive; `chexfound-mortality` asks it with time.",
            "Not said at which head the rows were run; GLoRI is the paper's.",
        ),
    )


def mortality() -> PaperTable:
    """Survival of the low- and the high-risk half, as the text and Fig. 5 give it."""
    values = {"endpoints": ("Death",), "horizon": 25 * 365.25, "head": "glori", "threshold": "median"}
    columns = tuple(
        Column(
            f"{name} risk", "survival at the end", Choice("survive", "plco", None, values, f"survival_{name}", "Death")
        )
        for name in ("low", "high")
    )
    untold = "where the cut between low and high risk lies is not said, and survival of each side depends on it"
    return PaperTable(
        name="chexfound-mortality",
        title="Survival of low and high risk on PLCO",
        source=f"{SOURCE}, section V-B and Fig. 5",
        columns=columns,
        settings=(Setting(""),),
        rows=read_rows(
            "chexfound-mortality", [column.key for column in columns], {("*", "*", "*"): untold}, pretrain=_pretrain
        ),
        notes=(
            "10,509 subjects of the test split; the paper's score is a classifier of death flags, ours a Cox model.",
            "The log-rank p is < 0.001 in the text and < 0.0001 in the caption.",
        ),
    )


def table_5() -> PaperTable:
    """What more films and a larger encoder buy."""
    columns = columns_of_sets()
    copied = "the same cell stands in table II as EVA-X with GLoRI"
    flags = {
        ("CXR-207K", "ViT-Large", "CheXpert AUPRC"): "0.618 lies outside its own interval, .629 to .726",
        ("CXR-744K", "ViT-Base", "CheXpert AUPRC"): copied,
        ("CXR-744K", "ViT-Base", "JSRT AUPRC"): f"{copied}; {FEW['JSRT']}",
        ("CXR-744K", "ViT-Base", "JSRT AUROC"): f"within 0.001 of EVA-X with GLoRI in table II; {FEW['JSRT']}",
        **noise(),
    }
    return PaperTable(
        name="chexfound-table-5",
        title="Films and size of the encoder",
        source=f"{SOURCE}, table V",
        columns=columns,
        settings=tuple(Setting(name, GLORI.choice) for name in ("CXR-207K", "CXR-744K", "CXR-1M")),
        rows=read_rows(
            "chexfound-table-5",
            [column.key for column in columns],
            flags,
            encoder=lambda setting, method: short_name(f"chexfound {setting} {method}"),
            pretrain=lambda _, __: f"{PRETRAIN} --part scaling",
        ),
        notes=("Not said at which size of films these were pretrained.",),
    )
