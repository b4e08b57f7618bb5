"""Istio's annotations: what they may be written on, and in which phase their feature is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    name: str
    #: Kinds; `Any` is all of them.
    kinds: tuple[str, ...]
    deprecated: bool = False
    alpha: bool = False


#: In the order of the alphabet.
_ALL: tuple[Known, ...] = (
    Known("alpha.istio.io/canonical-serviceaccounts", ("Service",), deprecated=True, alpha=True),
    Known("alpha.istio.io/kubernetes-serviceaccounts", ("Service",), deprecated=True, alpha=True),
    Known("ambient.istio.io/bypass-inbound-capture", ("Pod",), alpha=True),
    Known("ambient.istio.io/dns-capture", ("Pod",), alpha=True),
    Known("ambient.istio.io/redirection", ("Pod",)),
    Known(
        "ambient.istio.io/waypoint-inbound-binding",
        (
            "GatewayClass",
            "Gateway",
        ),
        alpha=True,
    ),
    Known("galley.istio.io/analyze-suppress", ("Any",), alpha=True),
    Known("gateway.istio.io/controller-version", ("Any",), alpha=True),
    Known("gateway.istio.io/name-override", ("Gateway",), alpha=True),
    Known("gateway.istio.io/service-account", ("Gateway",), alpha=True),
    Known("inject.istio.io/templates", ("Pod",), alpha=True),
    Known("istio.io/autoRegistrationGroup", ("WorkloadEntry",), alpha=True),
    Known("istio.io/connectedAt", ("WorkloadEntry",), alpha=True),
    Known("istio.io/disconnectedAt", ("WorkloadEntry",), alpha=True),
    Known("istio.io/dry-run", ("AuthorizationPolicy",), alpha=True),
    Known("istio.io/reroute-virtual-interfaces", ("Pod",), alpha=True),
    Known("istio.io/rev", ("Pod",), alpha=True),
    Known(
        "istio.io/use-waypoint-canary-weight",
        (
            "Service",
            "ServiceEntry",
            "Namespace",
        ),
        alpha=True,
    ),
    Known("istio.io/workloadController", ("WorkloadEntry",), alpha=True),
    Known("kubernetes.io/ingress.class", ("Ingress",)),
    Known("networking.istio.io/exportTo", ("Service",), alpha=True),
    Known("networking.istio.io/service-type", ("Gateway",), alpha=True),
    Known(
        "networking.istio.io/traffic-distribution",
        (
            "Namespace",
            "Service",
            "ServiceEntry",
        ),
        alpha=True,
    ),
    Known("prometheus.istio.io/merge-metrics", ("Pod",), alpha=True),
    Known("proxy.istio.io/config", ("Pod",)),
    Known("proxy.istio.io/overrides", ("Pod",), alpha=True),
    Known("readiness.status.sidecar.istio.io/applicationPorts", ("Pod",), alpha=True),
    Known("readiness.status.sidecar.istio.io/failureThreshold", ("Pod",), alpha=True),
    Known("readiness.status.sidecar.istio.io/initialDelaySeconds", ("Pod",), alpha=True),
    Known("readiness.status.sidecar.istio.io/periodSeconds", ("Pod",), alpha=True),
    Known("sidecar.istio.io/agentLogLevel", ("Pod",), alpha=True),
    Known("sidecar.istio.io/bootstrapOverride", ("Pod",), alpha=True),
    Known("sidecar.istio.io/componentLogLevel", ("Pod",), alpha=True),
    Known("sidecar.istio.io/discoveryAddress", ("Pod",), deprecated=True, alpha=True),
    Known("sidecar.istio.io/extraStatTags", ("Pod",), deprecated=True, alpha=True),
    Known("sidecar.istio.io/inject", ("Pod",), deprecated=True),
    Known("sidecar.istio.io/interceptionMode", ("Pod",), alpha=True),
    Known("sidecar.istio.io/logLevel", ("Pod",), alpha=True),
    Known("sidecar.istio.io/nativeSidecar", ("Pod",), alpha=True),
    Known("sidecar.istio.io/proxyCPU", ("Pod",), alpha=True),
    Known("sidecar.istio.io/proxyCPULimit", ("Pod",), alpha=True),
    Known("sidecar.istio.io/proxyImage", ("Pod",), alpha=True),
    Known("sidecar.istio.io/proxyImageType", ("Pod",), alpha=True),
    Known("sidecar.istio.io/proxyMemory", ("Pod",), alpha=True),
    Known("sidecar.istio.io/proxyMemoryLimit", ("Pod",), alpha=True),
    Known("sidecar.istio.io/rewriteAppHTTPProbers", ("Pod",), alpha=True),
    Known("sidecar.istio.io/statsCompression", ("Pod",), deprecated=True, alpha=True),
    Known("sidecar.istio.io/statsEvictionInterval", ("Pod",), alpha=True),
    Known("sidecar.istio.io/statsFlushInterval", ("Pod",), alpha=True),
    Known("sidecar.istio.io/statsHistogramBins", ("Pod",), alpha=True),
    Known("sidecar.istio.io/statsHistogramBuckets", ("Pod",), alpha=True),
    Known("sidecar.istio.io/statsInclusionPrefixes", ("Pod",), deprecated=True, alpha=True),
    Known("sidecar.istio.io/statsInclusionRegexps", ("Pod",), deprecated=True, alpha=True),
    Known("sidecar.istio.io/statsInclusionSuffixes", ("Pod",), deprecated=True, alpha=True),
    Known("sidecar.istio.io/status", ("Pod",), alpha=True),
    Known("sidecar.istio.io/userVolume", ("Pod",), alpha=True),
    Known("sidecar.istio.io/userVolumeMount", ("Pod",), alpha=True),
    Known("status.sidecar.istio.io/port", ("Pod",), alpha=True),
    Known("topology.istio.io/controlPlaneClusters", ("Namespace",), alpha=True),
    Known("traffic.istio.io/nodeSelector", ("Service",)),
    Known("traffic.sidecar.istio.io/excludeInboundPorts", ("Pod",), alpha=True),
    Known("traffic.sidecar.istio.io/excludeInterfaces", ("Pod",), alpha=True),
    Known("traffic.sidecar.istio.io/excludeOutboundIPRanges", ("Pod",), alpha=True),
    Known("traffic.sidecar.istio.io/excludeOutboundPorts", ("Pod",), alpha=True),
    Known("traffic.sidecar.istio.io/includeInboundPorts", ("Pod",), alpha=True),
    Known("traffic.sidecar.istio.io/includeOutboundIPRanges", ("Pod",), alpha=True),
    Known("traffic.sidecar.istio.io/includeOutboundPorts", ("Pod",), alpha=True),
    Known("traffic.sidecar.istio.io/kubevirtInterfaces", ("Pod",), deprecated=True, alpha=True),
)

ANNOTATIONS: Mapping[str, Known] = {one.name: one for one in _ALL}

#: Written by controllers, not by people.
IGNORED = frozenset(
    {"gateway.istio.io/controller-version", "istio.io/rev", "sidecar.istio.io/status"}
)


def is_istios(name: str) -> bool:
    """Whether Istio would know it, if it is no mistake."""
    return name == "kubernetes.io/ingress.class" or name.partition("/")[0].endswith("istio.io")
