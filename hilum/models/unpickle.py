"""The one place where a pickle is read: other people's `.pth` files, in a child process that can do no harm.

A pickle is a program. The child (`python -m hilum.models.unpickle FILE FOLDER`) runs it in PyTorch's
restricted interpreter (`weights_only=True`) with a short list of allowed plain classes, under limits on
memory, processor time and file size, and writes what it found as data: tensors as safetensors, everything
else as JSON. The parent reads only those two files; it never unpickles.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hilum.errors import CheckpointError

SKIPPED: Final = ("optimizer", "scaler", "lr_scheduler")  # of training files; nobody needs them
_MEMORY: Final = 2 << 30  # bytes beyond the interpreter's own and the file's
_SECONDS: Final = 120  # processor time beyond one second a 50 MB
_TENSORS, _TREE = "tensors.safetensors", "tree.json"


def read_pickle(path: str | Path, *, skip: Collection[str] = SKIPPED) -> Any:
    """Read a PyTorch pickle in a child process.

    Args:
        path: a file written by `torch.save`.
        skip: top-level keys not to bring back.

    Returns:
        Its content in plain dicts, lists, numbers, strings and tensors. A Namespace becomes a dict; objects
        of any other class become the string `<module.Class>`.

    Raises:
        CheckpointError: not a PyTorch file, damaged, asks for a class that is not allowed, or exceeds the
            limits.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError("there is no such file", where=path, fix="Check the path")
    with TemporaryDirectory(prefix="hilum-unpickle-") as folder:
        _run_child(path, Path(folder), skip)
        from safetensors.torch import load_file

        try:
            tensors = load_file(Path(folder) / _TENSORS)
            tree = json.loads((Path(folder) / _TREE).read_text(encoding="utf-8"))
            return _rebuild(tree, tensors)
        except (OSError, ValueError, KeyError, RecursionError) as error:
            raise CheckpointError(f"its reader left no usable data ({error})", where=path) from error


def _run_child(path: Path, folder: Path, skip: Collection[str]) -> None:
    """Let the child convert `path` into `folder`; one CheckpointError says why it could not."""
    package = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([package, inherited] if inherited else [package]),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    command = [sys.executable, "-m", "hilum.models.unpickle", str(path.resolve()), str(folder), *skip]
    seconds = 2 * (_SECONDS + _seconds_for(path))
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise CheckpointError(f"reading it took more than {seconds} s", where=path, fix=_FIX) from error
    if done.returncode == 0:
        return
    said = [line[len(_MARK) :] for line in done.stderr.splitlines() if line.startswith(_MARK)]
    stopped = f"its reader was stopped (exit {done.returncode}): damaged, or over the limits"
    reason = said[-1] if said else stopped
    raise CheckpointError(reason, where=path, fix=_FIX)


_MARK: Final = "hilum-unpickle: "
_FIX: Final = "Ask its author for a safetensors file"


def _rebuild(node: Any, tensors: Mapping[str, Any]) -> Any:
    """JSON back to containers: {"map": ...}, {"list": ...}, {"tensor": name} or a plain value."""
    if not isinstance(node, dict):
        return node
    if "tensor" in node:
        return tensors[node["tensor"]]
    if "list" in node:
        return [_rebuild(item, tensors) for item in node["list"]]
    return {key: _rebuild(item, tensors) for key, item in node["map"].items()}


# --- the child's side --------------------------------------------------------------------------------------


def main() -> int:
    """Convert one file; 0, or 1 with one marked line on stderr."""
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("skip", nargs="*")
    given = parser.parse_args()
    try:
        _convert(given.source, given.folder, given.skip)
    except MemoryError:
        return _say("it asks for more memory than its size allows")
    except RecursionError:
        return _say("it is nested too deeply")
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        named = [line for line in lines if line.startswith(("Trying", "Unsupported", "WeightsUnpickler"))]
        plain = [line for line in lines if "weights_only" not in line]  # PyTorch advises to switch the guard off
        reason = (named or plain or [type(error).__name__])[0]
        return _say(f"not a PyTorch file that can be read safely ({reason[:200]})")
    return 0


def _convert(source: Path, folder: Path, skip: Collection[str]) -> None:
    """Read `source` under limits; write tensors and tree into `folder`."""
    import torch
    from safetensors.torch import save_file

    _limit(source)
    torch.serialization.add_safe_globals(_allowed())
    content = torch.load(source, map_location="cpu", weights_only=True)
    if isinstance(content, Mapping):
        content = {key: value for key, value in content.items() if key not in skip}
    tensors: dict[str, Any] = {}
    tree = _describe(content, tensors)
    save_file(tensors, folder / _TENSORS)
    (folder / _TREE).write_text(json.dumps(tree), encoding="utf-8")


def _allowed() -> list[Any]:
    """Classes without behaviour that official checkpoints hold beside their tensors."""
    from pathlib import PosixPath, PurePosixPath

    import numpy as np
    from numpy._core.multiarray import scalar

    dtypes = [type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "?")]
    legacy = (scalar, "numpy.core.multiarray.scalar")  # the name that NumPy 1 wrote
    return [argparse.Namespace, PosixPath, PurePosixPath, np.dtype, *dtypes, scalar, legacy]


def _describe(value: Any, tensors: dict[str, Any]) -> Any:
    """A value as JSON, its tensors put aside under numbers."""
    import torch

    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or value.is_quantized or value.is_complex():
            return f"<{value.layout} tensor of {value.dtype}>"
        name = str(len(tensors))
        tensors[name] = value.detach().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, argparse.Namespace):
        value = vars(value)
    if isinstance(value, Mapping):
        return {"map": {str(key): _describe(item, tensors) for key, item in value.items()}}
    if isinstance(value, list | tuple | set | frozenset):
        return {"list": [_describe(item, tensors) for item in value]}
    if hasattr(value, "item") and hasattr(value, "dtype"):
        return value.item()
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


def _seconds_for(source: Path) -> int:
    return source.stat().st_size // 50_000_000


def _limit(source: Path) -> None:
    """Cap memory, processor time and file size of this process, where the system can."""
    try:
        import resource
    except ImportError:  # not on Windows; the restricted interpreter and the parent's clock remain
        return
    size = source.stat().st_size
    limits = {"RLIMIT_CPU": _SECONDS + _seconds_for(source), "RLIMIT_FSIZE": 2 * size + (64 << 20)}
    status = Path("/proc/self/statm")
    if status.exists():
        mapped = int(status.read_text().split()[0]) * resource.getpagesize()
        limits["RLIMIT_AS"] = mapped + 4 * size + _MEMORY
    for name, limit in limits.items():
        hard = resource.getrlimit(getattr(resource, name))[1]
        value = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(getattr(resource, name), (value, value))


def _say(reason: str) -> int:
    sys.stderr.write(f"{_MARK}{' '.join(reason.split())}\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
