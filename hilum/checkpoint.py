"""Checkpoint folders: safetensors + JSON, written atomically, verified on load, never pickled.

    model.safetensors   weights
    config.json         what they are: kind, architecture, preprocessing record
    README.md           model card
    tokenizer.json      where the model reads reports
    resume/             training runs only: optimizer, average and random .safetensors, state.json
    files.json          sha256 of every file above

A folder is written under a temporary name, synced and renamed, so a folder of the right name is always whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hilum.errors import CheckpointError, UserError
from hilum.run_folder import sync_folder

WEIGHTS, CONFIG, CARD, FILES = "model.safetensors", "config.json", "README.md", "files.json"
TOKENIZER = "tokenizer.json"
OPTIMIZER, AVERAGE, RANDOM = (
    "resume/optimizer.safetensors",
    "resume/average.safetensors",
    "resume/random.safetensors",
)
STATE = "resume/state.json"


@dataclass(frozen=True)
class Resume:
    """What a training run needs beside its weights."""

    optimizer: Mapping[str, Tensor]
    average: Mapping[str, Tensor]  # moving average of the backbone; empty where there is none
    random: Mapping[str, Tensor]  # generator states of every rank
    state: Mapping[str, Any]  # step, scaler, parameter groups


def save_checkpoint(
    path: Path,
    weights: Mapping[str, Tensor],
    config: Mapping[str, Any],
    card: str,
    resume: Resume | None = None,
    *,
    tokenizer: str | None = None,
) -> Path:
    """Write a checkpoint folder; on any failure nothing of that name exists and older ones are untouched.

    Args:
        path: the folder.
        weights: by name.
        config: what they are, as JSON values.
        card: Markdown.
        resume: of a training run.
        tokenizer: `WordPiece.to_json()` where the model reads reports.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    with whole_folder(
        path, fix="Free disk space, or choose a place that can be written; earlier checkpoints are whole"
    ) as partial:
        write_weights(partial / WEIGHTS, weights)
        (partial / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        (partial / CARD).write_text(card)
        if tokenizer is not None:
            (partial / TOKENIZER).write_text(tokenizer)
        if resume is not None:
            (partial / "resume").mkdir()
            write_weights(partial / OPTIMIZER, resume.optimizer)
            write_weights(partial / AVERAGE, resume.average)
            write_weights(partial / RANDOM, resume.random)
            (partial / STATE).write_text(json.dumps(resume.state) + "\n")
    return path


@contextmanager
def whole_folder(
    path: Path, *, hashed: bool = True, fix: str = "Free disk space or choose another place"
) -> Iterator[Path]:
    """A folder that appears whole or not at all: what is yielded is written to, hashed, synced, and then renamed.

    Args:
        path: the folder; one of that name is replaced.
        hashed: leave files.json with the digests, which marks a checkpoint of ours.
        fix: what the reader can do about a full disk.

    Raises:
        UserError: the disk is full or the folder cannot be written; nothing of that name appears, and what was there
            stays.
    """
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        names = sorted(str(p.relative_to(partial).as_posix()) for p in partial.rglob("*") if p.is_file())
        if hashed:
            digests = {name: file_digest(partial / name) for name in names}
            (partial / FILES).write_text(json.dumps(digests, indent=2) + "\n")
            names.append(FILES)
        for name in names:
            _sync_file(partial / name)
        sync_folder(partial)
        if path.exists():
            shutil.rmtree(path)
        os.replace(partial, path)
        sync_folder(path.parent)
    except (OSError, SafetensorError) as error:
        raise UserError(f"could not be written ({error})", where=path, fix=fix) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_weights(file: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Tensors by name into a safetensors file, each a copy of its own on the CPU."""
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(own, file, None if metadata is None else dict(metadata))


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and config of a checkpoint folder, after checking every file against its hash.

    Raises:
        CheckpointError: not a checkpoint, or a file of it is damaged; the file is named.
    """
    verify(path)
    return _load_tensors(path / WEIGHTS), read_config(path)


def load_resume(path: Path) -> Resume:
    """The training state of a checkpoint already verified."""
    return Resume(
        optimizer=_load_tensors(path / OPTIMIZER),
        average=_load_tensors(path / AVERAGE),
        random=_load_tensors(path / RANDOM),
        state=json.loads((path / STATE).read_text()),
    )


def read_config(path: Path) -> dict[str, Any]:
    """`config.json` of a checkpoint folder."""
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            "is not a Hilum checkpoint (no readable config.json)",
            where=path,
            fix="Give a run, encoder or checkpoint folder",
        ) from error
    return config


def verify(path: Path) -> None:
    """Compare every file with `files.json`; a flipped byte is refused by the file's name."""
    try:
        hashes: dict[str, str] = dict(json.loads((path / FILES).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(
            "is not a whole Hilum checkpoint (no readable files.json)",
            where=path,
            fix="Give a folder that hilum wrote",
        ) from error
    for name, expected in hashes.items():
        file = path / name
        if not file.is_file():
            raise CheckpointError("is missing from the checkpoint", where=file, fix="Copy the whole folder again")
        if file_digest(file) != expected:
            raise CheckpointError(
                "is damaged: its content does not match the recorded sha256",
                where=file,
                fix="Copy it again or use another checkpoint",
            )


def step_folder(run: Path, step: int) -> Path:
    """Where the checkpoint of an optimizer step lies."""
    return run / "checkpoints" / f"step-{step:08d}"


def checkpoints(run: Path) -> list[Path]:
    """Whole training checkpoints of a run, oldest first."""
    folder = run / "checkpoints"
    found = [p for p in folder.glob("step-*") if re.fullmatch(r"step-\d{8,}", p.name) and (p / FILES).is_file()]
    return sorted(found, key=lambda p: int(p.name[5:]))


def retain(run: Path, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints, and what killed saves left behind."""
    for old in checkpoints(run)[:-keep]:
        shutil.rmtree(old)
    for partial in (run / "checkpoints").glob(".*.partial"):
        shutil.rmtree(partial, ignore_errors=True)


def _load_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot be read ({error})", where=path, fix="Copy it again") from error


def file_digest(path: Path) -> str:
    """sha256 of a file's content, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_file(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
