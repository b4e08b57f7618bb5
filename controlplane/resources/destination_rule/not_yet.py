"""Fields of DestinationRule without effect yet."""

from __future__ import annotations

from controlplane.resources.not_yet import NotYet

#: Where a policy may stand.
_POLICIES = (
    "spec.trafficPolicy",
    "spec.trafficPolicy.portLevelSettings[]",
    "spec.subsets[].trafficPolicy",
    "spec.subsets[].trafficPolicy.portLevelSettings[]",
)
_OF_POLICY = (
    ("loadBalancer.zoneAwareLbSetting", "localities count as localityLbSetting says"),
    ("loadBalancer.backendUtilization", "hosts are chosen as `simple` says"),
    (
        "outlierDetection.failurePercentageThreshold",
        "errors in a row count, not their share, as in Istio",
    ),
)

TABLE = tuple(
    NotYet(f"{policy}.{field}", instead) for policy in _POLICIES for field, instead in _OF_POLICY
)
