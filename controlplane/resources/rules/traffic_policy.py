"""Policies of connections to a host: pools, outliers, tunnels, and all of TrafficPolicy."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem, shown
from controlplane.resources.common.connection_pool import (
    ConnectionPoolSettings,
    HTTPSettings,
    TCPSettings,
)
from controlplane.resources.common.traffic_policy import (
    OutlierDetection,
    PortTrafficPolicy,
    RetryBudget,
    TrafficPolicy,
    TunnelSettings,
)
from controlplane.resources.rules import addresses, load_balancing, names, numbers, tls


def traffic_policy(given: TrafficPolicy | None, path: str, namespace: str) -> Iterator[Problem]:
    """A policy of a host or a subset."""
    if given is None:
        return
    if given == TrafficPolicy():
        yield Problem(path, "is empty; remove it or say something")
        return
    if given.tunnel is not None and given.proxy_protocol is not None:
        yield Problem(path, "tunnel, proxyProtocol exclude each other; keep one")
    yield from _policy(given, path, namespace)
    ports: dict[int, int] = {}
    for index, one in enumerate(given.port_level_settings):
        at = f"{path}.portLevelSettings[{index}]"
        if one.port is None:
            yield Problem(f"{at}.port", "is required")
        else:
            yield from numbers.port(one.port.number, f"{at}.port.number")
            earlier = ports.setdefault(one.port.number, index)
            if earlier != index:
                reason = f"port {one.port.number} has a policy already, at [{earlier}]; merge them"
                yield Problem(f"{at}.port.number", reason, warning=True)
        if PortTrafficPolicy(port=one.port) == one:
            yield Problem(at, "is empty but for the port; remove it or say something")
        yield from _policy(one, at, namespace)
    yield from _tunnel(given.tunnel, f"{path}.tunnel")
    yield from _retry_budget(given.retry_budget, f"{path}.retryBudget")


def _policy(
    given: TrafficPolicy | PortTrafficPolicy, path: str, namespace: str
) -> Iterator[Problem]:
    yield from outlier_detection(given.outlier_detection, f"{path}.outlierDetection")
    yield from connection_pool(given.connection_pool, f"{path}.connectionPool")
    yield from load_balancing.load_balancer(
        given.load_balancer,
        f"{path}.loadBalancer",
        outliers=given.outlier_detection is not None,
    )
    yield from tls.client_tls(given.tls, f"{path}.tls", namespace)


def outlier_detection(given: OutlierDetection | None, path: str) -> Iterator[Problem]:
    """Thresholds and times."""
    if given is None:
        return
    yield from numbers.duration(given.interval, f"{path}.interval")
    yield from numbers.duration(given.base_ejection_time, f"{path}.baseEjectionTime")
    yield from numbers.whole_percent(given.max_ejection_percent, f"{path}.maxEjectionPercent")
    yield from numbers.whole_percent(given.min_health_percent, f"{path}.minHealthPercent")
    yield from numbers.not_negative(given.consecutive_errors, f"{path}.consecutiveErrors")
    if given.consecutive_errors > 0:
        reason = "is deprecated; write consecutive5xxErrors or consecutiveGatewayErrors"
        yield Problem(f"{path}.consecutiveErrors", reason, warning=True)
    if given.consecutive_local_origin_failures and not given.split_external_local_origin_errors:
        reason = "has no effect; set splitExternalLocalOriginErrors: true or remove it"
        yield Problem(f"{path}.consecutiveLocalOriginFailures", reason)


def connection_pool(given: ConnectionPoolSettings | None, path: str) -> Iterator[Problem]:
    """Limits and timeouts."""
    if given is None:
        return
    if given.tcp is None and given.http is None:
        yield Problem(path, "is empty; remove it or give tcp or http")
    if given.tcp is not None:
        yield from _tcp(given.tcp, f"{path}.tcp")
    if given.http is not None:
        yield from _http(given.http, f"{path}.http")


def _tcp(given: TCPSettings, path: str) -> Iterator[Problem]:
    yield from numbers.not_negative(given.max_connections, f"{path}.maxConnections")
    yield from numbers.duration(given.connect_timeout, f"{path}.connectTimeout")
    yield from numbers.duration(given.max_connection_duration, f"{path}.maxConnectionDuration")
    yield from numbers.duration(given.idle_timeout, f"{path}.idleTimeout", zero=True)
    if given.tcp_keepalive is not None:
        yield from numbers.duration(given.tcp_keepalive.time, f"{path}.tcpKeepalive.time")
        yield from numbers.duration(given.tcp_keepalive.interval, f"{path}.tcpKeepalive.interval")


def _http(given: HTTPSettings, path: str) -> Iterator[Problem]:
    for name, value in (
        ("http1MaxPendingRequests", given.http1_max_pending_requests),
        ("http2MaxRequests", given.http2_max_requests),
        ("maxRequestsPerConnection", given.max_requests_per_connection),
        ("maxRetries", given.max_retries),
        ("maxConcurrentStreams", given.max_concurrent_streams),
    ):
        yield from numbers.not_negative(value, f"{path}.{name}")
    yield from numbers.duration(given.idle_timeout, f"{path}.idleTimeout")
    if given.h2_upgrade_policy == "UPGRADE" and given.use_client_protocol:
        reason = "excludes h2UpgradePolicy UPGRADE; keep one of them"
        yield Problem(f"{path}.useClientProtocol", reason)
    if given.http2_keep_alive is not None:
        at = f"{path}.http2KeepAlive"
        for name, time in (
            ("interval", given.http2_keep_alive.interval),
            ("timeout", given.http2_keep_alive.timeout),
        ):
            if time is None:
                yield Problem(f"{at}.{name}", "is required")
            yield from numbers.duration(time, f"{at}.{name}")


def _tunnel(given: TunnelSettings | None, path: str) -> Iterator[Problem]:
    if given is None:
        return
    if given.protocol not in {"", "CONNECT", "POST"}:
        yield Problem(f"{path}.protocol", f"must be CONNECT or POST, is {shown(given.protocol)}")
    if not (names.is_fqdn(given.target_host) or addresses.is_ip(given.target_host)):
        reason = f"{shown(given.target_host)} is neither a host name nor an IP address"
        yield Problem(f"{path}.targetHost", reason)
    yield from numbers.port(given.target_port, f"{path}.targetPort")


def _retry_budget(given: RetryBudget | None, path: str) -> Iterator[Problem]:
    if given is None:
        return
    interval = given.budget_interval
    if interval is not None and interval < 0:
        yield Problem(f"{path}.budgetInterval", f"must not be negative, is {interval:g}s")
