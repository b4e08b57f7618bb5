"""DestinationRules that begin TLS and verify nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found, full_name
from controlplane.resources.common.tls import ClientTLSSettings
from controlplane.resources.resource import Resource


def _run(collection: Collection) -> Iterator[Finding]:
    for one in collection.of("DestinationRule"):
        policy = one.spec.traffic_policy
        if policy is None:
            continue
        if _verifies_nobody(policy.tls, one):
            yield found(
                codes.NO_SERVER_VERIFICATION,
                one.key,
                "spec.trafficPolicy.tls.mode",
                name=full_name(one.key),
                namespace=one.namespace,
                mode=policy.tls.mode,
                host=one.spec.host,
            )
        for index, settings in enumerate(policy.port_level_settings):
            if _verifies_nobody(settings.tls, one):
                yield found(
                    codes.NO_SERVER_VERIFICATION_PORT,
                    one.key,
                    f"spec.trafficPolicy.portLevelSettings[{index}].tls.mode",
                    name=full_name(one.key),
                    namespace=one.namespace,
                    mode=settings.tls.mode,
                    host=one.spec.host,
                    port=settings.port.number if settings.port is not None else 0,
                )


def _verifies_nobody(tls: ClientTLSSettings | None, rule: Resource[Any]) -> bool:
    if tls is None or tls.mode not in {"SIMPLE", "MUTUAL"} or tls.ca_certificates:
        return False
    # A credential may hold the CA; sidecars read it where the rule says for which of them it is.
    return not (tls.credential_name and rule.spec.workload_selector is not None)


ANALYZER = Analyzer(
    name="destinationrule.CaCertificateAnalyzer",
    description="DestinationRules that begin TLS and verify nobody",
    codes=(codes.NO_SERVER_VERIFICATION, codes.NO_SERVER_VERIFICATION_PORT),
    run=_run,
)
