"""HTTP/1.1 clients: one connection, and a load of several."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=10)

    def get(
        self, path: str, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], str]:
        """(status, headers, body). `path` may be a whole URL, for a proxy."""
        self._connection.request("GET", path, headers=headers or {})
        response = self._connection.getresponse()
        body = response.read().decode()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, body

    def close(self) -> None:
        self._connection.close()


class Load:
    """Requests without a pause on a few connections, each answer looked at, until `stop`.

    `kind` says of an answer's JSON under which name it is counted in `answers`.
    """

    def __init__(
        self, port: int, path: str, kind: Callable[[dict[str, Any]], str], connections: int = 4
    ) -> None:
        self.answers: Counter[str] = Counter()
        self.lost: list[str] = []
        self._port = port
        self._path = path
        self._kind = kind
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(connections)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        client = Client(self._port)
        while not self._stop.is_set():
            try:
                status, _, body = client.get(self._path)
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                client.close()
                continue
            if status == 200:
                self.answers[self._kind(json.loads(body))] += 1
            else:
                self.lost.append(f"status {status}")
        client.close()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
