"""A run folder: what was asked (config.json), where it ran (env.json), what happened (metrics.jsonl, train.log).

Files are written to a temporary name, synced, and renamed, so a reader never meets half a file.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hilum.errors import ConfigError, UserError

LOG = logging.getLogger("hilum")


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file so that it is either the old one or the new one, also after a power cut."""
    data = content.encode() if isinstance(content, str) else content
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(
            f"cannot be written ({error.strerror})",
            where=path,
            fix="Free disk space or choose another folder",
        ) from error
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make renames inside `path` durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class RunFolder:
    """One run on disk.

    Args:
        path: the folder.
        resume: go on with what is there; otherwise the folder must be new or empty. None is for commands that cannot.
        follower: another process of the same run has made these checks and writes the files.
    """

    def __init__(self, path: str | Path, *, resume: bool | None = None, follower: bool = False) -> None:
        self.path, self.follower = Path(path), follower
        if follower:
            return
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError("is a file, not a folder", where=self.path, fix="Give another --out")
        if not resume and self.path.is_dir() and any(self.path.iterdir()):
            raise ConfigError(
                "the output folder is not empty",
                where=self.path,
                fix="Give another --out" + ("" if resume is None else ", or --resume to go on with it"),
            )
        if resume and not (self.path / "config.json").is_file():
            raise ConfigError("there is no run to resume here", where=self.path, fix="Leave out --resume to start one")

    def start(self, config: Mapping[str, Any]) -> None:
        """Create the folder and write what was asked and where it runs."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomic(self.path / "config.json", json.dumps(config, indent=2) + "\n")
        write_atomic(self.path / "env.json", json.dumps(environment(), indent=2) + "\n")

    def config(self) -> dict[str, Any]:
        """The resolved configuration of this run."""
        path = self.path / "config.json"
        try:
            values: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot be read ({error})", where=path, fix="Is this a run folder?") from error
        return values

    def log_metrics(self, record: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl."""
        with open(self.path / "metrics.jsonl", "a") as file:
            file.write(json.dumps(dict(record)) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """All whole lines of metrics.jsonl (a killed run may leave half a line)."""
        path = self.path / "metrics.jsonl"
        records = []
        for line in path.read_text().splitlines() if path.is_file() else ():
            try:
                records.append(json.loads(line))
            except ValueError:
                continue
        return records

    def rewind_metrics(self, step: int) -> None:
        """Forget what was logged after `step`, which a resumed run will do again."""
        kept = [record for record in self.metrics() if record.get("step", 0) <= step]
        write_atomic(self.path / "metrics.jsonl", "".join(json.dumps(record) + "\n" for record in kept))

    def open_log(self) -> logging.Handler:
        """Send the package's log to train.log as well; close it with `close_log`."""
        handler: logging.Handler = (
            logging.NullHandler() if self.follower else logging.FileHandler(self.path / "train.log")
        )
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        LOG.addHandler(handler)
        LOG.setLevel(logging.INFO)
        return handler

    @staticmethod
    def close_log(handler: logging.Handler) -> None:
        """Stop logging to the file of `open_log`."""
        LOG.removeHandler(handler)
        handler.close()


def environment() -> dict[str, Any]:
    """Software and machine, as far as numbers may depend on them; no host name, user or path."""
    packages = (
        "hilum",
        "torch",
        "transformers",
        "tokenizers",
        "lightning-fabric",
        "numpy",
        "pandas",
        "pillow",
        "pydicom",
        "scikit-learn",
    )
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "packages": {name: _version(name) for name in packages},
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else "",
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
