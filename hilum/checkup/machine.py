"""The machine: Python, packages, torch and its device, memory, disk."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hilum.checkup.check import GIB, Check, Status

# Below these, a known hole or a missing function: see the versions in pyproject.toml.
MINIMUM = {"torch": (2, 10), "pydicom": (3, 0, 2), "pillow": (12, 2), "numpy": (2, 1), "pandas": (2, 2)}
PLAIN = (
    "transformers",
    "tokenizers",
    "simplejpeg",
    "pyarrow",
    "numba",
    "scipy",
    "scikit-learn",
    "lightning-fabric",
    "safetensors",
)


def interpreter() -> Check:
    """Python itself."""
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Check("python", "ok" if sys.version_info >= (3, 11) else "FAULT", detail)


def packages() -> Iterator[Check]:
    """Whether each package is there, and new enough."""
    for name in (*MINIMUM, *PLAIN):
        wanted = MINIMUM.get(name, ())
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Check(name, "FAULT", f"not installed; pip install {name}")
            continue
        numbers = tuple(int("".join(filter(str.isdigit, part)) or 0) for part in found.split("+")[0].split(".")[:3])
        old = numbers < wanted
        need = ".".join(map(str, wanted))
        yield Check(name, "FAULT" if old else "ok", f"{found}, too old: pip install '{name}>={need}'" if old else found)


def device() -> Iterator[Check]:
    """What torch computes on."""
    try:
        import torch
    except Exception as error:  # a broken build raises anything from ImportError to OSError
        yield Check("device", "FAULT", f"torch cannot be imported ({type(error).__name__})")
        return
    if not torch.cuda.is_available():
        built = "torch is built without CUDA" if torch.version.cuda is None else "no GPU is visible"
        yield Check("device", "warning", f"CPU with {os.cpu_count()} cores ({built}): training will be slow")
        return
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
        yield Check("device", "ok", f"cuda:{number} {facts.name}, {facts.total_memory / GIB:.0f} GiB, {bf16}")


def available_memory() -> int | None:
    """Bytes that can still be had; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None


def free_disk(folder: Path) -> int:
    """Bytes free where a folder lies."""
    return shutil.disk_usage(folder).free


def memory() -> Check:
    """What is free of it."""
    free = available_memory()
    if free is None:
        return Check("memory", "warning", "cannot be measured on this system")
    status: Status = "FAULT" if free < GIB else "warning" if free < 4 * GIB else "ok"
    return Check("memory", status, f"{free / GIB:.1f} GiB available")


def disk(folder: Path) -> Check:
    """What is free where results are written."""
    free = free_disk(folder)
    status: Status = "FAULT" if free < GIB else "warning" if free < 10 * GIB else "ok"
    return Check("disk", status, f"{free / GIB:.1f} GiB free at {folder}")
