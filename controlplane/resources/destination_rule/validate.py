"""Rules of DestinationRule: host, policy, subsets."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.destination_rule.schema import DestinationRule
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import labels, metadata, names
from controlplane.resources.rules.traffic_policy import traffic_policy


def validate(spec: DestinationRule, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    yield from metadata.reserved(meta)
    yield from names.wildcard_domain(spec.host, "spec.host")
    yield from traffic_policy(spec.traffic_policy, "spec.trafficPolicy", meta.namespace)
    seen: dict[str, int] = {}
    for index, subset in enumerate(spec.subsets):
        at = f"spec.subsets[{index}]"
        yield from names.subset_name(subset.name, f"{at}.name")
        if seen.setdefault(subset.name, index) != index:
            reason = f"{subset.name} is the name of subsets[{seen[subset.name]}] as well; rename it"
            yield Problem(f"{at}.name", reason)
        yield from labels.labels(subset.labels, f"{at}.labels")
        yield from traffic_policy(subset.traffic_policy, f"{at}.trafficPolicy", meta.namespace)
    selector = spec.workload_selector
    yield from names.export_to(
        spec.export_to,
        "spec.exportTo",
        meta.namespace,
        this_namespace_only=selector is not None,
    )
    if selector is not None:
        yield from labels.selector(selector.match_labels, "spec.workloadSelector.matchLabels")
