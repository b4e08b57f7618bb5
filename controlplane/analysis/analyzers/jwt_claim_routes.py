"""Routes by the claims of tokens that nobody verifies."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found, full_name
from controlplane.analysis.gateway_hosts import reference
from controlplane.analysis.workloads import Workload, indexed, matches
from controlplane.resources.rules.http_headers import is_claim
from controlplane.resources.schema import below
from controlplane.resources.virtual_service.schema import VirtualService


def _run(collection: Collection) -> Iterator[Finding]:
    all_workloads = indexed(collection)
    for one in collection.of("VirtualService"):
        claim = next(_claims(one.spec), None)
        for name in one.spec.gateways if claim is not None else ():
            path, name_of_claim = claim or ("", "")
            gateway = collection.find("Gateway", *reference(name, one.namespace))
            if gateway is None:
                continue  # `mesh`, or told elsewhere.
            for workload in all_workloads.selected(gateway.spec.selector):
                if not _verified(workload, collection):
                    yield found(
                        codes.JWT_ROUTE_WITHOUT_AUTHENTICATION,
                        one.key,
                        path,
                        claim=name_of_claim,
                        gateway=full_name(gateway.key),
                        workload=workload.name,
                    )


def _claims(spec: VirtualService) -> Iterator[tuple[str, str]]:
    """Matches by claims, with their paths."""
    for index, route in enumerate(spec.http):
        for place, match in enumerate(route.match):
            for field, headers in (
                ("headers", match.headers),
                ("withoutHeaders", match.without_headers),
            ):
                for name in headers:
                    if is_claim(name):
                        at = f"spec.http[{index}].match[{place}].{field}"
                        yield below(at, name), name


def _verified(workload: Workload, collection: Collection) -> bool:
    """Whether a RequestAuthentication is for it."""
    for one in collection.of("RequestAuthentication"):
        if one.namespace not in {workload.namespace, collection.mesh.root_namespace}:
            continue
        # What it is attached to may be this gateway: nothing is said then.
        if one.spec.target_ref is not None or one.spec.target_refs:
            return True
        selector = one.spec.selector.match_labels if one.spec.selector is not None else {}
        if matches(selector, workload.labels):
            return True
    return False


ANALYZER = Analyzer(
    name="virtualservice.JWTClaimRouteAnalyzer",
    description="Routes by the claims of tokens that nobody verifies",
    codes=(codes.JWT_ROUTE_WITHOUT_AUTHENTICATION,),
    run=_run,
)
