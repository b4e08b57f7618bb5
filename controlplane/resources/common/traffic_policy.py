"""What a DestinationRule says about connections to a host, its subsets and ports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from controlplane.resources.common.connection_pool import ConnectionPoolSettings
from controlplane.resources.common.destination import PortSelector
from controlplane.resources.common.load_balancer import LoadBalancerSettings
from controlplane.resources.common.tls import ClientTLSSettings
from controlplane.resources.schema import Int32, Percent, Range, Seconds, UInt32


@dataclass(frozen=True, slots=True)
class OutlierDetection:
    """When a host is taken out for a while. None is the default, 0 turns a detector off."""

    #: Deprecated: `consecutive_5xx_errors`.
    consecutive_errors: Int32 = 0
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: UInt32 | None = None
    consecutive_gateway_errors: UInt32 | None = None
    consecutive_5xx_errors: UInt32 | None = None
    interval: Seconds | None = None
    base_ejection_time: Seconds | None = None
    max_ejection_percent: Int32 = 0
    min_health_percent: Int32 = 0
    #: Statuses that count as errors.
    outlier_detection_http_error_codes: tuple[Annotated[int, Range(100, 599)], ...] = ()
    #: A share of failures that ejects although successes are in between; None is 85.
    failure_percentage_threshold: Annotated[int, Range(0, 100)] | None = None


@dataclass(frozen=True, slots=True)
class PortTrafficPolicy:
    """A policy of one port; what it leaves out is the default, not the host's policy."""

    port: PortSelector | None = None
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None


@dataclass(frozen=True, slots=True)
class TunnelSettings:
    """TCP through a proxy: CONNECT, or POST."""

    target_host: str
    target_port: UInt32
    #: "" is CONNECT.
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class ProxyProtocol:
    """The header with the client's address before the first byte."""

    version: Literal["V1", "V2"] = "V1"


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """Retries as a share of the requests under way."""

    #: None is 20.
    percent: Percent | None = None
    #: 0 is 3.
    min_retry_concurrency: UInt32 = 0
    budget_interval: Seconds | None = None


@dataclass(frozen=True, slots=True)
class TrafficPolicy:
    """A policy of a host or of one of its subsets."""

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    port_level_settings: tuple[PortTrafficPolicy, ...] = ()
    tunnel: TunnelSettings | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None
