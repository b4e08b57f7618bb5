"""Readiness probes: of WorkloadGroups, and of MeshConfig's `defaultConfig`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from controlplane.resources.schema import OneOf, Range, UInt32

_Count = Annotated[int, Range(0, 2**31 - 1)]


@dataclass(frozen=True, slots=True)
class HTTPHeader:
    """A header of the probe's request."""

    name: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class HTTPHealthCheckConfig:
    """GET; 2xx and 3xx are healthy."""

    port: UInt32
    path: str = ""
    host: str = ""
    #: "" is HTTP.
    scheme: str = ""
    http_headers: tuple[HTTPHeader, ...] = ()


@dataclass(frozen=True, slots=True)
class TCPHealthCheckConfig:
    """A connection."""

    port: UInt32
    host: str = ""


@dataclass(frozen=True, slots=True)
class ExecHealthCheckConfig:
    """A command; status 0 is healthy."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GrpcHealthCheckConfig:
    """gRPC's health service."""

    port: UInt32 = 0
    service: str = ""


@dataclass(frozen=True, slots=True)
class ReadinessProbe:
    """As Kubernetes' probes; the agent runs it. 0 is Kubernetes' default."""

    initial_delay_seconds: _Count = 0
    timeout_seconds: _Count = 0
    period_seconds: _Count = 0
    success_threshold: _Count = 0
    failure_threshold: _Count = 0
    http_get: HTTPHealthCheckConfig | None = None
    tcp_socket: TCPHealthCheckConfig | None = None
    exec: ExecHealthCheckConfig | None = None
    grpc: GrpcHealthCheckConfig | None = None
    ONE_OF: ClassVar[OneOf] = (("http_get", "tcp_socket", "exec", "grpc"),)
