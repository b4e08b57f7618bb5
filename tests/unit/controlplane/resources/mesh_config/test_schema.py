"""Fields of MeshConfig and what they are when nobody says anything."""

from typing import Any

import yaml

from controlplane.resources.mesh_config import MeshConfig, MeshProxyConfig, apply
from controlplane.resources.mesh_config.providers import ExtensionProvider
from controlplane.resources.schema import field_names


def _read(text: str) -> MeshConfig:
    result, problems = apply(yaml.safe_load(text))
    assert [one for one in problems if not one.warning] == []
    assert result is not None
    return result


def test_istios_defaults() -> None:
    mesh = MeshConfig()
    assert (mesh.proxy_listen_port, mesh.proxy_inbound_listen_port) == (15001, 15006)
    assert (mesh.connect_timeout, mesh.protocol_detection_timeout) == (10.0, 0.0)
    assert mesh.outbound_traffic_policy.mode == "ALLOW_ANY"
    assert mesh.inbound_traffic_policy.mode == "PASSTHROUGH"
    assert mesh.locality_lb_setting.enabled is True
    assert (mesh.enable_auto_mtls, mesh.enable_tracing, mesh.enable_prometheus_merge) == (
        True,
        True,
        True,
    )
    assert (mesh.trust_domain, mesh.root_namespace) == ("cluster.local", "istio-system")
    assert mesh.default_service_export_to == ("*",)
    assert mesh.dns_refresh_rate == 60.0
    assert (mesh.ingress_service, mesh.ingress_class) == ("istio-ingressgateway", "istio")
    assert mesh.ingress_controller_mode == "STRICT"
    assert mesh.access_log_file == ""
    assert [(one.name, one.type) for one in mesh.extension_providers] == [
        ("prometheus", "prometheus"),
        ("stackdriver", "stackdriver"),
        ("envoy", "envoy_file_access_log"),
    ]
    proxy = mesh.default_config
    assert (proxy.drain_duration, proxy.termination_drain_duration) == (45.0, 5.0)
    assert (proxy.proxy_admin_port, proxy.status_port) == (15000, 15020)
    assert (proxy.service_cluster, proxy.stat_name_length) == ("istio-proxy", 189)
    assert proxy.discovery_address == "istiod.istio-system.svc:15012"
    assert proxy.concurrency is None


#: Every field of the API, by its name in YAML.
FIELDS = frozenset(
    """
    proxyListenPort proxyInboundListenPort proxyHttpPort connectTimeout hboneIdleTimeout
    protocolDetectionTimeout tcpKeepalive ingressClass ingressService ingressControllerMode
    ingressSelector enableTracing accessLogFile accessLogFormat accessLogEncoding
    enableEnvoyAccessLogService disableEnvoyListenerLog defaultConfig outboundTrafficPolicy
    inboundTrafficPolicy configSources enableAutoMtls trustDomain trustDomainAliases
    caCertificates defaultServiceExportTo defaultVirtualServiceExportTo
    defaultDestinationRuleExportTo rootNamespace localityLbSetting zoneAwareLbSetting
    dnsRefreshRate h2UpgradePolicy inboundClusterStatName outboundClusterStatName certificates
    serviceSettings serviceScopeConfigs enablePrometheusMerge verifyCertificateAtClient ca
    extensionProviders defaultProviders discoverySelectors pathNormalization
    defaultHttpRetryPolicy defaultInboundHttpRetryPolicy meshMTLS tlsDefaults
    defaultTrafficPolicy serviceEntryVisibility
    """.split()
)
PROXY_FIELDS = frozenset(
    """
    configPath binaryPath serviceCluster tracingServiceName drainDuration discoveryAddress
    discoveryRefreshDelay zipkinAddress statsdUdpAddress envoyMetricsServiceAddress
    proxyAdminPort availabilityZone controlPlaneAuthPolicy customConfigFile statNameLength
    concurrency proxyBootstrapTemplatePath interceptionMode tracing sds envoyAccessLogService
    envoyMetricsService proxyMetadata runtimeValues statusPort extraStatTags gatewayTopology
    terminationDrainDuration meshId readinessProbe proxyStatsMatcher
    holdApplicationUntilProxyStarts caCertificatesPem image privateKeyProvider proxyHeaders
    fileFlushInterval fileFlushMinSizeKb statsCompression connectionSettings
    """.split()
)
PROVIDERS = frozenset(
    """
    name envoyExtAuthzHttp envoyExtAuthzGrpc zipkin lightstep datadog stackdriver opencensus
    skywalking opentelemetry prometheus envoyFileAccessLog envoyHttpAls envoyTcpAls envoyOtelAls
    sds
    """.split()
)


def test_there_is_every_field() -> None:
    names: Any = field_names  # a class hashes
    assert set(names(MeshConfig)) == FIELDS | {"mesh_mTLS"}
    assert set(names(MeshProxyConfig)) == PROXY_FIELDS
    assert set(names(ExtensionProvider)) == PROVIDERS


def test_a_config_of_many_fields() -> None:
    mesh = _read(
        """
        accessLogFile: /dev/stdout
        accessLogEncoding: JSON
        outboundTrafficPolicy: {mode: REGISTRY_ONLY}
        connectTimeout: 2s
        caCertificates: [{pem: PEM, certSigners: [a], trustDomains: [other.example]}]
        serviceSettings: [{settings: {clusterLocal: true}, hosts: ["*.ns.svc.cluster.local"]}]
        discoverySelectors:
        - matchLabels: {mesh: "on"}
        - matchExpressions: [{key: env, operator: In, values: [a, b]}]
        pathNormalization: {normalization: DECODE_AND_MERGE_SLASHES}
        meshMTLS: {minProtocolVersion: TLSV1_3}
        tlsDefaults: {ecdhCurves: [X25519], cipherSuites: [AES128-GCM-SHA256]}
        defaultHttpRetryPolicy: {attempts: 3, retryOn: "5xx,reset"}
        defaultTrafficPolicy:
          connectionPool: {tcp: {maxConnections: 100}}
          outlierDetection: {consecutive5xxErrors: 5}
        serviceEntryVisibility:
          defaultVisibility: NAMESPACE
          policies: [{visibility: PUBLIC, matchingRules: [{namespaceSelector: {}}]}]
        serviceScopeConfigs:
        - {namespaceSelector: {matchLabels: {a: b}}, servicesSelector: {}, scope: GLOBAL}
        extensionProviders:
        - name: opa
          envoyExtAuthzGrpc: {service: opa.local, port: 9191, failOpen: true, timeout: 1s}
        - name: authz
          envoyExtAuthzHttp:
            service: ns/authz.ns.svc.cluster.local
            port: 8000
            pathPrefix: /check
            statusOnError: "503"
            includeRequestHeadersInCheck: [x-a]
            includeRequestBodyInCheck: {maxRequestBytes: 1024, allowPartialMessage: true}
        - name: otel
          opentelemetry:
            service: otel.ns.svc.cluster.local
            port: 4317
            grpc: {timeout: 1s, initialMetadata: [{name: authorization, value: secret}]}
        - name: logs
          envoyFileAccessLog: {path: /dev/stderr, logFormat: {labels: {a: "%PROTOCOL%"}}}
        - {name: zip, zipkin: {service: zipkin.ns, port: 9411, enable64bitTraceId: true}}
        - {name: als, envoyHttpAls: {service: als.ns, port: 1, logName: a}}
        - {name: tcp, envoyTcpAls: {service: als.ns, port: 1}}
        - {name: otlp, envoyOtelAls: {service: 10.0.0.1, port: 1, logFormat: {text: a}}}
        - {name: sw, skywalking: {service: sw.ns, port: 1, accessToken: secret}}
        - {name: dd, datadog: {service: dd.ns, port: 1}}
        - {name: keys, sds: {name: a, service: a.ns, port: 1}}
        """
    )
    assert mesh.outbound_traffic_policy.mode == "REGISTRY_ONLY"
    assert (mesh.access_log_file, mesh.access_log_encoding) == ("/dev/stdout", "JSON")
    assert mesh.discovery_selectors[1].match_expressions[0].values == ("a", "b")
    assert mesh.mesh_mtls is not None
    assert mesh.mesh_mtls.min_protocol_version == "TLSV1_3"
    assert [one.type for one in mesh.extension_providers[3:6]] == [
        "envoy_ext_authz_grpc",
        "envoy_ext_authz_http",
        "opentelemetry",
    ]
    # What authenticates us is not shown.
    assert "secret" not in repr(mesh)


def test_a_policy_without_its_mode_is_the_enums_zero() -> None:
    assert _read("outboundTrafficPolicy: {}").outbound_traffic_policy.mode == "REGISTRY_ONLY"


def test_a_proxy_of_many_fields() -> None:
    proxy = _read(
        """
        defaultConfig:
          tracing:
            zipkin: {address: "$(HOST_IP):9411"}
            sampling: 50
            customTags: {a: {header: {name: x, defaultValue: y}}}
          concurrency: 2
          gatewayTopology: {numTrustedProxies: 2, forwardClientCertDetails: SANITIZE_SET}
          proxyStatsMatcher: {inclusionPrefixes: [cluster.]}
          readinessProbe: {httpGet: {port: 80, path: /ready}}
          privateKeyProvider: {cryptomb: {pollDelay: 2ms}}
          connectionSettings: {profile: EDGE, httpMaxConcurrentStreams: 100, httpIdleTimeout: 1h}
          proxyHeaders:
            server: {value: mesh}
            xForwardedHost: {enabled: true}
            metadataExchangeHeaders: {mode: IN_MESH}
          image: {imageType: distroless}
          runtimeValues: {a: "1"}
        """
    ).default_config
    assert proxy.tracing is not None
    assert proxy.tracing.zipkin is not None
    assert proxy.tracing.zipkin.address == "$(HOST_IP):9411"
    assert proxy.connection_settings is not None
    assert proxy.connection_settings.http_idle_timeout == 3600.0
    assert proxy.proxy_headers is not None
    assert proxy.proxy_headers.x_forwarded_host is not None
    assert proxy.proxy_headers.x_forwarded_host.enabled is True
    assert proxy.image is not None
    assert proxy.image.image_type == "distroless"
