"""Continuous load that notices every lost request."""

from __future__ import annotations

import threading
import time
from collections import Counter

from tests.support.client import Connection
from tests.support.http1 import Message


class Load:
    """Threads with keep-alive connections; each answer is counted by status and body.

    A connection that announced its end (`connection: close`) is replaced. Anything else that
    goes wrong is a lost request and stands in `lost`.
    """

    def __init__(
        self, port: int, target: str = "/", threads: int = 4, pause: float = 0.001
    ) -> None:
        self.port = port
        self.target = target
        self.pause = pause
        self.answers: Counter[tuple[int, str]] = Counter()
        self.lost: list[str] = []
        self.reconnects = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    @property
    def total(self) -> int:
        """Answers so far."""
        return sum(self.answers.values())

    def statuses(self) -> set[int]:
        """Which statuses were seen."""
        return {status for status, _ in self.answers}

    def wait(self, more: int = 50, deadline: float = 30.0) -> None:
        """Until that many further answers have come."""
        wanted = self.total + more
        end = time.monotonic() + deadline
        while self.total < wanted and time.monotonic() < end and not self.lost:
            time.sleep(0.005)
        assert not self.lost, self.lost[:5]
        assert self.total >= wanted, "the load stands still"

    def wait_body(self, body: str, more: int = 20, deadline: float = 30.0) -> None:
        """Until that many further answers had this body."""
        wanted = self._bodies(body) + more
        end = time.monotonic() + deadline
        while self._bodies(body) < wanted and time.monotonic() < end and not self.lost:
            time.sleep(0.005)
        assert not self.lost, self.lost[:5]
        assert self._bodies(body) >= wanted, f"{body!r} does not come: {self.answers}"

    def wait_only(self, body: str, deadline: float = 30.0) -> None:
        """Until 50 answers in a row had this body."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            before, other = self._bodies(body), self.total - self._bodies(body)
            self.wait(50)
            if self.total - self._bodies(body) == other and self._bodies(body) > before:
                return
        raise AssertionError(f"other answers than {body!r} still come: {self.answers}")

    def _bodies(self, body: str) -> int:
        with self._lock:
            return sum(n for (_, seen), n in self.answers.items() if seen == body)

    def _run(self) -> None:
        request = f"GET {self.target} HTTP/1.1\r\nHost: load.example\r\n\r\n".encode()
        conn: Connection | None = None
        while not self._stop.is_set():
            try:
                if conn is None:
                    conn = Connection(self.port)
                answer = self._ask(conn, request)
            except OSError as error:
                with self._lock:
                    self.lost.append(repr(error))
                return
            with self._lock:
                self.answers[answer.status, answer.body.decode("latin-1")] += 1
            if "close" in (answer.get("connection") or ""):
                conn.close()
                conn = None
                self.reconnects += 1
            time.sleep(self.pause)
        if conn is not None:
            conn.close()

    @staticmethod
    def _ask(conn: Connection, request: bytes) -> Message:
        conn.raw, conn.methods = b"", []
        return conn.request(request)
