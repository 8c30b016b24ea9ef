"""The result tables of the five papers as recipes: data, split, protocol and published numbers of every cell.

`TABLES` lists, under the name a user types, the function that returns the `hilum.tables.record.PaperTable`. What a
table needs is said by `hilum.tables.check.missing`, it is filled by `hilum.tables.run.run_table`. Numbers are the
papers'; those that cannot be right, or that nobody should chase, carry the reason. No torch is imported here.
"""

from __future__ import annotations

from typing import Final

TABLES: Final = {
    "chexfound-mortality": "hilum.tables.chexfound:mortality",
    "chexfound-table-2": "hilum.tables.chexfound:table_2",
    "chexfound-table-3": "hilum.tables.chexfound:table_3",
    "chexfound-table-4": "hilum.tables.chexfound:table_4",
    "chexfound-table-5": "hilum.tables.chexfound:table_5",
    "cxrbase-covid-screening": "hilum.tables.cxrbase:covid_screening",
    "cxrbase-negative-screening": "hilum.tables.cxrbase:negative_screening",
    "cxrbase-table-1": "hilum.tables.cxrbase:table_1",
    "cxrbase-table-2": "hilum.tables.cxrbase:table_2",
    "maco-table-1": "hilum.tables.maco:table_1",
    "maco-table-2": "hilum.tables.maco:table_2",
    "maco-table-3": "hilum.tables.maco:table_3",
    "maco-table-4": "hilum.tables.maco:table_4",
    "maco-table-5": "hilum.tables.maco:table_5",
    "medim-table-1": "hilum.tables.medim:table_1",
    "medim-table-2": "hilum.tables.medim:table_2",
    "medim-table-3": "hilum.tables.medim:table_3",
    "mrm-table-1": "hilum.tables.mrm:table_1",
    "mrm-table-2": "hilum.tables.mrm:table_2",
    "mrm-table-3": "hilum.tables.mrm:table_3",
    "mrm-table-4": "hilum.tables.mrm:table_4",
    "mrm-table-5": "hilum.tables.mrm:table_5",
}
