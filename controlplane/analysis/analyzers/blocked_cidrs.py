"""A control plane that may fetch keys from anywhere."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found, full_name

_VARIABLE = "BLOCKED_CIDRS_IN_JWKS_URIS"
_MOST_NAMES = 5


def _run(collection: Collection) -> Iterator[Finding]:
    names = [full_name(one.key) for one in collection.of("RequestAuthentication")]
    if not names:
        return
    said = ", ".join(names[:_MOST_NAMES])
    if len(names) > _MOST_NAMES:
        said += f", and {len(names) - _MOST_NAMES} more"
    for one in collection.of("Deployment"):
        pod = one.spec.template.spec
        if one.labels.get("app") != "istiod" or pod is None:
            continue
        variables = {each.name: each.value for box in pod.containers for each in box.env}
        if not variables.get(_VARIABLE):
            yield found(codes.JWKS_FETCH_UNRESTRICTED, one.key, count=len(names), names=said)


ANALYZER = Analyzer(
    name="authn.BlockedCIDRsAnalyzer",
    description="Whether istiod may fetch keys from anywhere",
    codes=(codes.JWKS_FETCH_UNRESTRICTED,),
    run=_run,
)
