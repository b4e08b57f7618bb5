"""Istio's names for clusters, routes, SNI and identities. Other programs and people read them."""

from __future__ import annotations

from typing import NamedTuple

BLACK_HOLE = "BlackHoleCluster"
PASSTHROUGH = "PassthroughCluster"
INBOUND_PASSTHROUGH = "InboundPassthroughCluster"


class Outbound(NamedTuple):
    """What the name of an outbound cluster says."""

    port: int
    subset: str
    host: str


def outbound(port: int, subset: str, host: str) -> str:
    """`outbound|9080|v1|reviews.default.svc.cluster.local`."""
    return f"outbound|{port}|{subset}|{host}"


def parse_outbound(name: str) -> Outbound | None:
    """The parts of an outbound cluster's name; None if it is none."""
    parts = name.split("|", 3)
    if len(parts) != 4 or parts[0] != "outbound":
        return None
    port = parse_port(parts[1])
    return None if port is None else Outbound(port, parts[2], parts[3])


def inbound(port: int) -> str:
    """`inbound|8080||`, by the workload's port."""
    return f"inbound|{port}||"


def parse_sni(name: str) -> Outbound | None:
    """The parts of what `sni` gives; None if it is none."""
    parts = name.split("_.", 3)
    if len(parts) != 4 or parts[0] != "outbound":
        return None
    port = parse_port(parts[1])
    return None if port is None else Outbound(port, parts[2], parts[3])


def sni(port: int, subset: str, host: str) -> str:
    """`outbound_.9080_.v1_.reviews.default.svc.cluster.local`: what sidecars ask each other for,
    and the clusters by which east-west gateways pass it on."""
    return f"outbound_.{port}_.{subset}_.{host}"


def spiffe(trust_domain: str, namespace: str, service_account: str) -> str:
    """The identity of a workload."""
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}"


def covers(pattern: str, host: str) -> bool:
    """Whether a host pattern (`*`, `*.example.com`, `*-a.example.com` or exact) covers a host or a
    narrower pattern."""
    return pattern == host or (pattern.startswith("*") and host.endswith(pattern[1:]))


def overlap(one: str, other: str) -> bool:
    """Whether two hosts or patterns have something in common."""
    return covers(one, other) or covers(other, one)


def parse_port(text: str) -> int | None:
    """A port in decimal, from 1 to 65535."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 5:
        return None
    number = int(text)
    return number if 0 < number < 65536 else None
