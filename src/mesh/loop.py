"""The main thread's loop: signals, file descriptors, timers and calls from other threads.

It sleeps in poll(2) until one of them has something to say. asyncio would do the same for 8 MB.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import time
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Action = Callable[[], None]


class Timer:
    """An action that is due once, unless cancelled."""

    __slots__ = ("action", "due", "number")

    def __init__(self, due: float, number: int, action: Action) -> None:
        self.due = due
        self.number = number
        self.action: Action | None = action

    def __lt__(self, other: Timer) -> bool:
        return (self.due, self.number) < (other.due, other.number)

    def cancel(self) -> None:
        self.action = None


class Loop:
    """One per process, made and run by the main thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._timers: list[Timer] = []
        self._made = 0
        self._calls: deque[Action] = deque()
        self._readers: dict[int, Action] = {}
        self._signals: dict[int, Action] = {}
        self._poll = select.poll()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll.register(self._wake_read, select.POLLIN)
        self._running = False

    def after(self, seconds: float, action: Action) -> Timer:
        """Calls `action` once, `seconds` from now."""
        self._made += 1
        timer = Timer(self.clock() + seconds, self._made, action)
        heapq.heappush(self._timers, timer)
        return timer

    def call(self, action: Action) -> None:
        """Calls `action` soon, on the loop's thread. May be called from any thread."""
        self._calls.append(action)
        try:
            os.write(self._wake_write, b"\0")
        except BlockingIOError:
            pass  # the pipe is full: the loop is about to wake anyhow

    def on_readable(self, fd: int, action: Action) -> None:
        self._readers[fd] = action
        self._poll.register(fd, select.POLLIN)

    def on_signal(self, signum: int, action: Action) -> None:
        """Calls `action` on the loop's thread when the signal comes."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._signals[signum] = action
        signal.signal(signum, _heard)

    def stop(self) -> None:
        """Makes `run` return. From another thread: `call(loop.stop)`."""
        self._running = False

    def run(self) -> None:
        self._running = True
        while self._running:
            self.turn()

    def turn(self, longest: float | None = None) -> None:
        """Waits for the next thing, at most `longest` seconds, and does it."""
        wait = longest
        if self._timers:
            due = max(0.0, self._timers[0].due - self.clock())
            wait = due if wait is None else min(wait, due)
        for fd, _ in self._poll.poll(None if wait is None else wait * 1000):
            if fd == self._wake_read:
                self._woken()
            elif reader := self._readers.get(fd):
                reader()
        while self._timers and self._timers[0].due <= self.clock():
            timer = heapq.heappop(self._timers)
            if timer.action is not None:
                timer.action()

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _woken(self) -> None:
        for byte in os.read(self._wake_read, 4096):
            if action := self._signals.get(byte):
                action()
        while self._calls:
            self._calls.popleft()()


def _heard(signum: int, frame: object) -> None:
    """The byte that CPython wrote into the pipe says it all."""
