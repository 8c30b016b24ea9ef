"""Run a task on untrusted files in child processes, so that a file can kill its child and nothing else.

A damaged film makes native codecs crash (SIGSEGV, SIGABRT), hang, or ask for all memory. Each child is a fresh
interpreter (`python -m hilum.dicom.decode_worker module:function`, so no fork after threads and no `__main__` of the
caller is run again) with a memory limit; requests and answers are JSON lines over its pipes. A child that dies or
exceeds its time is replaced, its file is refused, and the run goes on.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from importlib import import_module
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from hilum.errors import ImageError, UserError

Request = dict[str, Any]
SECONDS = 60.0  # a file
MEMORY = 3 * 2**30  # bytes a child may map beyond what it has mapped at start


class DecodeWorker:
    """One child process that runs `task` on one request at a time; started again when it is lost.

    Args:
        task: "module:function"; the function takes a dict of JSON values and returns one.
        seconds: time limit of a request.
        memory: bytes the child may map beyond its start; not enforced on systems without RLIMIT_AS.
    """

    def __init__(self, task: str, *, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self.task, self.seconds, self.memory = task, seconds, memory
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> DecodeWorker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._child is not None:
            self._stop(self._child)

    def __call__(self, request: Request) -> dict[str, Any]:
        """Run the task on `request`, which names its file under "path".

        Raises:
            ImageError: the task refused the file, or the child was lost over it.
            UserError: the child's surroundings are at fault (full disk, no permission), not the file.
        """
        child = self._child if self._child is not None and self._child.poll() is None else self._start()
        late = threading.Event()

        def stop() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(self.seconds, stop)
        timer.start()
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
            line = child.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            timer.cancel()
        where = request.get("path")
        if late.is_set() or not line.endswith(b"\n"):
            self._stop(child)
            if late.is_set():
                raise ImageError(f"decoding took more than {self.seconds:.0f} s", where=where)
            raise ImageError(f"the decoder crashed ({_death(child.returncode)})", where=where)
        answer = json.loads(line)
        if "refused" in answer:
            raise ImageError(answer["refused"], where=where)
        if "stop" in answer:
            raise UserError(
                answer["stop"], where=answer.get("where"), fix="Make room or give permission, then run it again"
            )
        return dict(answer["done"])

    def _start(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._child = subprocess.Popen(
            [sys.executable, "-m", "hilum.dicom.decode_worker", self.task, str(self.memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **threads, "PYTHONPATH": path},
        )
        return self._child

    def _stop(self, child: subprocess.Popen[bytes]) -> None:
        if child.stdin is not None:
            with suppress(BrokenPipeError):
                child.stdin.close()  # end of requests: the child leaves by itself
        try:
            child.wait(timeout=2)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()
        self._child = None


def decode_all(
    task: str, requests: Iterable[Request], *, workers: int, seconds: float = SECONDS, memory: int = MEMORY
) -> Iterator[tuple[Request, dict[str, Any] | ImageError]]:
    """Run `task` on every request in `workers` children; pairs (request, answer or refusal) as they are ready.

    Requests are drawn a little ahead of the work, so they may come from a generator of millions.

    Raises:
        UserError: see `DecodeWorker.__call__`; the remaining requests are given up.
    """
    idle: queue.SimpleQueue[DecodeWorker] = queue.SimpleQueue()

    def run(request: Request) -> dict[str, Any]:
        worker = idle.get()
        try:
            return worker(request)
        finally:
            idle.put(worker)

    source = iter(requests)
    with ExitStack() as children, ThreadPoolExecutor(workers) as pool:
        for _ in range(workers):
            idle.put(children.enter_context(DecodeWorker(task, seconds=seconds, memory=memory)))
        waiting: dict[Future[dict[str, Any]], Request] = {}
        try:
            while True:
                for request in islice(source, 2 * workers - len(waiting)):
                    waiting[pool.submit(run, request)] = request
                if not waiting:
                    return
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    request = waiting.pop(future)
                    error = future.exception()
                    if error is not None and not isinstance(error, ImageError):
                        raise error
                    yield request, error if isinstance(error, ImageError) else future.result()
        finally:
            for future in waiting:
                future.cancel()


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


def _limit_memory(extra: int) -> None:
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + extra,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is expected here: no core files
    except (ImportError, OSError, ValueError):  # not Linux: the time limit remains
        return


def _serve(task: str, memory: int) -> None:
    """The child: answer requests until the pipe closes."""
    import warnings

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    answers = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)  # codecs print where they like
    os.dup2(silence, 2)
    warnings.simplefilter("ignore")
    module, name = task.split(":")
    function = getattr(import_module(module), name)
    _limit_memory(memory)
    for line in sys.stdin.buffer:
        answers.write(json.dumps(_answer(function, json.loads(line))).encode() + b"\n")
        answers.flush()


def _answer(function: Any, request: Request) -> dict[str, Any]:
    try:
        return {"done": function(request)}
    except ImageError as error:
        return {"refused": error.what}
    except MemoryError:
        return {"refused": "decoding needs more memory than a worker may have"}
    except OSError as error:
        return {"stop": f"cannot write or read ({error.strerror})", "where": error.filename}
    except Exception as error:  # a fault of ours on one file must not lose a night's run; it is named in the report
        return {"refused": f"unexpected {type(error).__name__}"}


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
