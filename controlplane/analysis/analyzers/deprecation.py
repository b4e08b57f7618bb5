"""Fields and kinds that are on their way out, or gone."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found

#: Kinds that Istio had.
_GONE = frozenset(
    {
        ("rbac.istio.io", "ClusterRbacConfig"),
        ("rbac.istio.io", "RbacConfig"),
        ("rbac.istio.io", "ServiceRole"),
        ("rbac.istio.io", "ServiceRoleBinding"),
    }
)


def _run(collection: Collection) -> Iterator[Finding]:
    for one in collection.of("VirtualService"):
        for index, route in enumerate(one.spec.http):
            delay = route.fault.delay if route.fault is not None else None
            if delay is not None and delay.percent > 0:
                path = f"spec.http[{index}].fault.delay.percent"
                detail = "fault.delay.percent; use fault.delay.percentage"
                yield found(codes.DEPRECATED, one.key, path, detail=detail)
    for one in collection.of("Sidecar"):
        policy = one.spec.outbound_traffic_policy
        if policy is not None and policy.egress_proxy is not None:
            path = "spec.outboundTrafficPolicy.egressProxy"
            detail = "outboundTrafficPolicy.egressProxy has no effect"
            yield found(codes.DEPRECATED, one.key, path, detail=detail)
    for one in collection.of("CustomResourceDefinition"):
        spec = one.spec.get("spec")
        names = spec.get("names") if isinstance(spec, dict) else None
        kind = names.get("kind") if isinstance(names, dict) else None
        if isinstance(spec, dict) and (spec.get("group"), kind) in _GONE:
            detail = f"the kind {kind} of {spec['group']} was removed"
            yield found(codes.DEPRECATED, one.key, detail=detail)


ANALYZER = Analyzer(
    name="deprecation.DeprecationAnalyzer",
    description="Fields and kinds that are deprecated",
    codes=(codes.DEPRECATED,),
    run=_run,
)
