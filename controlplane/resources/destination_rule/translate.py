"""A policy as fields of Envoy's cluster."""

from __future__ import annotations

from envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.cluster.v3.outlier_detection_pb2 import OutlierDetection as EnvoyOutliers
from envoy.config.common.matcher.v3.matcher_pb2 import MatchPredicate
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from controlplane.resources.common.connection_pool import (
    ConnectionPoolSettings,
    HTTPSettings,
    TcpKeepalive,
)
from controlplane.resources.common.load_balancer import (
    ConsistentHashLB,
    LoadBalancerSettings,
    LocalityLoadBalancerSetting,
    WarmupConfiguration,
)
from controlplane.resources.common.traffic_policy import (
    OutlierDetection,
    RetryBudget,
    TrafficPolicy,
)
from controlplane.resources.mesh_config.schema import MeshConfig
from controlplane.translation.clusters import protocol_options
from controlplane.translation.clusters.protocol_options import Wire
from controlplane.translation.durations import duration

_NO_LIMIT = 2**32 - 1
_SIMPLE = {
    "ROUND_ROBIN": Cluster.ROUND_ROBIN,
    "RANDOM": Cluster.RANDOM,
    "LEAST_CONN": Cluster.LEAST_REQUEST,
    "LEAST_REQUEST": Cluster.LEAST_REQUEST,
    "UNSPECIFIED": Cluster.LEAST_REQUEST,
}
_KEEPALIVE_FIELDS = (
    ("keepalive_probes", "probes"), ("keepalive_time", "time"), ("keepalive_interval", "interval")
)  # fmt: skip


def apply(cluster: Cluster, policy: TrafficPolicy, mesh: MeshConfig, wire: Wire) -> None:
    """Everything of a policy but TLS."""
    pool = policy.connection_pool or ConnectionPoolSettings()
    http = pool.http or HTTPSettings()
    _limits(cluster, pool, policy.retry_budget)
    if pool.tcp is not None and pool.tcp.connect_timeout is not None:
        cluster.connect_timeout.CopyFrom(duration(pool.tcp.connect_timeout))
    _keepalive(cluster, (pool.tcp.tcp_keepalive if pool.tcp else None) or mesh.tcp_keepalive)
    options = protocol_options.build(http, pool.tcp, mesh, wire)
    if policy.outlier_detection is not None:
        _outliers(cluster, policy.outlier_detection)
        _errors(options, policy.outlier_detection.outlier_detection_http_error_codes)
    if options != HttpProtocolOptions():
        protocol_options.put(cluster, options)
    if cluster.lb_policy != Cluster.CLUSTER_PROVIDED:
        of_mesh = None if wire.inbound else mesh.locality_lb_setting
        _balance(cluster, policy.load_balancer or LoadBalancerSettings(), of_mesh)
    outliers = policy.outlier_detection
    chooses = cluster.lb_policy != Cluster.CLUSTER_PROVIDED and not wire.inbound
    if chooses or outliers is not None:
        # Below this share of healthy hosts all are used. Istio's default is never: hosts that are
        # not ready are sent, too, so that it is known how well the others can bear the load.
        least = outliers.min_health_percent if outliers is not None else 0
        cluster.common_lb_config.healthy_panic_threshold.value = least


def _limits(cluster: Cluster, pool: ConnectionPoolSettings, budget: RetryBudget | None) -> None:
    """Istio limits nothing that nobody asked to limit: Envoy's 1024 would surprise."""
    http, tcp = pool.http or HTTPSettings(), pool.tcp
    limits = CircuitBreakers.Thresholds(track_remaining=True)
    limits.max_connections.value = (tcp.max_connections if tcp else 0) or _NO_LIMIT
    limits.max_pending_requests.value = http.http1_max_pending_requests or _NO_LIMIT
    limits.max_requests.value = http.http2_max_requests or _NO_LIMIT
    limits.max_retries.value = http.max_retries or _NO_LIMIT
    if budget is not None:
        limits.retry_budget.budget_percent.value = (
            20.0 if budget.percent is None else budget.percent
        )
        limits.retry_budget.min_retry_concurrency.value = budget.min_retry_concurrency or 3
        if budget.budget_interval is not None:
            limits.retry_budget.budget_interval.CopyFrom(duration(budget.budget_interval))
    cluster.circuit_breakers.thresholds.append(limits)


def _keepalive(cluster: Cluster, given: TcpKeepalive | None) -> None:
    if given is None:
        return
    keepalive = cluster.upstream_connection_options.tcp_keepalive
    keepalive.SetInParent()
    for field, name in _KEEPALIVE_FIELDS:
        value = getattr(given, name)
        if value:
            getattr(keepalive, field).value = int(value)


def _outliers(cluster: Cluster, given: OutlierDetection) -> None:
    built = EnvoyOutliers()
    # Statistics of success are off: Istio's policy counts errors in a row.
    built.enforcing_success_rate.value = 0
    errors = given.consecutive_5xx_errors
    if errors is None and given.consecutive_errors:
        errors = given.consecutive_errors
    if errors is not None:
        built.consecutive_5xx.value = errors
        built.enforcing_consecutive_5xx.value = 100 if errors else 0
    gateway = given.consecutive_gateway_errors
    if gateway is not None:
        built.consecutive_gateway_failure.value = gateway
        built.enforcing_consecutive_gateway_failure.value = 100 if gateway else 0
    if given.split_external_local_origin_errors:
        built.split_external_local_origin_errors = True
        local = given.consecutive_local_origin_failures
        if local:
            built.consecutive_local_origin_failure.value = local
            built.enforcing_consecutive_local_origin_failure.value = 100
        built.enforcing_local_origin_success_rate.value = 0
    if given.interval is not None:
        built.interval.CopyFrom(duration(given.interval))
    if given.base_ejection_time is not None:
        built.base_ejection_time.CopyFrom(duration(given.base_ejection_time))
    if given.max_ejection_percent:
        built.max_ejection_percent.value = given.max_ejection_percent
    cluster.outlier_detection.CopyFrom(built)


def _errors(options: HttpProtocolOptions, codes: tuple[int, ...]) -> None:
    """The statuses that count as errors, in place of those from 500 on."""
    if not codes:
        return
    found = []
    for code in codes:
        one = MatchPredicate()
        status = one.http_response_headers_match.headers.add(name=":status")
        status.string_match.exact = str(code)
        found.append(one)
    matcher = options.outlier_detection.error_matcher
    if len(found) == 1:
        matcher.CopyFrom(found[0])
    else:
        matcher.or_match.rules.extend(found)
    if not options.WhichOneof("upstream_protocol_options"):
        options.explicit_http_config.http_protocol_options.SetInParent()


def _balance(
    cluster: Cluster, given: LoadBalancerSettings, of_mesh: LocalityLoadBalancerSetting | None
) -> None:
    if given.simple == "PASSTHROUGH":
        cluster.type = Cluster.ORIGINAL_DST
        cluster.lb_policy = Cluster.CLUSTER_PROVIDED
        cluster.ClearField("eds_cluster_config")
        cluster.ClearField("load_assignment")
        return
    cluster.lb_policy = _SIMPLE[given.simple or "UNSPECIFIED"]
    if given.consistent_hash is not None:
        _consistent_hash(cluster, given.consistent_hash)
    locality = given.locality_lb_setting or of_mesh
    # As in Istio: shares always, and where outlier detection makes failover work.
    failing_over = (
        cluster.HasField("outlier_detection")
        and locality is not None
        and (locality.failover or locality.failover_priority)
    )
    if locality is not None and locality.enabled is False:
        locality = None
    if locality is not None and (locality.distribute or failing_over):
        cluster.common_lb_config.locality_weighted_lb_config.SetInParent()
    warmup = given.warmup
    if warmup is None and given.warmup_duration_secs is not None:
        warmup = WarmupConfiguration(given.warmup_duration_secs)
    if warmup is not None:
        _warm_up(cluster, warmup)


def _consistent_hash(cluster: Cluster, given: ConsistentHashLB) -> None:
    if given.maglev is not None:
        cluster.lb_policy = Cluster.MAGLEV
        if given.maglev.table_size:
            cluster.maglev_lb_config.table_size.value = given.maglev.table_size
        return
    cluster.lb_policy = Cluster.RING_HASH
    size = given.ring_hash.minimum_ring_size if given.ring_hash else given.minimum_ring_size
    if size:
        cluster.ring_hash_lb_config.minimum_ring_size.value = size


def _warm_up(cluster: Cluster, given: WarmupConfiguration) -> None:
    if cluster.lb_policy == Cluster.LEAST_REQUEST:
        slow = cluster.least_request_lb_config.slow_start_config
    elif cluster.lb_policy == Cluster.ROUND_ROBIN:
        slow = cluster.round_robin_lb_config.slow_start_config
    else:
        return
    slow.slow_start_window.CopyFrom(duration(given.duration))
    slow.aggression.default_value = 1.0 if given.aggression is None else given.aggression
    slow.aggression.runtime_key = "fastmesh.slow_start"
    percent = 10.0 if given.minimum_percent is None else given.minimum_percent
    slow.min_weight_percent.value = percent
