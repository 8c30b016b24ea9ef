"""Work on all cores: in order, the same, and faults come through."""

from __future__ import annotations

import threading

import pytest

from hilum.metrics import cores


@pytest.mark.parametrize("count", [1, 3])
def test_in_order_whatever_the_number_of_cores(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_cores", lambda: count)
    names = set()

    def square(number: int) -> int:
        names.add(threading.current_thread().name)
        return number**2

    assert cores.on_all_cores(square, range(50)) == [n**2 for n in range(50)]
    assert all(name.startswith("metrics") for name in names) == (count > 1)
    assert cores.on_all_cores(square, []) == []


def test_a_fault_in_one_is_a_fault() -> None:
    with pytest.raises(ZeroDivisionError):
        cores.on_all_cores(lambda n: 1 // n, [1, 0, 2])
