"""All tables on one page: what each needs, by which protocol it is filled, and which of its numbers are flagged.

`docs/paper_tables.md` is what this writes: python -c "from hilum.tables.overview import overview; print(overview())".
"""

from __future__ import annotations

from collections.abc import Sequence

from hilum.lookup import lookup
from hilum.tables import TABLES
from hilum.tables.data_set import DataSet
from hilum.tables.data_sets import DATA_SETS
from hilum.tables.record import Column, PaperTable, Published, Row

HEAD = """# The papers' tables as recipes

Every result table of the five papers, with the data, the split, the protocol and the published numbers of each cell.
A table says what it needs and what of it is missing, is filled by whoever holds the data, or runs in a minute on
stand-ins (phantom films in manifests of that shape and a tiny encoder), whose numbers mean nothing:

```
hilum benchmark --table mrm-table-1 --data ROOT --dry-run
hilum benchmark --table mrm-table-1 --data ROOT --out RUN --encoders mrm=RUN_OR_FILE,mine=RUN
hilum benchmark --table mrm-table-1 --out RUN --miniature
```

or with the scripts in `recipes/tables/`, one a paper. `ROOT/<data set>` is a folder that `hilum prepare` made, or a
manifest written by hand; `ROOT/releases` is where releases are looked for as their owners pack them. An encoder under
the name of a row fills that row, under another name it gets rows of its own. The page puts our number with its interval
under the published one. A call that was stopped is repeated as it was (a script with `--resume`), and encoders may be
added to it.

A flag is a reason why a published number cannot be right or should not be chased: it lies outside its own interval or
outside what its metric can be, stands word for word in another cell, its split leaks, or it is of another test set.
This page is written by `hilum.tables.overview`; a test holds the two together.
"""


def overview() -> str:
    """The page, as Markdown."""
    tables = [lookup(TABLES, name, kind="table")() for name in TABLES]
    parts = [HEAD.strip(), "## Tables", *(part for table in tables for part in _table(table))]
    parts += ["## Data sets", *(_data_set(one) for one in DATA_SETS.values() if not one.private)]
    return "\n\n".join(parts) + "\n"


def _table(table: PaperTable) -> list[str]:
    jobs = table.jobs().values()
    presets = dict.fromkeys(
        f"`{name}`" if (name := job.preset or job.options.get("preset")) else job.task for job in jobs
    )
    lines = [
        f"{table.title}. {table.source}.",
        f"- data: {', '.join(f'`{name}`' for name in table.data_sets())}",
        f"- protocol: {', '.join(presets)}; {len(jobs)} runs an encoder, seeds {', '.join(map(str, table.seeds))}",
        f"- numbers: {_printed(table)} printed, {len(table.flagged())} flagged",
        *(f"- note: {note}" for note in table.notes),
        *(f"- **flag** {text}" for text in _flags(table)),
    ]
    return [f"### {table.name}", lines[0], "\n".join(lines[1:])]


def _printed(table: PaperTable) -> int:
    return sum(number.value is not None for row in table.rows for number in row.numbers)


def _flags(table: PaperTable) -> list[str]:
    """One line a reason, with the numbers it stands against."""
    found: dict[str, list[tuple[Row, Column, Published]]] = {}
    for row, column, number in table.flagged():
        found.setdefault(number.flag or "", []).append((row, column, number))
    return [f"{_places(cells)}: {reason}" for reason, cells in found.items()]


def _places(cells: Sequence[tuple[Row, Column, Published]]) -> str:
    """The cells by name and number; of many only which rows and columns they fill."""
    if len(cells) <= 4:
        return "; ".join(
            f"{', '.join(part for part in (row.setting, row.method, column.key) if part)} = {number.printed}"
            for row, column, number in cells
        )
    rows = dict.fromkeys(row.method for row, _, _ in cells)
    columns = dict.fromkeys(column.key for _, column, _ in cells)
    said = ", ".join(columns) if len(columns) <= 5 else f"{len(columns)} columns"
    return f"{len(cells)} numbers ({', '.join(rows)}; {said})"


def _data_set(data_set: DataSet) -> str:
    names = ("train", "validation", "test")
    counts = ", ".join(
        f"{count:,} {name}" for name, count in zip(names, data_set.counts, strict=True) if count is not None
    )
    holds = ", ".join(data_set.holds)
    lines = [
        f"**`{data_set.name}`** {data_set.title}: {holds}.",
        f"- split: {data_set.split}" + (f" ({counts})" if counts else ""),
        *(f"- defect: {defect}" for defect in data_set.defects),
        "- release: " + "; ".join(f"`{file.path}`" for file in data_set.release),
    ]
    return "\n".join([lines[0], "", *lines[1:]])
