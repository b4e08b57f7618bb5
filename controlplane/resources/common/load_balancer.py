"""Which host gets the next request. MeshConfig has the locality part as well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from controlplane.resources.schema import OneOf, Percent, Range, Seconds, UInt32, UInt64

#: LEAST_CONN is the deprecated name of LEAST_REQUEST.
SimpleLB = Literal[
    "UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"
]


@dataclass(frozen=True, slots=True)
class RingHash:
    """Ketama."""

    minimum_ring_size: UInt64 = 0


@dataclass(frozen=True, slots=True)
class MagLev:
    """Google's Maglev."""

    table_size: UInt64 = 0


@dataclass(frozen=True, slots=True)
class CookieAttribute:
    """As in Set-Cookie: `SameSite=Lax`."""

    name: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class HTTPCookie:
    """Hash of a cookie; one is made when `ttl` is given and the request has none."""

    name: str
    path: str = ""
    ttl: Seconds | None = None
    attributes: tuple[CookieAttribute, ...] = ()


@dataclass(frozen=True, slots=True)
class ConsistentHashLB:
    """Requests with the same key go to the same host."""

    http_header_name: str | None = None
    http_cookie: HTTPCookie | None = None
    use_source_ip: bool | None = None
    http_query_parameter_name: str | None = None
    ring_hash: RingHash | None = None
    maglev: MagLev | None = None
    #: Deprecated: `ring_hash.minimum_ring_size`.
    minimum_ring_size: UInt64 = 0
    ONE_OF: ClassVar[OneOf] = (
        ("http_header_name", "http_cookie", "use_source_ip", "http_query_parameter_name"),
        ("ring_hash", "maglev"),
    )


@dataclass(frozen=True, slots=True)
class BackendUtilizationLB:
    """Weights from the load that hosts report (ORCA)."""

    #: None is 10 s.
    weight_stabilization_period: Seconds | None = None
    #: None is 3 min.
    weight_expiration_period: Seconds | None = None
    #: None is 1 s.
    weight_update_period: Seconds | None = None
    #: 100 counts a share of errors as much as the same share of load.
    error_utilization_penalty_percent: UInt32 = 0
    #: None is `application_utilization`; `named_metrics.x` for entries of maps.
    metric_names_for_computing_utilization: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LocalityDistribute:
    """Weights of the localities that clients in `from` use; they sum to 100."""

    #: `region/zone/subzone`, each may be `*`.
    from_: str = field(default="", metadata={"name": "from"})
    to: Mapping[str, UInt32] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LocalityFailover:
    """The region that stands in when `from` is not healthy."""

    from_: str = field(default="", metadata={"name": "from"})
    to: str = ""


@dataclass(frozen=True, slots=True)
class LocalityLoadBalancerSetting:
    """Near hosts first, or in given shares."""

    distribute: tuple[LocalityDistribute, ...] = ()
    failover: tuple[LocalityFailover, ...] = ()
    #: Labels, with or without `=value`, the most important first.
    failover_priority: tuple[str, ...] = ()
    #: None: MeshConfig's.
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class ZoneAwareLoadBalancerSetting:
    """Envoy's zone aware routing: the same zone as long as shares stay fair."""

    enabled: bool | None = None
    failover: tuple[LocalityFailover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    min_cluster_size: Annotated[int, Range(1, 2**32 - 1)] | None = None


@dataclass(frozen=True, slots=True)
class WarmupConfiguration:
    """New hosts get their share slowly."""

    duration: Seconds
    minimum_percent: Percent | None = None
    #: At least 1 is sensible; None is 1.
    aggression: Annotated[float, Range(0, float("inf"))] | None = None


@dataclass(frozen=True, slots=True)
class LoadBalancerSettings:
    """The policy and what modifies it."""

    simple: SimpleLB | None = None
    consistent_hash: ConsistentHashLB | None = None
    backend_utilization: BackendUtilizationLB | None = None
    locality_lb_setting: LocalityLoadBalancerSetting | None = None
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = None
    #: Deprecated: `warmup.duration`.
    warmup_duration_secs: Seconds | None = None
    warmup: WarmupConfiguration | None = None
    ONE_OF: ClassVar[OneOf] = (("simple", "consistent_hash", "backend_utilization"),)
