"""The one door for other people's `.pth` files: a child process reads them as data, and can do no harm.

A pickle is a program. Nothing in Hilum runs one: no `torch.load`, no `pickle`. The parent looks at the first bytes,
opens the file, and hands it to a child (package `unpickling`) that has no right to open, connect or start anything,
and little memory and time. What comes back is a safetensors file with the content's tree in its metadata.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from hilum.errors import CheckpointError
from hilum.models.file_kinds import SAFETENSORS, open_checkpoint
from hilum.models.unpickling.child import REFUSED
from hilum.models.unpickling.confinement import seconds_for

if TYPE_CHECKING:
    from torch import Tensor

SKIPPED: Final = (  # of training files; nobody needs them, and Adam's are twice the network
    *("optimizer", "optimizers", "optimizer_states", "optimizer_state_dict", "optim", "optimizer_state"),
    *("scaler", "amp_scaler", "amp", "lr_scheduler", "lr_schedulers", "scheduler", "native_amp_scaling_state"),
)
_FIX: Final = "Ask its author for a safetensors file"
_RENAME: Final = "Let its name end in .safetensors"
_AGAIN: Final = "Download it again"
_BOOTSTRAP: Final = (  # isolated, without site packages; the package's own root goes last on the path
    "import sys; sys.path.append(sys.argv[1]); from hilum.models.unpickling.child import main; main(sys.argv[2:])"
)
# a clean environment, save what an interpreter may need to find its own libraries
_KEPT: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")


class PickledModule(dict[str, Any]):
    """The state dict of a pickled network.

    Attributes:
        kind: its class, as the file names it.
        plain: its other attributes.
    """

    def __init__(self, tensors: Mapping[str, Any], kind: str, plain: Mapping[str, Any]) -> None:
        super().__init__(tensors)
        self.kind, self.plain = kind, dict(plain)


def read_pickle(path: str | Path, *, skip: Collection[str] = SKIPPED) -> Any:
    """Read a PyTorch pickle in a child process.

    Args:
        path: a file written by `torch.save` of any version since 0.1.10, or `torch.jit.save`.
        skip: top-level keys not to bring back.

    Returns:
        Its content in plain dicts, lists, numbers, strings and tensors; NumPy arrays as tensors. A Namespace or
        omegaconf object becomes a dict, a pickled network its state dict (`PickledModule`), an object of any other
        class the string `<module.Class>`.

    Raises:
        CheckpointError: not a PyTorch file, damaged, asks for a name that no checkpoint needs, or exceeds the limits.
    """
    path = Path(path)
    with open_checkpoint(path) as (file, kind), TemporaryDirectory(prefix="hilum-unpickle-") as folder:
        if kind is SAFETENSORS:
            raise CheckpointError("this is a safetensors file under the name of a pickle", where=path, fix=_RENAME)
        result = Path(folder) / "content.safetensors"
        _run_child(file.fileno(), path, result, skip)
        from safetensors import SafetensorError, safe_open
        from safetensors.torch import load_file

        try:
            with safe_open(result, framework="pt") as content:
                tree = json.loads(content.metadata()["tree"])
            return _Rebuilder(load_file(result)).value(tree)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, RecursionError, SafetensorError) as error:
            raise CheckpointError(f"its reader left no usable data ({error})", where=path) from error


def _run_child(source: int, path: Path, result: Path, skip: Collection[str]) -> None:
    """Let the child convert the open file `source` into `result`; one CheckpointError says why it could not."""
    root = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-I", "-S", "-B", "-c", _BOOTSTRAP, root, *skip]
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    seconds = 30 + 4 * seconds_for(os.fstat(source).st_size)
    said = result.with_name("said.txt")
    try:
        with result.open("wb") as out, said.open("wb") as errors:
            done = subprocess.run(
                command, env=environment, cwd=result.parent, stdin=source, stdout=out, stderr=errors, timeout=seconds
            )
    except subprocess.TimeoutExpired as error:
        raise CheckpointError(f"reading it took more than {seconds} s", where=path, fix=_FIX) from error
    if done.returncode == 0:
        return
    if done.returncode == REFUSED:
        with said.open("rb") as file:
            reason = file.read(2000).decode("utf-8", "replace")
        fix = _AGAIN if "damaged" in reason or "cut off" in reason else _FIX
        raise CheckpointError(f"not a PyTorch file that can be read safely: {reason}", where=path, fix=fix)
    stopped = f"its reader was stopped (exit {done.returncode}): it is damaged, or over the limits of memory and time"
    raise CheckpointError(stopped, where=path, fix=_FIX)


class _Rebuilder:
    """Nodes of `unpickling.tree` back to containers; a tensor named twice is copied, so that none share memory."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors
        self.given: set[str] = set()

    def value(self, node: Any) -> Any:
        """The value of a node."""
        if not isinstance(node, dict):
            return node
        if "tensor" in node:
            return self._tensor(node["tensor"])
        if "list" in node:
            return [self.value(item) for item in node["list"]]
        content = {key: self.value(item) for key, item in node["map"].items()}
        if "module" not in node:
            return content
        return PickledModule(content, node["module"], {key: self.value(item) for key, item in node["plain"].items()})

    def _tensor(self, name: str) -> Tensor:
        if name in self.given:
            return self.tensors[name].clone()
        self.given.add(name)
        return self.tensors[name]
