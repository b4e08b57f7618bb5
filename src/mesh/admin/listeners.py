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

    addresses: dict[str, list[str]] = {}
    for name, address in found:
        addresses.setdefault(name, []).append(address)
    document = {"listener_statuses": [_status(*each) for each in addresses.items()]}
    return Answer(json.dumps(document if found else {}, indent=1) + "\n", JSON)


def _serving(process: Process) -> list[tuple[str, str]]:
    """(name, address) of what is configured and bound, additional addresses behind the listener's
    own; a drained listener is still configured."""
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


def _status(name: str, addresses: list[str]) -> dict[str, object]:
    first, *others = map(_address, addresses)
    status: dict[str, object] = {"name": name, "local_address": first}
    if others:
        status["additional_local_addresses"] = others
    return status


def _address(text: str) -> dict[str, object]:
    import ipaddress

    host, _, port = text.rpartition(":")
    try:
        ip = str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return {"pipe": {"path": text}}
    return {"socket_address": {"address": ip, "port_value": int(port)}}


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
