"""Rules of MeshConfig beyond types."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from controlplane.problem import Problem, shown
from controlplane.resources.common.load_balancer import LoadBalancerSettings
from controlplane.resources.mesh_config.schema import (
    LabelSelector,
    MeshConfig,
    OutboundTrafficPolicy,
)
from controlplane.resources.mesh_config.validate_providers import validate_providers
from controlplane.resources.mesh_config.validate_proxy import validate_proxy
from controlplane.resources.rules import (
    load_balancing,
    names,
    numbers,
    retries,
    tls,
    traffic_policy,
)
from controlplane.resources.schema import Seconds, below

_LONGEST_CONNECT = 3600.0

#: What BoringSSL knows.
_CURVES = frozenset(
    {
        "P-224",
        "P-256",
        "P-384",
        "P-521",
        "X25519",
        "X25519Kyber768Draft00",
        "X25519MLKEM768",
    }
)


def validate(spec: MeshConfig, path: str = "") -> Iterator[Problem]:
    """`path` is where the text's values stand: "" for a file that is nothing else."""
    yield from _durations(spec, path)
    yield from validate_proxy(spec.default_config, below(path, "defaultConfig"))
    yield from _localities(spec, path)
    yield from _trust(spec, path)
    for index, settings in enumerate(spec.service_settings):
        for place, host in enumerate(settings.hosts):
            at = f"{below(path, 'serviceSettings')}[{index}].hosts[{place}]"
            yield from names.wildcard_domain(host, at)
    for name, values in (
        ("defaultServiceExportTo", spec.default_service_export_to),
        ("defaultVirtualServiceExportTo", spec.default_virtual_service_export_to),
        ("defaultDestinationRuleExportTo", spec.default_destination_rule_export_to),
    ):
        yield from names.export_to(values, below(path, name), spec.root_namespace)
    yield from names.dns_label(spec.root_namespace, below(path, "rootNamespace"), "a namespace")
    yield from validate_providers(spec.extension_providers, below(path, "extensionProviders"))
    yield from _tls(spec, path)
    yield from _outbound(spec.outbound_traffic_policy, below(path, "outboundTrafficPolicy"))
    yield from _policies(spec, path)
    for index, selector in enumerate(spec.discovery_selectors):
        yield from _selector(selector, f"{below(path, 'discoverySelectors')}[{index}]")
    yield from _scopes(spec, path)
    yield from _reported(spec, below(path, "defaultProviders"))


def _reported(spec: MeshConfig, path: str) -> Iterator[Problem]:
    """What sidecars of ours are not sent, because they do not have it."""
    elsewhere = "sidecars of ours (`mesh proxy`) serve without it yet; Envoys have it"
    if spec.default_providers.tracing:
        yield Problem(f"{path}.tracing", f"reports spans: {elsewhere}", warning=True)
    known = {one.name.lower(): one for one in spec.extension_providers}
    for index, name in enumerate(spec.default_providers.access_logging):
        one = known.get(name.lower())
        if one is not None and (one.envoy_http_als or one.envoy_tcp_als or one.envoy_otel_als):
            reason = f"sends access logs elsewhere: {elsewhere}"
            yield Problem(f"{path}.accessLogging[{index}]", reason, warning=True)


def _durations(spec: MeshConfig, path: str) -> Iterator[Problem]:
    at = below(path, "connectTimeout")
    yield from numbers.duration(spec.connect_timeout, at)
    if spec.connect_timeout > _LONGEST_CONNECT:
        yield Problem(at, f"must be an hour at most, is {spec.connect_timeout:g}s")
    detection = below(path, "protocolDetectionTimeout")
    yield from numbers.duration(spec.protocol_detection_timeout, detection, zero=True)
    for name, duration in (
        ("dnsRefreshRate", spec.dns_refresh_rate),
        ("hboneIdleTimeout", spec.hbone_idle_timeout),
    ):
        yield from _not_negative(duration, below(path, name))


def _not_negative(duration: Seconds | None, path: str) -> Iterator[Problem]:
    if duration is not None and duration < 0:
        yield Problem(path, f"must not be negative, is {duration:g}s")


def _localities(spec: MeshConfig, path: str) -> Iterator[Problem]:
    # Outlier detection is the DestinationRule's business, so nothing is said of it here.
    # Both settings may be there: zone awareness takes precedence.
    for settings in (
        LoadBalancerSettings(locality_lb_setting=spec.locality_lb_setting),
        LoadBalancerSettings(zone_aware_lb_setting=spec.zone_aware_lb_setting),
    ):
        for problem in load_balancing.load_balancer(settings, path, outliers=True):
            yield dataclasses.replace(problem, path=problem.path.removeprefix("."))


def _trust(spec: MeshConfig, path: str) -> Iterator[Problem]:
    yield from trust_domain(spec.trust_domain, below(path, "trustDomain"))
    for index, alias in enumerate(spec.trust_domain_aliases):
        yield from trust_domain(alias, f"{below(path, 'trustDomainAliases')}[{index}]")
    for index, data in enumerate(spec.ca_certificates):
        at = f"{below(path, 'caCertificates')}[{index}]"
        if data.pem is None and data.spiffe_bundle_url is None:
            yield Problem(at, "holds no certificate; give it pem or spiffeBundleUrl")
        for place, domain in enumerate(data.trust_domains):
            yield from trust_domain(domain, f"{at}.trustDomains[{place}]")


def trust_domain(text: str, path: str) -> Iterator[Problem]:
    """Labels of a domain name; unlike there, the last may be a number."""
    labels = text.removesuffix(".").split(".")
    if not all(names.is_dns_label(label) for label in labels):
        yield Problem(path, f"must be a trust domain like cluster.local, is {shown(text)}")


def _tls(spec: MeshConfig, path: str) -> Iterator[Problem]:
    if spec.mesh_mtls is not None and spec.mesh_mtls.ecdh_curves:
        at = below(path, "meshMTLS")
        yield Problem(f"{at}.ecdhCurves", "cannot be set for the mesh's own TLS; use tlsDefaults")
    seen: set[str] = set()
    for index, curve in enumerate(spec.tls_defaults.ecdh_curves if spec.tls_defaults else ()):
        at = f"{below(path, 'tlsDefaults')}.ecdhCurves[{index}]"
        if curve and curve not in _CURVES:
            reason = f"{shown(curve)} is not known and left out; known are "
            yield Problem(at, reason + ", ".join(sorted(_CURVES)), warning=True)
        elif curve in seen:
            yield Problem(at, f"{curve} is there twice; keep one", warning=True)
        seen.add(curve)


def _outbound(policy: OutboundTrafficPolicy, path: str) -> Iterator[Problem]:
    if policy.tls is not None and policy.mode != "ALLOW_ANY_DYNAMIC_DNS":
        yield Problem(f"{path}.tls", "is for the mode ALLOW_ANY_DYNAMIC_DNS only; leave it out")
    yield from tls.client_tls(policy.tls, f"{path}.tls", "")


def _policies(spec: MeshConfig, path: str) -> Iterator[Problem]:
    if spec.default_traffic_policy is not None:
        at = below(path, "defaultTrafficPolicy")
        pool, outliers = (
            spec.default_traffic_policy.connection_pool,
            spec.default_traffic_policy.outlier_detection,
        )
        yield from traffic_policy.connection_pool(pool, f"{at}.connectionPool")
        yield from traffic_policy.outlier_detection(outliers, f"{at}.outlierDetection")
    retry = below(path, "defaultHttpRetryPolicy")
    yield from retries.retries(spec.default_http_retry_policy, retry)
    inbound, at = (
        spec.default_inbound_http_retry_policy,
        below(path, "defaultInboundHttpRetryPolicy"),
    )
    yield from retries.retries(inbound, at)
    if inbound is None:
        return
    if inbound.attempts == 0 and inbound.backoff is not None:
        yield Problem(f"{at}.backoff", "has no effect with 0 attempts (no retries); remove it")
    for name, value in (
        ("perTryTimeout", inbound.per_try_timeout),
        ("retryRemoteLocalities", inbound.retry_remote_localities),
        ("retryIgnorePreviousHosts", inbound.retry_ignore_previous_hosts),
    ):
        if value is not None:
            reason = "has no effect inbound, where there is one host; remove it"
            yield Problem(f"{at}.{name}", reason, warning=True)


def _scopes(spec: MeshConfig, path: str) -> Iterator[Problem]:
    for index, scope in enumerate(spec.service_scope_configs):
        at = f"{below(path, 'serviceScopeConfigs')}[{index}]"
        for name, selector in (
            ("namespaceSelector", scope.namespace_selector),
            ("servicesSelector", scope.services_selector),
        ):
            if selector is not None:
                yield from _selector(selector, f"{at}.{name}")
    if spec.service_entry_visibility is None:
        return
    policies = below(path, "serviceEntryVisibility") + ".policies"
    for index, policy in enumerate(spec.service_entry_visibility.policies):
        for place, rule in enumerate(policy.matching_rules):
            at = f"{policies}[{index}].matchingRules[{place}]"
            if rule.namespace_selector is None:
                yield Problem(at, "matches nothing; give it a namespaceSelector")
            else:
                yield from _selector(rule.namespace_selector, f"{at}.namespaceSelector")


def _selector(selector: LabelSelector, path: str) -> Iterator[Problem]:
    """Kubernetes' rules of selectors."""
    for index, one in enumerate(selector.match_expressions):
        at = f"{path}.matchExpressions[{index}]"
        if not one.key:
            yield Problem(f"{at}.key", "is required")
        if not one.operator:
            yield Problem(f"{at}.operator", "must be one of In, NotIn, Exists, DoesNotExist")
        elif one.operator in {"In", "NotIn"} and not one.values:
            yield Problem(f"{at}.values", f"is required with {one.operator}")
        elif one.operator in {"Exists", "DoesNotExist"} and one.values:
            yield Problem(f"{at}.values", f"has no meaning with {one.operator}; leave it out")
