"""The child can read and write what it holds, and nothing else: each fence is tried by itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from hilum.models.unpickling import confinement

ROOT = Path(__file__).resolve().parents[3]
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a fence of Linux")

THREAD = "threading.Thread(target=print).start()"
FORBIDDEN = (
    "open('/etc/hostname')",
    "open('written', 'w')",
    "os.listdir('/')",
    "os.mkdir('made')",
    "os.remove(__file__)",
    "if os.system('touch ran'): raise PermissionError",
    "os.fork()",
    "os.execv('/bin/true', ['true'])",
    "os.kill(1, 0)",
    "os.symlink('a', 'b')",
    "os.posix_spawn('/bin/true', ['true'], {})",
    "socket.socket()",
    "socket.socketpair()",
    "socket.getaddrinfo('localhost', 80)",
    "subprocess.run(['true'])",
    THREAD,
)


def _run(body: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Python code in a process of its own, the modules that it may want already there."""
    code = (
        "import sys; sys.path.append(sys.argv[1])\n"
        "import os, socket, subprocess, threading, mmap, ctypes\n"
        "from hilum.models.unpickling import confinement as fence\n"
        f"{body}\n"
        "sys.stdout.flush(); os._exit(0)"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(ROOT)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60)


def _tried(fence: str, folder: Path) -> dict[str, str]:
    """What became of each forbidden action behind a fence."""
    (folder / "here").touch()
    body = f"__file__, told = 'here', {{}}\n{fence}\n"
    for action in FORBIDDEN:
        body += f"try:\n    {action}\n    told[{action!r}] = 'DONE'\n"
        body += f"except (OSError, RuntimeError) as error:\n    told[{action!r}] = type(error).__name__\n"
    done = _run(f"{body}print(told)", folder)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == ["here"]
    told: dict[str, str] = ast.literal_eval(done.stdout)
    assert list(told) == list(FORBIDDEN)
    return told


def test_the_interpreter_refuses(tmp_path: Path) -> None:
    told = _tried("sys.addaudithook(fence._refuse)", tmp_path)
    told.pop(THREAD)  # Python audits no thread; the other fences hold it
    assert set(told.values()) == {"PermissionError"}, told


@linux
def test_the_kernel_refuses(tmp_path: Path) -> None:
    if confinement.platform.machine() not in confinement._CALLS:
        pytest.skip("no filter for this processor")
    told = _tried("assert fence.filter_calls()", tmp_path)
    assert set(told.values()) <= {"PermissionError", "RuntimeError", "gaierror"}, told


@linux
def test_memory_is_limited(tmp_path: Path) -> None:
    body = (
        "fence.limit(0)\ntry:\n    bytearray(1 << 30)\nexcept MemoryError:\n    print('REFUSED')\nbytearray(400 << 20)"
    )
    assert _run(body, tmp_path).stdout.strip() == "REFUSED"


@linux
def test_time_is_limited(tmp_path: Path) -> None:
    done = _run("fence.SECONDS = 1\nfence.limit(0)\nwhile True: pass", tmp_path)
    assert done.returncode < 0


@linux
def test_the_size_of_its_file_is_limited(tmp_path: Path) -> None:
    body = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nout = open('out', 'wb')\nfence.limit(0)\n"
    body += "try:\n    out.truncate(1 << 30)\nexcept OSError as error:\n    print(error.errno)"
    assert _run(body, tmp_path).stdout.strip() == "27"  # EFBIG


@linux
def test_the_network_is_left(tmp_path: Path) -> None:
    body = "print(fence.leave_network(), [name for _, name in socket.if_nameindex()])"
    told = _run(body, tmp_path).stdout.strip()
    assert told == "True ['lo']" or told.startswith("False")


def test_reading_goes_on_behind_all_fences(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc" * 5000)
    body = (
        "file = mmap.mmap(os.open('file', os.O_RDONLY), 0, access=mmap.ACCESS_READ)\nout = open('out', 'wb')\n"
        "fence.confine(len(file))\nout.write(file[:3]); out.flush(); bytearray(50 << 20); print(len(file))"
    )
    assert _run(body, tmp_path).stdout.strip() == "15000"
    assert (tmp_path / "out").read_bytes() == b"abc"
