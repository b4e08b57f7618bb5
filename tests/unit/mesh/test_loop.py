"""mesh.loop"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from mesh.loop import Loop


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loop(clock: Clock) -> Iterator[Loop]:
    made = Loop(clock)
    yield made
    made.close()


def test_timers_fire_in_the_order_they_are_due(loop: Loop, clock: Clock) -> None:
    done: list[str] = []
    loop.after(2, lambda: done.append("second"))
    loop.after(1, lambda: done.append("first"))
    loop.after(2, lambda: done.append("third"))
    loop.after(2, lambda: done.append("never")).cancel()
    clock.now = 1.5
    loop.turn(0)
    assert done == ["first"]
    clock.now = 2.0
    loop.turn(0)
    assert done == ["first", "second", "third"]


def test_calls_from_another_thread_wake_it(loop: Loop) -> None:
    done: list[str] = []

    def ask() -> None:
        loop.call(lambda: done.append(threading.current_thread().name))
        loop.call(loop.stop)

    thread = threading.Thread(target=ask)
    thread.start()
    loop.run()
    thread.join()
    assert done == [threading.current_thread().name]


def test_more_calls_than_the_pipe_holds(loop: Loop) -> None:
    done: list[int] = []
    for number in range(70_000):
        loop.call(lambda number=number: done.append(number))  # type: ignore[misc]
    loop.turn(0)
    assert done == list(range(70_000))


def test_signals_are_handled_by_the_loop(loop: Loop) -> None:
    done: list[str] = []
    before = signal.getsignal(signal.SIGUSR1)
    loop.on_signal(signal.SIGUSR1, lambda: done.append("usr1"))
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert done == []
        loop.turn(0)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert done == ["usr1"]


def test_readable_descriptors(loop: Loop) -> None:
    done: list[bytes] = []
    read, write = os.pipe()
    loop.on_readable(read, lambda: done.append(os.read(read, 10)))
    loop.turn(0)
    assert done == []
    os.write(write, b"x")
    loop.turn(0)
    assert done == [b"x"]
    os.close(write)
    os.close(read)
