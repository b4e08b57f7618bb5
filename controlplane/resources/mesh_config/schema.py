"""MeshConfig: what holds for the whole mesh.

The defaults are Istio's, so that `MeshConfig()` is a mesh that nobody configured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from controlplane.resources.common.connection_pool import ConnectionPoolSettings, TcpKeepalive
from controlplane.resources.common.load_balancer import (
    LocalityLoadBalancerSetting,
    ZoneAwareLoadBalancerSetting,
)
from controlplane.resources.common.retry import HTTPRetry
from controlplane.resources.common.tls import ClientTLSSettings
from controlplane.resources.common.traffic_policy import OutlierDetection
from controlplane.resources.mesh_config.providers import DEFAULT_PROVIDERS, ExtensionProvider
from controlplane.resources.mesh_config.proxy_config import MeshProxyConfig
from controlplane.resources.schema import OneOf, Port, Range, Seconds

_CONNECT = Seconds(10.0)
_NO_LIMIT = Seconds(0.0)
_DNS_REFRESH = Seconds(60.0)

PathNormalization = Literal["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"]
OutboundMode = Literal["REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS"]
Visibility = Literal["VISIBILITY_UNSPECIFIED", "NONE", "NAMESPACE", "PUBLIC"]


@dataclass(frozen=True, slots=True)
class LabelSelectorRequirement:
    key: str = ""
    operator: Literal["", "In", "NotIn", "Exists", "DoesNotExist"] = ""
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Kubernetes' selector: everything in it must hold; an empty one selects all."""

    match_labels: Mapping[str, str] = field(default_factory=dict)
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


@dataclass(frozen=True, slots=True)
class OutboundTrafficPolicy:
    """What happens to traffic for hosts that the registry does not know."""

    # The enum's zero is REGISTRY_ONLY: so a message without its mode means.
    mode: OutboundMode = "REGISTRY_ONLY"
    #: For ALLOW_ANY_DYNAMIC_DNS.
    tls: ClientTLSSettings | None = None


@dataclass(frozen=True, slots=True)
class InboundTrafficPolicy:
    mode: Literal["PASSTHROUGH", "LOCALHOST"] = "PASSTHROUGH"


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Another place that configuration comes from: `fs:///`, `xds://`, `k8s://`."""

    address: str = ""
    tls_settings: ClientTLSSettings | None = None
    subscribed_resources: tuple[Literal["SERVICE_REGISTRY"], ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateData:
    """A root that workloads trust besides the mesh's own."""

    pem: str | None = None
    spiffe_bundle_url: str | None = None
    cert_signers: tuple[str, ...] = ()
    trust_domains: tuple[str, ...] = ()

    ONE_OF: ClassVar[OneOf] = (("pem", "spiffe_bundle_url"),)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Deprecated, without effect."""

    secret_name: str = ""
    dns_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    #: Endpoints of other clusters are left out.
    cluster_local: bool = False


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    settings: Settings | None = None
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceScopeConfigs:
    namespace_selector: LabelSelector | None = None
    services_selector: LabelSelector | None = None
    scope: Literal["LOCAL", "GLOBAL"] = "LOCAL"


@dataclass(frozen=True, slots=True)
class CA:
    """A certificate authority elsewhere."""

    address: str = ""
    tls_settings: ClientTLSSettings | None = None
    request_timeout: Seconds | None = None
    istiod_side: bool = False


@dataclass(frozen=True, slots=True)
class DefaultProviders:
    """Providers for workloads without a Telemetry that names any."""

    tracing: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    access_logging: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProxyPathNormalization:
    normalization: Literal[
        "DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"
    ] = "DEFAULT"


@dataclass(frozen=True, slots=True)
class TLSConfig:
    min_protocol_version: Literal["TLS_AUTO", "TLSV1_2", "TLSV1_3"] = "TLS_AUTO"
    ecdh_curves: tuple[str, ...] = ()
    cipher_suites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DefaultTrafficPolicy:
    """What DestinationRules begin with."""

    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None


@dataclass(frozen=True, slots=True)
class MatchRule:
    namespace_selector: LabelSelector | None = None


@dataclass(frozen=True, slots=True)
class VisibilityPolicy:
    visibility: Visibility = "VISIBILITY_UNSPECIFIED"
    matching_rules: tuple[MatchRule, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceEntryVisibility:
    """Who may see the ServiceEntries of whom."""

    default_visibility: Visibility = "VISIBILITY_UNSPECIFIED"
    apply_to_sidecars: bool = False
    policies: tuple[VisibilityPolicy, ...] = ()


@dataclass(frozen=True, slots=True)
class MeshConfig:
    proxy_listen_port: Port = 15001
    proxy_inbound_listen_port: Port = 15006
    #: 0 is none.
    proxy_http_port: Annotated[int, Range(0, 65535)] = 0
    connect_timeout: Seconds = _CONNECT
    hbone_idle_timeout: Seconds | None = None
    #: 0 waits for ever.
    protocol_detection_timeout: Seconds = _NO_LIMIT
    tcp_keepalive: TcpKeepalive | None = None
    ingress_class: str = "istio"
    ingress_service: str = "istio-ingressgateway"
    ingress_controller_mode: Literal["UNSPECIFIED", "OFF", "DEFAULT", "STRICT"] = "STRICT"
    ingress_selector: str = ""
    enable_tracing: bool = True
    #: "" is none.
    access_log_file: str = ""
    access_log_format: str = ""
    access_log_encoding: Literal["TEXT", "JSON"] = "TEXT"
    enable_envoy_access_log_service: bool = False
    disable_envoy_listener_log: bool = False
    default_config: MeshProxyConfig = field(default_factory=MeshProxyConfig)
    outbound_traffic_policy: OutboundTrafficPolicy = field(
        default_factory=lambda: OutboundTrafficPolicy("ALLOW_ANY")
    )
    inbound_traffic_policy: InboundTrafficPolicy = field(default_factory=InboundTrafficPolicy)
    config_sources: tuple[ConfigSource, ...] = ()
    enable_auto_mtls: bool = True
    trust_domain: str = "cluster.local"
    trust_domain_aliases: tuple[str, ...] = ()
    ca_certificates: tuple[CertificateData, ...] = ()
    default_service_export_to: tuple[str, ...] = ("*",)
    default_virtual_service_export_to: tuple[str, ...] = ("*",)
    default_destination_rule_export_to: tuple[str, ...] = ("*",)
    root_namespace: str = "istio-system"
    locality_lb_setting: LocalityLoadBalancerSetting = field(
        default_factory=lambda: LocalityLoadBalancerSetting(enabled=True)
    )
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = None
    dns_refresh_rate: Seconds = _DNS_REFRESH
    h2_upgrade_policy: Literal["DO_NOT_UPGRADE", "UPGRADE"] = "DO_NOT_UPGRADE"
    inbound_cluster_stat_name: str = ""
    outbound_cluster_stat_name: str = ""
    #: Deprecated, without effect.
    certificates: tuple[Certificate, ...] = ()
    service_settings: tuple[ServiceSettings, ...] = ()
    service_scope_configs: tuple[ServiceScopeConfigs, ...] = ()
    enable_prometheus_merge: bool = True
    #: Deprecated, without effect.
    verify_certificate_at_client: bool | None = None
    ca: CA | None = None
    extension_providers: tuple[ExtensionProvider, ...] = DEFAULT_PROVIDERS
    default_providers: DefaultProviders = field(default_factory=DefaultProviders)
    #: Namespaces that the mesh knows; none is all.
    discovery_selectors: tuple[LabelSelector, ...] = ()
    path_normalization: ProxyPathNormalization | None = None
    default_http_retry_policy: HTTPRetry | None = None
    default_inbound_http_retry_policy: HTTPRetry | None = None
    mesh_mtls: TLSConfig | None = field(
        default=None, metadata={"name": "meshMTLS", "also": "mesh_mTLS"}
    )
    tls_defaults: TLSConfig | None = None
    default_traffic_policy: DefaultTrafficPolicy | None = None
    service_entry_visibility: ServiceEntryVisibility | None = None
