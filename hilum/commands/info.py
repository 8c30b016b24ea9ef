"""`hilum info`: say what a folder is."""

from __future__ import annotations


def info(folder: str, *, json: bool = False) -> None:
    """Say what a data set, run, encoder, checkpoint or folder of results is; checks its files on the way.

    Args:
        folder: what to look at.
        json: print JSON instead of a table.
    """
    import sys
    from json import dumps

    from hilum.inspection import inspect

    facts = inspect(folder)
    if json:
        sys.stdout.write(dumps([{"name": name, "value": value} for name, value in facts], indent=2) + "\n")
        return
    width = max(len(name) for name, _ in facts)
    sys.stdout.write("".join(f"{name:<{width}}  {value}\n" for name, value in facts))
