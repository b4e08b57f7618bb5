"""Rules of `defaultConfig`, which a pod's annotation must keep as well."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem, shown
from controlplane.resources.mesh_config.proxy_config import (
    ConnectionSettings,
    MeshProxyConfig,
    PrivateKeyProvider,
    Tracing,
)
from controlplane.resources.rules import addresses, names, numbers, probes, tls
from controlplane.resources.schema import below

_HOST_IP = "$(HOST_IP)"
_SMALLEST_WINDOW = 65535
_AUTO_ALLOCATE = "ISTIO_META_DNS_AUTO_ALLOCATE"


def validate_proxy(spec: MeshProxyConfig, path: str) -> Iterator[Problem]:
    for name, text in (("configPath", spec.config_path), ("binaryPath", spec.binary_path)):
        if not text:
            yield Problem(below(path, name), "must not be empty")
    if spec.service_cluster == "":
        yield Problem(below(path, "serviceCluster"), "must not be empty")
    yield from _drain(spec, path)
    yield from _address(spec.discovery_address, below(path, "discoveryAddress"), required=True)
    yield from _address(spec.statsd_udp_address, below(path, "statsdUdpAddress"))
    yield from _address(
        spec.envoy_metrics_service_address, below(path, "envoyMetricsServiceAddress")
    )
    for name, service in (
        ("envoyMetricsService", spec.envoy_metrics_service),
        ("envoyAccessLogService", spec.envoy_access_log_service),
    ):
        if service is not None:
            yield from _address(service.address, f"{below(path, name)}.address")
            yield from tls.client_tls(service.tls_settings, f"{below(path, name)}.tlsSettings", "")
    yield from numbers.port(spec.proxy_admin_port, below(path, "proxyAdminPort"))
    yield from numbers.port(spec.status_port, below(path, "statusPort"))
    if spec.concurrency is not None:
        yield from numbers.not_negative(spec.concurrency, below(path, "concurrency"))
    if spec.control_plane_auth_policy == "INHERIT":
        yield Problem(below(path, "controlPlaneAuthPolicy"), "must be NONE or MUTUAL_TLS")
    if spec.tracing is not None:
        yield from _tracing(spec.tracing, below(path, "tracing"))
    if spec.readiness_probe is not None:
        yield from probes.probe(spec.readiness_probe, below(path, "readinessProbe"))
    if spec.private_key_provider is not None:
        yield from _private_keys(spec.private_key_provider, below(path, "privateKeyProvider"))
    if spec.connection_settings is not None:
        yield from _connections(spec.connection_settings, below(path, "connectionSettings"))
    if _AUTO_ALLOCATE in spec.proxy_metadata:
        reason = "is deprecated; addresses are allocated by the control plane, leave it out"
        at = below(below(path, "proxyMetadata"), _AUTO_ALLOCATE)
        yield Problem(at, reason, warning=True)


def _drain(spec: MeshProxyConfig, path: str) -> Iterator[Problem]:
    at = below(path, "drainDuration")
    yield from numbers.duration(spec.drain_duration, at)
    if spec.drain_duration >= 0.001 and not float(spec.drain_duration).is_integer():
        yield Problem(at, f"must be whole seconds, is {spec.drain_duration:g}s")
    if spec.termination_drain_duration < 0:
        yield Problem(below(path, "terminationDrainDuration"), "must not be negative")


def _address(text: str, path: str, *, required: bool = False) -> Iterator[Problem]:
    """`HOST:PORT`."""
    if not text:
        if required:
            yield Problem(path, "must not be empty")
        return
    parts = addresses.host_and_port(text)
    host, port = parts or ("", "")
    good_port = port.isascii() and port.isdecimal() and len(port) < 6 and 0 < int(port) < 65536
    if not good_port or not (names.is_fqdn(host) or addresses.is_ip(host)):
        yield Problem(path, f"must be HOST:PORT, is {shown(text)}")


def _tracing(tracing: Tracing, path: str) -> Iterator[Problem]:
    for name, collector in (("zipkin", tracing.zipkin), ("datadog", tracing.datadog)):
        if collector is not None:
            address = collector.address.replace(_HOST_IP, "127.0.0.1", 1)
            yield from _address(address, f"{path}.{name}.address", required=True)
    if tracing.lightstep is not None:
        at = f"{path}.lightstep"
        yield from _address(tracing.lightstep.address, f"{at}.address", required=True)
        token = tracing.lightstep.access_token
        if token is None or not token.reveal():
            yield Problem(f"{at}.accessToken", "is required")
    yield from tls.client_tls(tracing.tls_settings, f"{path}.tlsSettings", "")


def _private_keys(given: PrivateKeyProvider, path: str) -> Iterator[Problem]:
    if given.cryptomb is None and given.qat is None:
        yield Problem(path, "is empty; give it cryptomb or qat")
    for name, one in (("cryptomb", given.cryptomb), ("qat", given.qat)):
        if one is not None and not one.poll_delay:
            yield Problem(f"{path}.{name}.pollDelay", "is required and must not be 0")


def _connections(given: ConnectionSettings, path: str) -> Iterator[Problem]:
    for name, number in (
        (
            "listenerPerConnectionBufferLimitBytes",
            given.listener_per_connection_buffer_limit_bytes,
        ),
        ("clusterPerConnectionBufferLimitBytes", given.cluster_per_connection_buffer_limit_bytes),
        ("httpIdleTimeout", given.http_idle_timeout),
        ("httpMaxConnectionDuration", given.http_max_connection_duration),
        ("httpDrainTimeout", given.http_drain_timeout),
        ("httpRequestTimeout", given.http_request_timeout),
        ("httpRequestHeadersTimeout", given.http_request_headers_timeout),
        ("httpStreamIdleTimeout", given.http_stream_idle_timeout),
        ("httpMaxStreamDuration", given.http_max_stream_duration),
    ):
        if number is not None and number < 0:
            yield Problem(f"{path}.{name}", f"must not be negative, is {number:g}")
    for name, number in (
        ("httpMaxConcurrentStreams", given.http_max_concurrent_streams),
        ("listenerConnectionLimit", given.listener_connection_limit),
        ("globalDownstreamConnectionLimit", given.global_downstream_connection_limit),
    ):
        if number is not None and number <= 0:
            yield Problem(f"{path}.{name}", f"must be 1 or more, is {number}")
    for name, number in (
        ("http2InitialStreamWindowSize", given.http2_initial_stream_window_size),
        ("http2InitialConnectionWindowSize", given.http2_initial_connection_window_size),
    ):
        if number is not None and number < _SMALLEST_WINDOW:
            yield Problem(f"{path}.{name}", f"must be {_SMALLEST_WINDOW} at least, is {number}")
