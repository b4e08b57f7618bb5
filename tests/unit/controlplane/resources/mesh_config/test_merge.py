"""How MeshConfig and the annotations of pods are put together."""

from typing import Any

import yaml

from controlplane.resources.mesh_config import (
    MeshConfig,
    MeshProxyConfig,
    apply,
    apply_proxy_config,
)


def _over(base: MeshConfig | None, text: str, *warned: str) -> MeshConfig:
    result, problems = apply(yaml.safe_load(text), base)
    assert [one.path for one in problems if one.warning] == [*warned]
    assert [one for one in problems if not one.warning] == []
    assert result is not None
    return result


def _annotated(base: MeshProxyConfig, text: str) -> MeshProxyConfig:
    result, problems = apply_proxy_config(yaml.safe_load(text), base)
    assert problems == []
    assert result is not None
    return result


def test_nothing_over_the_defaults() -> None:
    assert _over(None, "{}") == MeshConfig()
    assert _over(None, "{trustDomain: null, defaultConfig: null}") == MeshConfig()


def test_what_is_given_replaces_and_the_rest_stays() -> None:
    base = _over(None, "{accessLogFile: /dev/stdout, tcpKeepalive: {probes: 3, time: 10s}}")
    mesh = _over(base, "{tcpKeepalive: {time: 20s}, trustDomain: example.org}")
    assert (mesh.access_log_file, mesh.trust_domain) == ("/dev/stdout", "example.org")
    assert mesh.tcp_keepalive is not None
    assert (mesh.tcp_keepalive.probes, mesh.tcp_keepalive.time) == (0, 20.0)
    assert mesh.proxy_listen_port == 15001


def test_the_names_of_protobuf_are_taken_as_well() -> None:
    text = """
    connect_timeout: 3s
    mesh_mTLS: {min_protocol_version: TLSV1_3}
    default_config: {proxy_metadata: {A: a}, tracing: {zipkin: {address: "z:1"}}}
    extension_providers: [{name: z, zipkin: {service: z.ns, port: 1, max_tag_length: 5}}]
    default_providers: {access_logging: [z]}
    """
    mesh = _over(_over(None, "defaultConfig: {concurrency: 3}"), text)
    assert mesh.connect_timeout == 3.0
    assert mesh.mesh_mtls is not None
    assert (mesh.default_config.concurrency, mesh.default_config.proxy_metadata) == (3, {"A": "a"})
    assert [one.name for one in mesh.extension_providers][-1] == "z"
    assert mesh.default_providers.access_logging == ("z",)


def test_default_config_is_merged_field_by_field() -> None:
    base = _over(None, "defaultConfig: {concurrency: 4, proxyMetadata: {A: a, B: b}}")
    mesh = _over(base, "defaultConfig: {statusPort: 15030, proxyMetadata: {B: c, D: d}}")
    proxy = mesh.default_config
    assert (proxy.concurrency, proxy.status_port) == (4, 15030)
    assert proxy.proxy_metadata == {"A": "a", "B": "c", "D": "d"}


def test_one_of_a_group_takes_the_others_place() -> None:
    proxy = _annotated(MeshProxyConfig(), "tracingServiceName: CANONICAL_NAME_ONLY")
    assert (proxy.service_cluster, proxy.tracing_service_name) == (None, "CANONICAL_NAME_ONLY")
    proxy = _annotated(proxy, "serviceCluster: a")
    assert (proxy.service_cluster, proxy.tracing_service_name) == ("a", None)


def test_other_objects_of_default_config_are_replaced() -> None:
    base = _annotated(MeshProxyConfig(), "tracing: {sampling: 10, maxPathTagLength: 5}")
    proxy = _annotated(base, "{tracing: {sampling: 20}, runtimeValues: {a: '1'}}")
    assert proxy.tracing is not None
    assert (proxy.tracing.sampling, proxy.tracing.max_path_tag_length) == (20.0, 0)
    assert _annotated(proxy, "runtimeValues: {b: '2'}").runtime_values == {"b": "2"}


def test_proxy_headers_stay_unless_they_are_named() -> None:
    base = _annotated(
        MeshProxyConfig(),
        "proxyHeaders: {requestId: {disabled: true}, server: {value: a}, "
        "forwardedClientCert: SANITIZE, xForwardedHost: {enabled: true}}",
    )
    proxy = _annotated(base, "proxyHeaders: {server: {value: b}}")
    assert proxy.proxy_headers is not None
    assert proxy.proxy_headers.server is not None
    assert proxy.proxy_headers.server.value == "b"
    assert proxy.proxy_headers.request_id is not None
    assert proxy.proxy_headers.forwarded_client_cert == "SANITIZE"
    # As in Istio, only the first five headers are kept.
    assert proxy.proxy_headers.x_forwarded_host is None


def test_default_providers_are_merged_field_by_field() -> None:
    warned = "defaultProviders.tracing"
    base = _over(None, "defaultProviders: {tracing: [a], metrics: [b]}", warned)
    mesh = _over(base, "defaultProviders: {metrics: [c]}", warned)
    assert (mesh.default_providers.tracing, mesh.default_providers.metrics) == (("a",), ("c",))


def test_extension_providers_are_merged_by_name() -> None:
    base = _over(None, "extensionProviders: [{name: z, zipkin: {service: zipkin.ns, port: 9411}}]")
    mesh = _over(
        base,
        "extensionProviders: [{name: envoy, envoyFileAccessLog: {path: /a}}, "
        "{name: o, opentelemetry: {service: otel.ns, port: 1}}]",
    )
    providers = {one.name: one for one in mesh.extension_providers}
    assert list(providers) == ["prometheus", "stackdriver", "envoy", "z", "o"]
    log: Any = providers["envoy"].envoy_file_access_log
    assert log.path == "/a"
    assert _over(mesh, "extensionProviders: []") == mesh


def test_trust_domain_aliases_only_grow() -> None:
    base = _over(None, "trustDomainAliases: [b, a]")
    assert _over(base, "trustDomainAliases: [c, a]").trust_domain_aliases == ("a", "b", "c")
    assert _over(base, "trustDomain: d").trust_domain_aliases == ("a", "b")


def test_what_is_wrong_changes_nothing_and_is_told_with_its_place() -> None:
    result, problems = apply({"defaultConfig": {"statusPort": 0}, "nope": 1}, path="data.mesh")
    assert result is None
    assert [one.path for one in problems] == ["data.mesh.nope"]
    result, problems = apply({"defaultConfig": {"statusPort": 0}}, path="data.mesh")
    assert result is None
    assert [one.path for one in problems] == ["data.mesh.defaultConfig.statusPort"]
    result, problems = apply([])
    assert result is None
    assert [one.reason for one in problems] == ["must be an object, is a list"]
    assert apply_proxy_config({"statusPort": 70000}, MeshProxyConfig())[0] is None
    for probe in ({"exec": {"command": []}}, {"tcpSocket": {"port": 0}}, {"periodSeconds": 1}):
        assert apply_proxy_config({"readinessProbe": probe}, MeshProxyConfig())[0] is None


def test_warnings_come_with_the_result() -> None:
    result, (warning,) = apply({"tlsDefaults": {"ecdhCurves": ["P-1"]}})
    assert result is not None
    assert warning.warning
    assert warning.path == "tlsDefaults.ecdhCurves[0]"
