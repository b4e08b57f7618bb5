"""Policies that select the workloads of Kubernetes' Gateways by labels."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.analysis.workloads import matches, workloads

_GATEWAY = "gateway.networking.k8s.io/gateway-name"
_POLICIES = ("AuthorizationPolicy", "RequestAuthentication", "Telemetry", "WasmPlugin")


def _run(collection: Collection) -> Iterator[Finding]:
    gateways = [one for one in workloads(collection) if _GATEWAY in one.labels]
    for kind in _POLICIES if gateways else ():
        for policy in collection.of(kind):
            selector = policy.spec.selector
            if selector is None or policy.spec.target_ref is not None:
                continue
            for one in gateways:
                if one.namespace == policy.namespace and matches(selector.match_labels, one.labels):
                    gateway = one.labels[_GATEWAY]
                    path = "spec.selector"
                    yield found(codes.INEFFECTIVE_SELECTOR, policy.key, path, gateway=gateway)


ANALYZER = Analyzer(
    name="k8sgateway.SelectorAnalyzer",
    description="Policies that select Kubernetes' Gateways by labels",
    codes=(codes.INEFFECTIVE_SELECTOR,),
    run=_run,
)
