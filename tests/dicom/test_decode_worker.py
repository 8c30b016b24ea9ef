"""Children that crash, hang, swell or talk: the run goes on and names the file."""

from __future__ import annotations

import time

import pytest

from hilum.dicom.decode_worker import DecodeWorker, decode_all
from hilum.errors import ImageError, UserError

TASK = "tests.dicom.tasks:misbehave"


def test_every_way_to_fail_costs_one_file() -> None:
    names = ["a", "abort", "b", "exit", "bad", "print", "memory", "bug", "hang", "c"]
    started = time.monotonic()
    answers = {
        request["path"]: answer
        for request, answer in decode_all(TASK, [{"path": n} for n in names], workers=2, seconds=3)
    }
    assert time.monotonic() - started < 30
    assert set(answers) == set(names)
    for name in ("a", "b", "c", "print"):
        answer = answers[name]
        assert not isinstance(answer, ImageError)
        assert answer["name"] == name
    reasons = {name: answer.what for name, answer in answers.items() if isinstance(answer, ImageError)}
    assert reasons == {
        "abort": "the decoder crashed (SIGABRT)",
        "exit": "the decoder crashed (exit code 3)",
        "bad": "is bad",
        "memory": "decoding needs more memory than a worker may have",
        "bug": "unexpected KeyError",
        "hang": "decoding took more than 3 s",
    }


def test_a_child_serves_many_requests_and_is_replaced_when_lost() -> None:
    with DecodeWorker(TASK) as worker:
        first, second = worker({"path": "a"})["pid"], worker({"path": "b"})["pid"]
        assert first == second
        with pytest.raises(ImageError, match="SIGABRT"):
            worker({"path": "abort"})
        assert worker({"path": "c"})["pid"] != first


def test_a_full_disk_is_not_the_files_fault() -> None:
    with pytest.raises(UserError, match="No space left on device") as caught:
        list(decode_all(TASK, ({"path": p} for p in ("a", "full", "b")), workers=1))
    assert not isinstance(caught.value, ImageError)


def test_requests_are_drawn_only_a_little_ahead() -> None:
    drawn = []

    def requests() -> object:
        for number in range(1000):
            drawn.append(number)
            yield {"path": f"f{number}"}

    answers = decode_all(TASK, requests(), workers=2)  # type: ignore[arg-type]
    next(answers)
    assert len(drawn) <= 8
    answers.close()
