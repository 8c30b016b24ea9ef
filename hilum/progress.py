"""Progress that fits where it is shown: a bar on a terminal, a plain line now and then in a log file."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressBar:
    """Count `total` things; `note` is a short text that changes (loss, images/s).

    Off a terminal a line is written every `every` seconds and at the end, with the rate and the time to go.
    """

    def __init__(self, title: str, total: int, *, start: int = 0, every: float = 10.0, quiet: bool = False) -> None:
        self.title, self.total, self.done, self.every, self.quiet = title, total, start, every, quiet
        self._start, self._began, self._last = start, time.monotonic(), time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> ProgressBar:
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(self.title, total=self.total, completed=self.done, note="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count `n` more as done."""
        self.done += n
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, note=note)
        elif not self.quiet:
            now = time.monotonic()
            if now - self._last >= self.every or (self.done >= self.total and now - self._began >= 2.0):
                self._last = now
                sys.stderr.write(f"{self.title} {self.done}/{self.total}  {note}  to go {self._to_go(now)}\n")
                sys.stderr.flush()

    def _to_go(self, now: float) -> str:
        did = self.done - self._start
        if did <= 0:
            return "?"
        seconds = int((now - self._began) / did * (self.total - self.done))
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
