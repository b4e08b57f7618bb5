"""A port that answers JSON by path: the control plane's status port or a sidecar's admin port."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from types import TracebackType
from typing import Any, Self


class StatusPort:
    """As a context. `answers` maps a path, without its query, to a value or (status, text)."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # http.server's name
                self._answer(self.path)

            def do_POST(self) -> None:  # http.server's name
                self._answer(f"POST {self.path}")

            def _answer(self, asked: str) -> None:
                outer.asked.append(asked)
                found = outer.answers.get(self.path.partition("?")[0], (404, "no such path"))
                status, body = found if isinstance(found, tuple) else (200, json.dumps(found))
                # Whoever has asked may have gone.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.send_response(status)
                    self.end_headers()
                    self.wfile.write(body.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
