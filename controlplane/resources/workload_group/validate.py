"""Rules of WorkloadGroup: the template and the probe."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem, shown
from controlplane.resources.common.probe import ReadinessProbe
from controlplane.resources.proxy_config import annotation
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import http_headers, labels, metadata, numbers
from controlplane.resources.rules.workloads import workload
from controlplane.resources.workload_group.schema import WorkloadGroup


def validate(spec: WorkloadGroup, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    yield from metadata.reserved(meta)
    if spec.metadata is not None:
        yield from labels.labels(spec.metadata.labels, "spec.metadata.labels")
        yield from annotation.problems(spec.metadata.annotations, "spec.metadata.annotations")
    yield from annotation.problems(meta.annotations)
    yield from workload(spec.template, "spec.template", template=True)
    if spec.probe is not None:
        yield from _probe(spec.probe, "spec.probe")


def _probe(probe: ReadinessProbe, path: str) -> Iterator[Problem]:
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
