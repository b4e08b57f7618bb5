"""A process for the admin endpoints to look at."""

from __future__ import annotations

import json
import time

from mesh import api
from mesh.admin.endpoints import ENDPOINTS
from mesh.admin.server import Router
from mesh.config.flags import Options
from mesh.xds.store import Store
from tests.unit.mesh import fake

HCM = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
    ".HttpConnectionManager"
)


class FakeProcess:
    """Implements `mesh.admin.endpoint.Process`."""

    def __init__(self) -> None:
        self.core = fake.Engine()
        self.store = Store()
        self.options = Options()
        self.bootstrap = fake.Bootstrap({"node": {"id": "n", "cluster": "c"}})
        self.concurrency = 2
        self.started = time.monotonic()
        self.started_at = "2026-11-22T12:00:00.000Z"
        self.calls: list[str] = []
        self.now = "LIVE"

    def state(self) -> str:
        return self.now

    def waiting(self) -> list[tuple[str, str]]:
        return self.core.warming()

    def refresh_stats(self) -> None:
        self.calls.append("refresh_stats")

    def fail_health_check(self, fail: bool) -> None:
        self.calls.append(f"fail_health_check {fail}")

    def reopen_logs(self) -> None:
        self.calls.append("reopen_logs")

    def quit(self) -> None:
        self.calls.append("quit")

    def hold(self, type_url: str, name: str, version: str = "", **fields: object) -> None:
        body = json.dumps({"name": name, **fields}).encode()
        self.store.put(type_url, name, body, version, static=not version)


def router(process: FakeProcess, check_host: bool = False) -> Router:
    return Router(process, ENDPOINTS, check_host=check_host)  # type: ignore[arg-type]


def get(process: FakeProcess, target: str) -> tuple[int, str]:
    answer = router(process).answer("GET", target, "localhost")
    return answer.status, answer.body.decode()


def post(process: FakeProcess, target: str) -> tuple[int, str]:
    answer = router(process).answer("POST", target, "localhost")
    return answer.status, answer.body.decode()


__all__ = ["HCM", "FakeProcess", "api", "get", "post", "router"]
