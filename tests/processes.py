"""Run one function in several gloo processes and bring home what each returned.

The function is named "module:function", takes nothing and returns named tensors; it finds its rank in the group.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]


def in_processes(target: str, folder: Path, *, world: int = 2) -> list[dict[str, Tensor]]:
    """What `target` returns on each of `world` ranks; `folder` holds the meeting point and the results."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    commands = [
        [sys.executable, "-m", "tests.processes", target, str(folder), str(rank), str(world)] for rank in range(world)
    ]
    children = [
        subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for command in commands
    ]
    said = [child.communicate(timeout=120)[0] for child in children]
    assert not any(child.returncode for child in children), "\n".join(said)
    return [load_file(folder / f"rank{rank}.safetensors") for rank in range(world)]


def main() -> None:
    target, folder, rank, world = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    module, function = target.split(":")
    tensors = getattr(importlib.import_module(module), function)()
    save_file(
        {name: value.detach().contiguous() for name, value in tensors.items()}, folder / f"rank{rank}.safetensors"
    )
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
