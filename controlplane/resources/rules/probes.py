"""Readiness probes, of WorkloadGroups and of MeshConfig."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem, shown
from controlplane.resources.common.probe import ReadinessProbe
from controlplane.resources.rules import http_headers, numbers


def probe(probe: ReadinessProbe, path: str) -> Iterator[Problem]:
    """It has a check that can be made."""
    if probe.http_get is not None:
        at = f"{path}.httpGet"
        yield from numbers.port(probe.http_get.port, f"{at}.port")
        if probe.http_get.scheme not in {"", "HTTP", "HTTPS"}:
            reason = f"must be HTTP or HTTPS, is {shown(probe.http_get.scheme)}"
            yield Problem(f"{at}.scheme", reason)
        for index, header in enumerate(probe.http_get.http_headers):
            yield from http_headers.probe_name(header.name, f"{at}.httpHeaders[{index}].name")
    elif probe.tcp_socket is not None:
        yield from numbers.port(probe.tcp_socket.port, f"{path}.tcpSocket.port")
    elif probe.exec is not None:
        if not probe.exec.command or not all(probe.exec.command):
            yield Problem(f"{path}.exec.command", "must not be empty, nor any word of it")
    elif probe.grpc is not None:
        yield from numbers.port(probe.grpc.port, f"{path}.grpc.port")
    else:
        yield Problem(path, "has no check; give httpGet, tcpSocket, exec or grpc")
