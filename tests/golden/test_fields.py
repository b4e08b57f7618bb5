"""No field is read for nothing: what the golden files are made of asks for every field of every
kind, but for those that a `not_yet.py` tells of, and those below, each with the reason.

Attributes are watched while the cases are translated. Whoever adds a field adds it to a case.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from controlplane.resources import mesh_config
from controlplane.resources.kinds import KINDS
from tests.golden.test_translation import CASES
from tests.support import meshes, translated
from tests.support.our_paths import dataclasses_in, paths, plain

_SCHEMAS: dict[str, tuple[type[Any], str, list[str]]] = {
    **{one.name: (one.spec, one.body, [plain(row.path) for row in one.not_yet])
       for one in KINDS.values()},
    "MeshConfig": (mesh_config.MeshConfig, "", [plain(row.path) for row in mesh_config.NOT_YET]),
}  # fmt: skip

#: What no golden file can show, by kind: why, or which test does. What is below goes with it.
_APART: dict[str, dict[str, str]] = {
    "ConfigMap": {
        "data": "MeshConfig: read by `tests.support.meshes`; roots: translation/test_secrets.py",
        "binaryData": "MeshConfig is a text",
    },
    "Deployment": {
        "spec": "analysis",
    },
    "EndpointSlice": {
        "endpoints.hints": "for kube-proxy; Istio does not read them either",
        "endpoints.hostname": "of DNS, which Kubernetes answers",
        "ports.protocol": "the service's port says it",
        "ports.appProtocol": "the service's port says it",
    },
    "Endpoints": {
        "subsets.notReadyAddresses": "are not used, as in Istio",
        "subsets.addresses.hostname": "of DNS, which Kubernetes answers",
        "subsets.ports.protocol": "the service's port says it",
        "subsets.ports.appProtocol": "the service's port says it",
    },
    "EnvoyFilter": {"spec.configPatches.match.waypoint": "goes with the context WAYPOINT"},
    "Gateway": {
        "spec.servers.port.targetPort": "deprecated, without effect in Istio; refused or warned of",
    },
    "MeshConfig": {
        "discoverySelectors": "before translation: sources/test_discovered.py",
        **dict.fromkeys(
            (
                "defaultConfig.concurrency",
                "defaultConfig.drainDuration",
                "defaultConfig.fileFlushInterval",
                "defaultConfig.holdApplicationUntilProxyStarts",
                "defaultConfig.proxyAdminPort",
                "defaultConfig.proxyMetadata",
                "defaultConfig.readinessProbe",
                "defaultConfig.serviceCluster",
                "defaultConfig.statusPort",
                "defaultConfig.terminationDrainDuration",
                "defaultConfig.tracingServiceName",
            ),
            "of the agent: agent/test_settings.py, integration/test_agent.py",
        ),
    },
    "Node": {"status": "addresses of gateways behind NodePorts, with MeshNetworks"},
    "Pod": {
        "metadata.generateName": "analysis",
        "metadata.ownerReferences": "analysis",
        "spec.containers.name": "analysis",
        "spec.containers.image": "analysis",
        "spec.containers.env": "analysis",
        "spec.containers.securityContext": "analysis",
        "spec.containers.ports.protocol": "analysis",
        "spec.initContainers": "analysis",
        "spec.hostNetwork": "analysis",
        "spec.hostname": "of DNS, which Kubernetes answers",
        "spec.subdomain": "of DNS, which Kubernetes answers",
        "spec.securityContext": "analysis",
        "status.podIPs": "the first one counts, as in Istio",
        "status.hostIP": "of the node",
    },
    "ProxyConfig": {"spec": "of the agent: proxy_config/test_select.py"},
    "Secret": {"": "not shown: translation/test_secrets.py"},
    "Service": {
        "spec.ports.nodePort": "of kube-proxy",
        "spec.loadBalancerIP": "of the cloud",
        "spec.externalTrafficPolicy": "of kube-proxy",
        "status": "addresses of gateways, with MeshNetworks",
    },
    "Sidecar": {
        "spec.ingress.port.name": "a name for people",
        "spec.ingress.port.targetPort": "refused",
        "spec.ingress.tls.tlsCertificates.caCertificates": "refused",
        "spec.egress.port.name": "a name for people",
        "spec.egress.port.targetPort": "refused",
    },
    "TrafficExtension": {"spec": "of what does not run"},
    "WasmPlugin": {"spec": "of what does not run"},
    "WorkloadGroup": {
        "spec": "makes nothing; the probe is the agent's: proxy_config/test_select.py"
    },
}

#: Code that reads a field without acting on it.
_JUST_LOOKS = (
    "/resources/rules/",
    "/resources/mesh_config/",
    "/analysis/",
    "/commands/",
    "/schema.py",
    "/validate",
)


@pytest.fixture(scope="module")
def read() -> Iterator[set[tuple[type[Any], str]]]:
    """Which attributes of which classes translating all cases has asked for."""
    found: set[tuple[type[Any], str]] = set()
    with pytest.MonkeyPatch.context() as patching:
        for cls in {cls for spec, _, _ in _SCHEMAS.values() for cls in dataclasses_in(spec)}:
            patching.setattr(cls, "__getattribute__", _watched(cls, found))
        for case in CASES:
            translated.everything(
                meshes.world((case / "mesh.yaml").read_text()),
                meshes.proxy((case / "proxy.yaml").read_text()),
            )
    yield found


def _watched(cls: type[Any], found: set[tuple[type[Any], str]]) -> Any:
    names = {one.name for one in dataclasses.fields(cls)}

    def getattribute(self: Any, name: str) -> Any:
        if name in names and (cls, name) not in found:
            file = sys._getframe(1).f_code.co_filename
            if "/controlplane/" in file and not any(one in file for one in _JUST_LOOKS):
                found.add((cls, name))
        return object.__getattribute__(self, name)

    return getattribute


@pytest.mark.parametrize("kind", sorted(_SCHEMAS))
def test_every_field_has_an_effect(kind: str, read: set[tuple[type[Any], str]]) -> None:
    spec, body, not_yet = _SCHEMAS[kind]
    apart = [*not_yet, *_APART.get(kind, ())]
    unread = [
        path
        for path, cls, name in ((_joined(body, path), cls, name) for path, cls, name in paths(spec))
        if (cls, name) not in read and not any(_is_below(path, one) for one in apart)
    ]
    assert unread == []


@pytest.mark.parametrize("kind", sorted(_APART))
def test_what_stands_apart_is_a_field_that_nothing_reads(
    kind: str, read: set[tuple[type[Any], str]]
) -> None:
    spec, body, _ = _SCHEMAS[kind]
    unread = {_joined(body, path) for path, cls, name in paths(spec) if (cls, name) not in read}
    assert [one for one in _APART[kind] if not any(_is_below(path, one) for path in unread)] == []


def _is_below(path: str, above: str) -> bool:
    return above in {"", path} or path.startswith(f"{above}.")


def _joined(above: str, path: str) -> str:
    return f"{above}.{path}" if above else path
