"""SIGTERM is a request: schedulers send it some seconds before SIGKILL."""

from __future__ import annotations

import signal
from collections.abc import Callable


class SigTerm:
    """Remember SIGTERM until the step in progress is done; a second one changes nothing."""

    def __init__(self) -> None:
        self.requested = False
        self.then: Callable[[], None] | None = None  # also done when the signal comes

    def __enter__(self) -> SigTerm:
        try:
            self._before = signal.signal(signal.SIGTERM, self._note)
        except ValueError:  # not the main thread: whoever owns that handles signals
            self._before = None
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, *_: object) -> None:
        self.requested = True
        if self.then is not None:
            self.then()
