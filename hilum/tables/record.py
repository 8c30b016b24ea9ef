"""What one result table of a paper is: rows of encoders, columns of measures, and how each cell comes about.

A cell is decided by its column and by the *setting* of its row (labels at 1 %, a linear probe, a data set): both may
say task, data, protocol and measure, and the setting has the last word. `PaperTable.cell` puts them together; cells
with equal jobs share one run. Published numbers stand beside, each with a flag where it cannot be right or should not
be chased.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

TaskName = Literal["classify", "survive", "segment", "detect", "zero-shot", "ground", "retrieve"]
WITHOUT_TRAINING: Final = ("zero-shot", "ground", "retrieve")  # asked of the encoder as it is


@dataclass(frozen=True)
class Choice:
    """What a column or a setting decides; None and {} leave it to the other."""

    task: TaskName | None = None
    data: str | None = None  # a name of `hilum.tables.data_sets.DATA_SETS`
    preset: str | None = None  # of the task
    options: Mapping[str, Any] = field(default_factory=dict)  # fields of the task's Options, over the preset
    measure: str | None = None  # a name of `hilum.tables.measures.MEASURES`
    finding: str | None = None  # one finding, or "macro"
    judged: str | None = None  # the data set whose test films judge, where it is not `data`


@dataclass(frozen=True)
class Job:
    """One adaptation (or question) and its judgement; its cells only read different numbers of it."""

    task: TaskName
    data: str
    preset: str | None
    options: Mapping[str, Any]
    judged: str  # data set whose test films judge

    @property
    def name(self) -> str:
        """A folder name: data, preset or task, and a digest of all that decides the job."""
        decided = json.dumps(
            [self.task, self.data, self.preset, self.options, self.judged], sort_keys=True, default=list
        )
        return f"{self.data}-{self.preset or self.task}-{hashlib.sha256(decided.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Column:
    """One column of numbers."""

    key: str  # as in the file of published numbers
    group: str = ""  # the heading above several columns
    choice: Choice = field(default_factory=Choice)
    scale: float = 100.0  # the numbers are this many times a share of one: 100 for per cent, 1 for shares
    mean_of: tuple[str, ...] = ()  # keys of the columns it averages, instead of a job of its own


@dataclass(frozen=True)
class Setting:
    """What rows of a block share: how their encoders are adapted or asked."""

    name: str
    choice: Choice = field(default_factory=Choice)
    job: bool = True  # False: the paper does not say enough to repeat it, or the encoder is private


@dataclass(frozen=True)
class Published:
    """One number as printed; everything None where the paper prints a dash."""

    value: float | None = None
    low: float | None = None  # 95 % interval
    high: float | None = None
    spread: float | None = None  # standard deviation over runs
    flag: str | None = None  # why it cannot be right, or should not be chased
    printed: str = "–"  # with the digits it is printed with


@dataclass(frozen=True)
class Row:
    """One line: an encoder in a setting."""

    setting: str
    method: str  # as printed
    numbers: tuple[Published, ...]  # one a column
    encoder: str = ""  # the name under which `--encoders NAME=PATH` gives it; "" where none can be given
    pretrain: str = ""  # the command that makes this encoder, where the paper does not use a released one


@dataclass(frozen=True)
class PaperTable:
    """One result table of a paper, with all that is needed to fill it again."""

    name: str  # of `hilum.tables.TABLES`
    title: str
    source: str  # paper and place in it
    columns: tuple[Column, ...]
    settings: tuple[Setting, ...]
    rows: tuple[Row, ...]
    seeds: tuple[int, ...] = (0,)  # runs the paper averages over
    notes: tuple[str, ...] = ()  # what is not said, where the protocol departs

    def setting(self, name: str) -> Setting:
        """The setting of this name."""
        return next(setting for setting in self.settings if setting.name == name)

    def cell(self, setting: str, column: Column) -> tuple[Job, str, str] | None:
        """Job, measure and finding of a cell; None where nothing can be run for it."""
        block = self.setting(setting)
        if not block.job or column.mean_of:
            return None
        over, under = block.choice, column.choice
        task, data = over.task or under.task, over.data or under.data
        if task is None or data is None:
            return None
        preset = over.preset or under.preset
        options = {**under.options, **over.options}
        job = Job(task, data, preset, options, over.judged or under.judged or data)
        measure = over.measure or under.measure
        assert measure is not None, (self.name, setting, column.key)
        return job, measure, over.finding or under.finding or "macro"

    def jobs(self) -> dict[str, Job]:
        """Every distinct job of the table, by name, in the order of settings and columns."""
        return {job.name: job for _, _, job, _, _ in self.cells()}

    def cells(self) -> Iterator[tuple[str, Column, Job, str, str]]:
        """Setting, column, job, measure and finding of every cell that can be run."""
        for setting in self.settings:
            for column in self.columns:
                found = self.cell(setting.name, column)
                if found is not None:
                    yield setting.name, column, *found

    def data_sets(self) -> tuple[str, ...]:
        """Names of the data sets, each once."""
        return tuple(dict.fromkeys(name for job in self.jobs().values() for name in (job.data, job.judged)))

    def flagged(self) -> list[tuple[Row, Column, Published]]:
        """The published numbers with a flag."""
        return [
            (row, column, number)
            for row in self.rows
            for column, number in zip(self.columns, row.numbers, strict=True)
            if number.flag
        ]
