"""The same compiled function on many inputs, on all cores this process may use.

Each call is a task of its own and writes only its own result, so the numbers are the same whatever the number of
threads. The functions release the interpreter's lock (numba, `nogil`); threads then cost no copies.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def on_all_cores(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`[work(item) for item in items]`, in that order."""
    if len(items) < 2 or _cores() < 2:
        return [work(item) for item in items]
    return list(_pool(os.getpid()).map(work, items))


@cache
def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """One pool a process: a forked child must not wait for threads that only its parent has."""
    return ThreadPoolExecutor(_cores(), thread_name_prefix="metrics")
