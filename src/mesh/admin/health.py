"""/ready, /healthcheck/fail, /healthcheck/ok"""

from __future__ import annotations

from mesh.admin.endpoint import Answer, Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mesh.admin.endpoint import Process, Query


def ready(process: Process, query: Query) -> Answer:
    """The state; 200 only if LIVE."""
    state = process.state()
    return Answer(state + "\n", status=200 if state == "LIVE" else 503)


def fail(process: Process, query: Query) -> Answer:
    """Not ready, and `connection: close` on responses, until /healthcheck/ok."""
    process.fail_health_check(True)
    return Answer("OK\n")


def ok(process: Process, query: Query) -> Answer:
    """Undoes /healthcheck/fail."""
    process.fail_health_check(False)
    return Answer("OK\n")


ENDPOINTS = (
    Endpoint("/healthcheck/fail", "cause the server to fail health checks", fail, mutates=True),
    Endpoint("/healthcheck/ok", "cause the server to pass health checks", ok, mutates=True),
    Endpoint("/ready", "print server state, return 200 if LIVE, otherwise return 503", ready),
)
