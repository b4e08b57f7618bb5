"""What the values of annotations must look like. Each check gives what is wrong, or ""."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from controlplane.problem import shown
from controlplane.resources.mesh_config import (
    PROXY_CONFIG_ANNOTATION,
    MeshProxyConfig,
    apply_proxy_config,
)
from controlplane.resources.rules import addresses
from controlplane.sources import text

_QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?", re.ASCII)
_INTERFACE = re.compile(r"[A-Za-z][-A-Za-z0-9_.]{0,14}")
#: What Go's strconv.ParseBool takes.
_BOOLEANS = frozenset({"1", "t", "T", "TRUE", "true", "True"}) | frozenset(
    {"0", "f", "F", "FALSE", "false", "False"}
)


def _number(value: str, most: int) -> bool:
    return value.isascii() and value.isdecimal() and len(value) <= 10 and int(value) <= most


def _port(value: str) -> str:
    return "" if _number(value.strip(), 65535) else f"must be a port, is {shown(value)}"


def _ports(value: str) -> str:
    wrong = [one for one in value.split(",") if not _number(one.strip(), 65535)]
    if not value.strip() or not wrong:
        return ""
    return f"must be ports with commas between, has {shown(wrong[0])}"


def _all_or_ports(value: str) -> str:
    return "" if value == "*" else _ports(value)


def _blocks(value: str) -> str:
    wrong = [one for one in value.split(",") if "/" not in one or list(addresses.subnet(one, ""))]
    if not value or not wrong:
        return ""
    return f"must be CIDR blocks with commas between, has {shown(wrong[0])}"


def _all_or_blocks(value: str) -> str:
    return "" if value == "*" else _blocks(value)


def _count(value: str) -> str:
    return "" if _number(value, 2**32 - 1) else f"must be a whole number, is {shown(value)}"


def _boolean(value: str) -> str:
    return "" if value in _BOOLEANS else f"must be 'true' or 'false', is {shown(value)}"


def _mode(value: str) -> str:
    good = value in {"REDIRECT", "TPROXY", "NONE"}
    return "" if good else f"must be REDIRECT, TPROXY or NONE, is {shown(value)}"


def _quantity(value: str) -> str:
    good = _QUANTITY.fullmatch(value)
    return "" if good else f"must be a quantity like 100m or 128Mi, is {shown(value)}"


def _interfaces(value: str) -> str:
    wrong = [one for one in value.split(",") if not _INTERFACE.fullmatch(one.strip())]
    if not value or not wrong:
        return ""
    return f"must be names of interfaces with commas between, has {shown(wrong[0])}"


def _proxy_config(value: str) -> str:
    given = text.value(value, PROXY_CONFIG_ANNOTATION)
    if isinstance(given, str):
        return given
    _, problems = apply_proxy_config(given, MeshProxyConfig())
    errors = [problem for problem in problems if not problem.warning]
    if not errors:
        return ""
    return f"{errors[0].path}: {errors[0].reason}" if errors[0].path else errors[0].reason


CHECKS: Mapping[str, Callable[[str], str]] = {
    "istio.io/reroute-virtual-interfaces": _interfaces,
    "prometheus.istio.io/merge-metrics": _boolean,
    PROXY_CONFIG_ANNOTATION: _proxy_config,
    "readiness.status.sidecar.istio.io/failureThreshold": _count,
    "readiness.status.sidecar.istio.io/initialDelaySeconds": _count,
    "readiness.status.sidecar.istio.io/periodSeconds": _count,
    "sidecar.istio.io/interceptionMode": _mode,
    "sidecar.istio.io/proxyCPU": _quantity,
    "sidecar.istio.io/proxyCPULimit": _quantity,
    "sidecar.istio.io/proxyMemory": _quantity,
    "sidecar.istio.io/proxyMemoryLimit": _quantity,
    "status.sidecar.istio.io/port": _port,
    "traffic.sidecar.istio.io/excludeInboundPorts": _ports,
    "traffic.sidecar.istio.io/excludeInterfaces": _interfaces,
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": _blocks,
    "traffic.sidecar.istio.io/excludeOutboundPorts": _ports,
    "traffic.sidecar.istio.io/includeInboundPorts": _all_or_ports,
    "traffic.sidecar.istio.io/includeOutboundIPRanges": _all_or_blocks,
    "traffic.sidecar.istio.io/kubevirtInterfaces": _interfaces,
}
