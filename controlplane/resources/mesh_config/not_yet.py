"""Fields of MeshConfig without effect yet."""

from __future__ import annotations

from controlplane.resources.not_yet import NotYet

_NO_INJECTION = "sidecars are not injected; whoever starts one says it (`mesh run --help`)"
_NO_BOOTSTRAP = "the agent's bootstrap says nothing of it"
_NO_SPANS = "spans follow Telemetry and `defaultProviders`"
_NO_INGRESS = "there is no Ingress"
_NEVER = "Istio does not act on it either"
_LOCALITIES = "localities count as localityLbSetting says"

_DEFAULT_CONFIG = (
    ("configPath", _NO_INJECTION),
    ("binaryPath", _NO_INJECTION),
    (
        "discoveryAddress",
        "a join file (`mesh token create --control`) says where the control plane is",
    ),
    ("discoveryRefreshDelay", _NEVER),
    ("controlPlaneAuthPolicy", "sidecars and the control plane speak mutual TLS always"),
    ("zipkinAddress", _NO_SPANS),
    ("statsdUdpAddress", _NO_BOOTSTRAP),
    ("envoyMetricsServiceAddress", _NO_BOOTSTRAP),
    ("envoyMetricsService", _NO_BOOTSTRAP),
    ("envoyAccessLogService", "logs go where Telemetry and `accessLogFile` say"),
    ("availabilityZone", "the node says where it is"),
    ("customConfigFile", _NO_INJECTION),
    ("proxyBootstrapTemplatePath", _NO_BOOTSTRAP),
    ("statNameLength", _NO_BOOTSTRAP),
    ("interceptionMode", "the node says how connections get to it"),
    ("tracing.zipkin", _NO_SPANS),
    ("tracing.lightstep", _NO_SPANS),
    ("tracing.datadog", _NO_SPANS),
    ("tracing.stackdriver", _NO_SPANS),
    ("tracing.openCensusAgent", _NO_SPANS),
    ("tracing.tlsSettings", _NO_SPANS),
    ("tracing.customTags", "spans have the tags that Telemetry gives them"),
    ("tracing.enableIstioTags", "spans have the tags that Telemetry gives them"),
    ("sds", _NEVER),
    ("runtimeValues", _NO_BOOTSTRAP),
    ("extraStatTags", _NO_BOOTSTRAP),
    ("proxyStatsMatcher", "all statistics are kept"),
    ("caCertificatesPem", "workloads trust the mesh's own roots"),
    ("image", _NO_INJECTION),
    ("privateKeyProvider", "keys are used by the sidecar itself"),
    ("proxyHeaders.metadataExchangeHeaders", "no metadata is exchanged in headers"),
    ("fileFlushMinSizeKb", _NO_BOOTSTRAP),
    ("statsCompression", "the admin port answers without compression"),
    ("connectionSettings.clusterPerConnectionBufferLimitBytes", _NEVER),
    ("connectionSettings.listenerConnectionLimit", _NEVER),
    ("connectionSettings.globalDownstreamConnectionLimit", _NEVER),
)

#: Of `defaultConfig` by itself, as the annotation of a pod has it.
OF_PROXY = tuple(NotYet(field, instead) for field, instead in _DEFAULT_CONFIG)

TABLE = (
    *(NotYet(f"defaultConfig.{field}", instead) for field, instead in _DEFAULT_CONFIG),
    NotYet("hboneIdleTimeout", "there is no HBONE"),
    NotYet("ingressClass", _NO_INGRESS),
    NotYet("ingressService", _NO_INGRESS),
    NotYet("ingressControllerMode", _NO_INGRESS),
    NotYet("ingressSelector", _NO_INGRESS),
    NotYet("enableTracing", _NO_SPANS, only=(False,)),
    NotYet("enableEnvoyAccessLogService", "logs go where Telemetry and `accessLogFile` say"),
    NotYet(
        "outboundTrafficPolicy.mode",
        "as ALLOW_ANY: connections go on to the address that was meant",
        only=("ALLOW_ANY_DYNAMIC_DNS",),
    ),
    NotYet("outboundTrafficPolicy.tls", "it is for ALLOW_ANY_DYNAMIC_DNS, which is as ALLOW_ANY"),
    NotYet("configSources", "configuration comes from the folder and from `mesh apply`"),
    NotYet("caCertificates", "workloads trust the mesh's own roots"),
    NotYet("zoneAwareLbSetting", _LOCALITIES),
    NotYet("certificates", _NEVER),
    NotYet("serviceScopeConfigs", "it is for ambient meshes, which there are none of"),
    NotYet("enablePrometheusMerge", "programs are asked for their metrics themselves"),
    NotYet("verifyCertificateAtClient", _NEVER),
    NotYet("ca", "the control plane signs certificates itself"),
    *(
        NotYet(f"extensionProviders[].{provider}", "nothing is reported to it")
        for provider in ("lightstep", "stackdriver", "opencensus")
    ),
    NotYet("extensionProviders[].sds", "gateways get their Secrets from the control plane"),
    NotYet("extensionProviders[].skywalking.accessToken", "spans are sent without a token"),
    NotYet(
        "extensionProviders[].opentelemetry.resourceDetectors.dynatrace",
        "spans have the resource of the environment",
    ),
    NotYet(
        "extensionProviders[].opentelemetry.dynatraceSampler",
        "spans are sampled as Telemetry says",
    ),
    NotYet(
        "defaultTrafficPolicy.outlierDetection.failurePercentageThreshold",
        "errors in a row count, not their share, as in Istio",
    ),
    NotYet("serviceEntryVisibility", "ServiceEntries are seen as their exportTo says"),
)
