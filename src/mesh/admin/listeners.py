"""/listeners, /drain_listeners"""

from __future__ import annotations

from mesh import api
from mesh.admin.endpoint import JSON, Answer, Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mesh.admin.endpoint import Process, Query


def listeners(process: Process, query: Query) -> Answer:
    """Name and bound address of every listener that serves."""
    found = _serving(process)
    if query.get("format") != "json":
        return Answer("".join(f"{name}::{address}\n" for name, address in found))
    import json

    document = {"listener_statuses": [_status(name, address) for name, address in found]}
    return Answer(json.dumps(document if found else {}, indent=1) + "\n", JSON)


def _serving(process: Process) -> list[tuple[str, str]]:
    """(name, address) of what is configured and bound; a drained listener is still configured."""
    configured = process.store.snapshot(api.LISTENER)[0]
    found = {
        (name, address): None
        for name, address, state in process.core.listeners()
        if name in configured and state != "warming"
    }
    return list(found)


def drain(process: Process, query: Query) -> Answer:
    """Listeners stop accepting; `graceful` drains their connections first."""
    query.only(("graceful", "inboundonly"), ("skip_exit",))
    process.core.drain_listeners("graceful" in query, "inboundonly" in query)
    return Answer("OK\n")


def _status(name: str, address: str) -> dict[str, object]:
    import ipaddress

    host, _, port = address.rpartition(":")
    try:
        ip = str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return {"name": name, "local_address": {"pipe": {"path": address}}}
    return {
        "name": name,
        "local_address": {"socket_address": {"address": ip, "port_value": int(port)}},
    }


ENDPOINTS = (
    Endpoint(
        "/drain_listeners",
        "drain listeners",
        drain,
        mutates=True,
        parameters=(
            (
                "graceful",
                "Drain connections before the listeners close, for --drain-time-s at most",
            ),
            ("inboundonly", "Drain only listeners whose traffic_direction is INBOUND"),
        ),
    ),
    Endpoint(
        "/listeners",
        "print listener info",
        listeners,
        parameters=(("format", "File format to use; One of (text, json)"),),
    ),
)
