"""A cell is decided by column and setting, the setting having the last word; equal jobs are one."""

from __future__ import annotations

from hilum.tables.record import Choice, Column, Job, PaperTable, Published, Row, Setting

NOTHING = Published()
COLUMNS = (
    Column("one", choice=Choice("classify", "a", "probe", {"epochs": 10, "policy": "ignore"}, "auroc")),
    Column("two", choice=Choice("classify", "a", "probe", {"epochs": 10, "policy": "ignore"}, "auprc", "Mass")),
    Column("mean", mean_of=("one", "two")),
)
SETTINGS = (
    Setting("as it is"),
    Setting("longer", Choice(preset="glori", options={"epochs": 100}, finding="Edema", judged="b")),
    Setting("private", job=False),
)
TABLE = PaperTable(
    "t",
    "title",
    "source",
    COLUMNS,
    SETTINGS,
    (Row("longer", "A", (Published(1.0), Published(2.0, flag="no"), NOTHING), "a"),),
)


def test_settings_have_the_last_word() -> None:
    assert TABLE.cell("as it is", COLUMNS[0]) == (
        Job("classify", "a", "probe", {"epochs": 10, "policy": "ignore"}, "a"),
        "auroc",
        "macro",
    )
    assert TABLE.cell("longer", COLUMNS[1]) == (
        Job("classify", "a", "glori", {"epochs": 100, "policy": "ignore"}, "b"),
        "auprc",
        "Edema",
    )


def test_nothing_is_run_for_private_settings_and_for_averages() -> None:
    assert TABLE.cell("private", COLUMNS[0]) is None
    assert TABLE.cell("as it is", COLUMNS[2]) is None


def test_equal_jobs_are_one_and_different_ones_have_different_names() -> None:
    jobs = TABLE.jobs()
    assert len(jobs) == 2
    assert all(name == job.name for name, job in jobs.items())
    assert TABLE.data_sets() == ("a", "b")
    job = next(iter(jobs.values()))
    names = {
        job.name,
        Job("segment", job.data, job.preset, job.options, job.judged).name,
        Job(job.task, job.data, job.preset, {**job.options, "epochs": 11}, job.judged).name,
        Job(job.task, job.data, job.preset, job.options, "b").name,
    }
    assert len(names) == 4


def test_flagged_numbers_are_listed() -> None:
    (row, column, number), *more = TABLE.flagged()
    assert (row.method, column.key, number.flag, more) == ("A", "two", "no", [])
