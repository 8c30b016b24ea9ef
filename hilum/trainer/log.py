"""What a run says while it trains: metrics.jsonl, TensorBoard and the progress bar, on rank 0 only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils.tensorboard.writer import SummaryWriter

from hilum.progress import ProgressBar
from hilum.run_folder import LOG, RunFolder


class TrainingLog:
    """Records of a run; silent on other ranks.

    Args:
        run: the run folder.
        start: the step the run starts or resumes at; what was logged after it is forgotten.
        total: steps of the whole run.
        active: whether this is rank 0.
    """

    def __init__(self, run: RunFolder, *, start: int, total: int, active: bool) -> None:
        self.run, self.active = run, active
        if active:
            run.rewind_metrics(start)
            self._board = SummaryWriter(str(run.path / "tensorboard"), purge_step=start + 1)
        self._bar = ProgressBar("training", total, start=start, quiet=not active)

    def __enter__(self) -> TrainingLog:
        self._bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.__exit__(*error)
        if self.active:
            self._board.close()

    def step(self, record: Mapping[str, Any]) -> None:
        """One optimizer step: `step`, `loss`, `grad_norm`, `images_per_second` and more."""
        self._write(record)
        self._bar.advance(1, f"loss {record['loss']:.4f}  {record['images_per_second']:.0f} images/s")

    def skipped(self, step: int, loss: float, norm: float, ids: list[str]) -> None:
        """A step that was not taken, and the films that were in it."""
        LOG.warning("step %d skipped: loss %s, gradient norm %s; films: %s", step, loss, norm, ", ".join(ids))
        self._write({"step": step, "skipped": ids, "loss_was": repr(loss), "grad_norm_was": repr(norm)})
        self._bar.advance(1, "skipped")

    def evaluated(self, step: int, numbers: Mapping[str, float]) -> None:
        """What the evaluators said at a checkpoint."""
        LOG.info("step %d: %s", step, ", ".join(f"{name} {value:.4f}" for name, value in numbers.items()))
        self._write({"step": step, **numbers})

    def _write(self, record: Mapping[str, Any]) -> None:
        if not self.active:
            return
        self.run.log_metrics(record)
        for name, value in record.items():
            if name != "step" and isinstance(value, int | float):
                self._board.add_scalar(name, value, record["step"])
