"""Applications that run as the sidecar's user."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.control_plane import is_control_plane
from controlplane.analysis.finding import Finding, found
from controlplane.analysis.workloads import workloads
from controlplane.resources.common.pod import SecurityContext

_SIDECAR = 1337
_ISTIOS_OWN = frozenset({"istio-proxy", "istio-operator"})


def _run(collection: Collection) -> Iterator[Finding]:
    for one in workloads(collection):
        if one.pod is None or is_control_plane(one.resource):
            continue
        if _is_sidecars(one.pod.security_context):
            path = f"{one.path}.securityContext.runAsUser"
            yield found(codes.INVALID_APPLICATION_UID, one.resource.key, path)
        for index, container in enumerate(one.pod.containers):
            if container.name not in _ISTIOS_OWN and _is_sidecars(container.security_context):
                path = f"{one.path}.containers[{index}].securityContext.runAsUser"
                yield found(codes.INVALID_APPLICATION_UID, one.resource.key, path)


def _is_sidecars(context: SecurityContext | None) -> bool:
    return context is not None and context.run_as_user == _SIDECAR


ANALYZER = Analyzer(
    name="applicationUID.Analyzer",
    description="Applications that run as the sidecar's user",
    codes=(codes.INVALID_APPLICATION_UID,),
    run=_run,
)
