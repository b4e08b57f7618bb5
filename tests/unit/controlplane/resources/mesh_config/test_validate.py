"""Rules of MeshConfig and of the proxy's part of it."""

import pytest
import yaml

from controlplane.resources.mesh_config import apply


def _provider(provider: str) -> str:
    return f"extensionProviders: [{{name: a, {provider}}}]"


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("proxyListenPort: 0", "proxyListenPort", "must be from 1 to 65535"),
        ("connectTimeout: 0s", "connectTimeout", "must be at least 1ms"),
        ("connectTimeout: 2h", "connectTimeout", "must be an hour at most"),
        ("protocolDetectionTimeout: 1.5ms", "protocolDetectionTimeout", "must be in whole milli"),
        ("dnsRefreshRate: -1s", "dnsRefreshRate", "must not be negative"),
        ("trustDomain: ''", "trustDomain", "must be a trust domain like cluster.local"),
        ("trustDomain: a_b", "trustDomain", "must be a trust domain like cluster.local"),
        ("trustDomainAliases: ['a b']", "trustDomainAliases[0]", "must be a trust domain"),
        ("rootNamespace: 'a/b'", "rootNamespace", "'a/b' cannot be a namespace"),
        ("defaultServiceExportTo: ['*', a]", "defaultServiceExportTo[0]", "* excludes other"),
        ("caCertificates: [{certSigners: [a]}]", "caCertificates[0]", "holds no certificate"),
        (
            "caCertificates: [{pem: a, spiffeBundleUrl: b}]",
            "caCertificates[0]",
            "pem, spiffeBundleUrl exclude each other",
        ),
        ("serviceSettings: [{hosts: ['a.*']}]", "serviceSettings[0].hosts[0]", "'a.*' is no host"),
        ("meshMTLS: {ecdhCurves: [X25519]}", "meshMTLS.ecdhCurves", "cannot be set for the mesh"),
        ("accessLogEncoding: XML", "accessLogEncoding", "must be one of TEXT, JSON"),
        (
            "outboundTrafficPolicy: {mode: ALLOW_ANY, tls: {mode: SIMPLE}}",
            "outboundTrafficPolicy.tls",
            "is for the mode ALLOW_ANY_DYNAMIC_DNS only",
        ),
        (
            "outboundTrafficPolicy: {mode: VIRTUAL_SERVICE_ONLY}",
            "outboundTrafficPolicy.mode",
            "must be one of REGISTRY_ONLY",
        ),
        (
            "localityLbSetting: {distribute: [{from: a, to: {b: 50}}]}",
            "localityLbSetting.distribute[0].to",
            "weights must sum to 100",
        ),
        (
            "zoneAwareLbSetting: {failover: [{from: a, to: a}]}",
            "zoneAwareLbSetting.failover[0]",
            "from and to are both 'a'",
        ),
        (
            "defaultHttpRetryPolicy: {attempts: 1, retryOn: sometimes}",
            "defaultHttpRetryPolicy.retryOn",
            "'sometimes' is neither a condition nor a status",
        ),
        (
            "defaultInboundHttpRetryPolicy: {attempts: 0, backoff: 1s}",
            "defaultInboundHttpRetryPolicy.backoff",
            "has no effect with 0 attempts",
        ),
        (
            "defaultTrafficPolicy: {connectionPool: {}}",
            "defaultTrafficPolicy.connectionPool",
            "is empty",
        ),
        (
            "defaultTrafficPolicy: {outlierDetection: {maxEjectionPercent: 101}}",
            "defaultTrafficPolicy.outlierDetection.maxEjectionPercent",
            "must be from 0 to 100",
        ),
        (
            "discoverySelectors: [{matchExpressions: [{key: a, operator: In}]}]",
            "discoverySelectors[0].matchExpressions[0].values",
            "is required with In",
        ),
        (
            "discoverySelectors: [{matchExpressions: [{key: a, operator: Exists, values: [b]}]}]",
            "discoverySelectors[0].matchExpressions[0].values",
            "has no meaning with Exists",
        ),
        (
            "serviceEntryVisibility: {policies: [{matchingRules: [{}]}]}",
            "serviceEntryVisibility.policies[0].matchingRules[0]",
            "matches nothing",
        ),
        ("extensionProviders: [{name: a}]", "extensionProviders[3]", "has no provider"),
        (
            "extensionProviders: [{name: a, prometheus: {}, stackdriver: {}}]",
            "extensionProviders[0]",
            "stackdriver, prometheus exclude each other",
        ),
        (
            "extensionProviders: [{name: a, zipkin: {service: 'a b', port: 1}}]",
            "extensionProviders[3].zipkin.service",
            "'a b' is no host",
        ),
        (
            "extensionProviders: [{name: a, zipkin: {service: ns/a, port: 1}}]",
            "extensionProviders[3].zipkin.service",
            "'a' is a short name",
        ),
        (
            "extensionProviders: [{name: a, zipkin: {service: a.b}}]",
            "extensionProviders[0].zipkin.port",
            "is required",
        ),
        (
            "extensionProviders: [{name: a, lightstep: {service: a.b, port: 1}}]",
            "extensionProviders[0].lightstep.accessToken",
            "is required",
        ),
        (
            _provider("envoyExtAuthzHttp: {service: a.b, port: 1, pathPrefix: check}"),
            "extensionProviders[3].envoyExtAuthzHttp.pathPrefix",
            "must begin with /",
        ),
        (
            _provider("envoyExtAuthzGrpc: {service: a.b, port: 1, statusOnError: '600'}"),
            "extensionProviders[3].envoyExtAuthzGrpc.statusOnError",
            "must be an HTTP status like 503",
        ),
        (
            _provider("opentelemetry: {service: a.b, port: 1, http: {}, grpc: {}}"),
            "extensionProviders[3].opentelemetry",
            "http, grpc exclude each other",
        ),
        (
            _provider(
                "zipkin: {service: a.b, port: 1, headers: [{name: a, value: b, envName: C}]}"
            ),
            "extensionProviders[0].zipkin.headers[0]",
            "value, envName exclude each other",
        ),
    ],
)
def test_refused(text: str, path: str, reason: str) -> None:
    result, problems = apply(yaml.safe_load(text))
    (problem,) = (one for one in problems if not one.warning)
    assert result is None
    assert problem.path == path
    assert problem.reason.startswith(reason)


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("configPath: ''", "configPath", "must not be empty"),
        ("serviceCluster: ''", "serviceCluster", "must not be empty"),
        ("drainDuration: 0s", "drainDuration", "must be at least 1ms"),
        ("drainDuration: 1.5s", "drainDuration", "must be whole seconds"),
        ("terminationDrainDuration: -1s", "terminationDrainDuration", "must not be negative"),
        ("discoveryAddress: ''", "discoveryAddress", "must not be empty"),
        ("discoveryAddress: istiod", "discoveryAddress", "must be HOST:PORT, is 'istiod'"),
        ("discoveryAddress: istiod:99999", "discoveryAddress", "must be HOST:PORT"),
        ("statsdUdpAddress: 'a b:1'", "statsdUdpAddress", "must be HOST:PORT"),
        ("envoyMetricsService: {address: a}", "envoyMetricsService.address", "must be HOST:PORT"),
        ("proxyAdminPort: 0", "proxyAdminPort", "must be a port from 1 to 65535"),
        ("concurrency: -1", "concurrency", "must not be negative"),
        ("controlPlaneAuthPolicy: INHERIT", "controlPlaneAuthPolicy", "must be NONE or MUTUAL"),
        ("tracing: {zipkin: {}}", "tracing.zipkin.address", "must not be empty"),
        ("tracing: {datadog: {address: a}}", "tracing.datadog.address", "must be HOST:PORT"),
        (
            "tracing: {lightstep: {address: 'a:1'}}",
            "tracing.lightstep.accessToken",
            "is required",
        ),
        (
            "tracing: {zipkin: {}, datadog: {}}",
            "tracing",
            "zipkin, datadog exclude each other",
        ),
        ("tracing: {sampling: 101}", "tracing.sampling", "must be from 0 to 100"),
        (
            "tracing: {tlsSettings: {mode: MUTUAL, clientCertificate: a}}",
            "tracing.tlsSettings.privateKey",
            "is required by MUTUAL",
        ),
        ("privateKeyProvider: {}", "privateKeyProvider", "is empty"),
        ("privateKeyProvider: {qat: {}}", "privateKeyProvider.qat.pollDelay", "is required"),
        (
            "connectionSettings: {httpIdleTimeout: -1s}",
            "connectionSettings.httpIdleTimeout",
            "must not be negative",
        ),
        (
            "connectionSettings: {listenerConnectionLimit: 0}",
            "connectionSettings.listenerConnectionLimit",
            "must be 1 or more",
        ),
        (
            "connectionSettings: {http2InitialStreamWindowSize: 1000}",
            "connectionSettings.http2InitialStreamWindowSize",
            "must be 65535 at least",
        ),
    ],
)
def test_refused_proxies(text: str, path: str, reason: str) -> None:
    result, problems = apply({"defaultConfig": yaml.safe_load(text)})
    assert result is None
    (problem,) = problems
    assert problem.path == f"defaultConfig.{path}"
    assert problem.reason.startswith(reason)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("tlsDefaults: {ecdhCurves: [P-256, P-256]}", "tlsDefaults.ecdhCurves[1]"),
        (
            "defaultConfig: {proxyMetadata: {ISTIO_META_DNS_AUTO_ALLOCATE: 'true'}}",
            "defaultConfig.proxyMetadata.ISTIO_META_DNS_AUTO_ALLOCATE",
        ),
        (
            "defaultInboundHttpRetryPolicy: {attempts: 1, perTryTimeout: 1s}",
            "defaultInboundHttpRetryPolicy.perTryTimeout",
        ),
    ],
)
def test_warnings(text: str, path: str) -> None:
    result, (problem,) = apply(yaml.safe_load(text))
    assert result is not None
    assert problem.warning
    assert problem.path == path
