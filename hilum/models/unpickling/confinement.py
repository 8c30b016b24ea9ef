"""What the child may no longer do once it holds its three open files: nearly everything.

Three fences, one inside the other; each is there in case another is missing on a system or has a hole:

1. limits of the system on memory, processor time, file size, open files and processes (POSIX);
2. the kernel refuses every call but those that read, write and allocate (a seccomp filter, Linux on x86-64 and ARM);
   where there is no such filter, the network at least is taken away (an empty network name space, Linux);
3. the interpreter refuses every audited action: opening, importing, sockets, programs, native code (everywhere).

Sources: the kernel's Documentation/userspace-api/seccomp_filter.rst and uapi headers linux/filter.h, linux/audit.h,
asm/unistd_64.h (x86-64) and asm-generic/unistd.h (ARM); Python's PEP 578 and its table of audit events.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from typing import Any, Final

MEMORY: Final = 768 << 20  # bytes of address space beyond the interpreter's own and the mapped file
SECONDS: Final = 10  # processor time, and one more for each 20 MB
_FILES: Final = 16

# read, write, close, fstat, lseek, mmap, mprotect, munmap, brk, rt_sigaction, rt_sigprocmask, rt_sigreturn, pread64,
# pwrite64, mremap, madvise, getpid, exit, gettid, futex, clock_gettime, exit_group, getrandom, newfstatat
_CALLS: Final = {
    "x86_64": (
        0xC000003E,
        (0, 1, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 25, 28, 39, 60, 186, 202, 228, 231, 318, 262),
    ),
    "aarch64": (
        0xC00000B7,
        (63, 64, 57, 80, 62, 222, 226, 215, 214, 134, 135, 139, 67, 68, 216, 233, 172, 93, 178, 98, 113, 94, 278, 79),
    ),
}
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
_ALLOW, _ERROR = 0x7FFF0000, 0x00050001  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO with EPERM
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2  # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER
_NEW_USERS, _NEW_NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET

# the only audited actions of a reader that holds its files: identities of records, rows of numbers, tracebacks
_HARMLESS: Final = frozenset({"builtins.id", "array.__new__", "object.__getattr__", "sys._getframe"})


def seconds_for(size: int) -> int:
    """Processor time that reading a file of `size` bytes may take."""
    return SECONDS + size // 20_000_000


def confine(size: int) -> None:
    """Put up all fences; there is no way back.

    Args:
        size: bytes of the file to be read, already mapped.
    """
    limit(size)
    if not filter_calls():
        leave_network()
    sys.addaudithook(_refuse)


def limit(size: int) -> None:
    """Cap memory, processor time, file size, files and processes, where the system can."""
    try:
        import resource
    except ImportError:  # not on Windows; the audit hook and the parent's clock remain
        return
    seconds = seconds_for(size)
    limits = {
        "RLIMIT_CPU": seconds,
        "RLIMIT_FSIZE": 4 * size + (256 << 20),
        "RLIMIT_NOFILE": _FILES,
        "RLIMIT_NPROC": 0,
        "RLIMIT_CORE": 0,
    }
    try:
        with open("/proc/self/statm", encoding="ascii") as status:
            limits["RLIMIT_AS"] = int(status.read().split()[0]) * resource.getpagesize() + MEMORY
    except OSError:  # macOS counts address space in a way that no limit fits
        pass
    for name, value in limits.items():
        hard = resource.getrlimit(getattr(resource, name))[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(getattr(resource, name), (value, value))


def filter_calls() -> bool:
    """Let the kernel refuse every call that reading does not need; whether it could be asked to."""
    known = _CALLS.get(platform.machine())
    if not sys.platform.startswith("linux") or known is None or struct.calcsize("P") != 8:
        return False
    architecture, calls = known
    code = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _ERROR), (_LOAD, 0, 0, 0)]
    for place, call in enumerate(calls):
        code.append((_EQUAL, len(calls) - place, 0, call))
    code += [(_RETURN, 0, 0, _ERROR), (_RETURN, 0, 0, _ALLOW)]
    raw = b"".join(struct.pack("<HBBI", *instruction) for instruction in code)
    instructions = ctypes.create_string_buffer(raw, len(raw))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(instructions)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    nothing = ctypes.c_ulong(0)
    if prctl(_NO_NEW_PRIVILEGES, ctypes.c_ulong(1), nothing, nothing, nothing) != 0:
        return False
    return bool(prctl(_SET_SECCOMP, ctypes.c_ulong(_FILTER), program, nothing, nothing) == 0)


def leave_network() -> bool:
    """Move into an empty network, where the system permits; whether it did."""
    if not sys.platform.startswith("linux"):
        return False
    unshare = ctypes.CDLL(None, use_errno=True).unshare
    return bool(unshare(_NEW_NETWORK) == 0 or unshare(_NEW_USERS | _NEW_NETWORK) == 0)


def _refuse(event: str, _: tuple[Any, ...]) -> None:
    """The audit hook: every action that is not known to be harmless fails."""
    if event not in _HARMLESS:
        raise PermissionError(f"not in this process: {event}")


def finish(code: int) -> None:
    """End the process at once: no exit handler of the interpreter runs."""
    os._exit(code)
