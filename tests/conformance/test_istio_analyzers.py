"""Our analyzers against Istio's own tests of its analyzers: the same files, the same findings;
and its samples.

What is found, on which resource and how often must agree; words and lines are ours.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import NamedTuple

import pytest
import yaml

from controlplane.analysis.analyzers import ALL
from controlplane.analysis.codes import ALL as ALL_CODES
from controlplane.analysis.codes import Level
from controlplane.analysis.load import load
from controlplane.analysis.run import analyze
from controlplane.resources.kinds import KINDS
from controlplane.resources.mesh_config import MeshConfig, apply
from controlplane.sources.document import read
from tests.support.gomodules import ISTIO, go_module

_FOLDER = "pkg/config/analysis/analyzers"

#: Analyzers that we do not have, and why.
_NOT_OURS = {
    "conditions.ConditionAnalyzer": "status is not read of kinds that are ours to judge",
    "injection.ImageAnalyzer": "compares pods that run with the injector's image",
    "k8sgateway.CRDVersionAnalyzer": "there is no API server with CRDs",
    "multicluster.ServiceAnalyzer": "files are one cluster's",
}
_NAMES = {
    "schemaValidation.CollectionValidationAnalyzer": "schema.ValidationAnalyzer.VirtualService",
}
#: Codes that Istio finds and we do not, by the case, and why.
_LEFT_OUT: dict[str, tuple[str, str]] = {
    "gatewayNoWorkload": ("ReferencedResourceNotFound", "no file speaks of workloads"),
    "gatewaySecret": ("ReferencedResourceNotFound", "a name with capitals is refused"),
    "istioInjection": ("PodMissingProxy", "pods of files are not injected yet"),
    "istioInjectionEnableNamespacesByDefault": ("PodMissingProxy", "as above"),
    "virtualServiceDestinationHosts": (
        "ReferencedResourceNotFound VirtualServiceDestinationPortSelectorRequired",
        "a route without destination, a port of the protocol HTTP: Kubernetes refuses both",
    ),
    "virtualServiceGateways": (
        "VirtualServiceHostNotFoundInGateway",
        "a gateway that there is not is told of; that it has none of the hosts follows",
    ),
    "serviceMultipleDeployments": (
        "DeploymentAssociatedToMultipleServices DeploymentConflictingPorts",
        "ports of the protocol HTTP: Kubernetes refuses them",
    ),
    "DestinationRuleWithFakeHost": ("UnknownDestinationRuleHost", "no file speaks of services"),
    "DestinationRuleSubsetsNotSelectPods": (
        "DestinationRuleSubsetNotSelectPods",
        "a subset to which nothing is routed harms nobody",
    ),
    "DestinationRuleEmptyTopologyLabels": ("DestinationRuleSubsetNotSelectPods", "as above"),
}
#: Codes that we find and Istio does not.
_BEYOND: dict[str, tuple[str, str]] = {
    "ServiceEntry Addresses Allocated": (
        "ServiceEntryAddressesRequired",
        "status is not read: addresses are ours to give",
    ),
}


class _Case(NamedTuple):
    name: str
    analyzer: str
    files: tuple[str, ...]
    mesh: str
    networks: str
    expected: Counter[tuple[str, str]]


@cache
def _cases() -> tuple[_Case, ...]:
    source = (go_module(ISTIO) / _FOLDER / "analyzers_test.go").read_text()
    grid = source[
        source.index("var testGrid") : source.index("\n}\n", source.index("var testGrid"))
    ]
    found = []
    for block in grid.split("\n\t{\n")[1:]:
        analyzer = re.search(r"analyzer:\s*&?([\w.]+)", block)
        name = re.search(r'name:\s*"([^"]*)"', block)
        assert analyzer is not None
        assert name is not None
        expected = re.findall(r"\{msg\.(\w+), \"([^\"]+)\"\}", block)
        found.append(
            _Case(
                name[1],
                analyzer[1],
                tuple(re.findall(r'"(testdata/[^"]+)"', _list(block, "inputFiles"))),
                _one(block, "meshConfigFile"),
                _one(block, "meshNetworksFile"),
                Counter((code, _with_namespace(origin)) for code, origin in expected),
            )
        )
    return tuple(found)


def _list(block: str, field: str) -> str:
    match = re.search(rf"{field}:\s*\[\]string\{{(.*?)\}}", block, re.DOTALL)
    return match[1] if match else ""


def _one(block: str, field: str) -> str:
    match = re.search(rf'{field}:\s*"([^"]*)"', block)
    return match[1] if match else ""


def _with_namespace(origin: str) -> str:
    """Where Istio's test leaves out the namespace, it is our default one."""
    kind, name = origin.split(" ")
    whole = kind in {"Namespace", "CustomResourceDefinition"} or kind.endswith("Configuration")
    return origin if whole or "/" in name else f"{kind} default/{name}"


@cache
def _analyzer_names() -> dict[str, str]:
    """Istio's names of its analyzers by their types in Go."""
    names: dict[str, str] = {}
    for file in (go_module(ISTIO) / _FOLDER).glob("*/*.go"):
        text = file.read_text()
        for struct, body in re.findall(
            r"func \(\w*\s*\*(\w+)\) Metadata\(\) analysis\.Metadata \{(.*?)\n\}", text, re.DOTALL
        ):
            name = re.search(r'Name:\s*"([^"]+)"', body)
            if name is not None:
                names[f"{file.parent.name}.{struct}"] = name[1]
    return names


def _mesh(file: str) -> MeshConfig | None:
    if not file:
        return None
    mesh, _ = apply(yaml.safe_load((go_module(ISTIO) / _FOLDER / file).read_text()))
    assert mesh is not None
    return mesh


def _ours(case: _Case) -> Counter[tuple[str, str]]:
    wanted = _NAMES.get(case.analyzer) or _analyzer_names()[case.analyzer]
    (analyzer,) = (one for one in ALL if one.name == wanted)
    folder = go_module(ISTIO) / _FOLDER
    contents = [read((folder / file).read_bytes(), file) for file in case.files]
    if case.networks:
        networks = (folder / case.networks).read_text()
        config_map = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "istio", "namespace": "istio-system"},
            "data": {"meshNetworks": networks},
        }
        contents.append(read(yaml.safe_dump(config_map).encode(), case.networks))
    loaded = load(contents, KINDS, mesh=_mesh(case.mesh))
    findings = analyze(loaded.collection, [analyzer])
    # Istio tells the same words of the same resource once; we tell each place.
    told = {(one.code.name, one.origin, one.message) for one in findings}
    return Counter(
        (code, "MeshNetworks istio-system/meshnetworks" if case.networks else origin)
        for code, origin, _ in told
    )


def _parameters() -> list[object]:
    return [
        pytest.param(case, id=f"{case.analyzer}-{case.name.replace(' ', '_')}")
        for case in _cases()
        if case.analyzer not in _NOT_OURS
    ]


@pytest.mark.parametrize("case", _parameters())
def test_the_same_findings(case: _Case) -> None:
    ours = _ours(case)
    missing, beyond = case.expected - ours, ours - case.expected
    left_out = _LEFT_OUT.get(case.name, ("", ""))[0].split()
    assert {code for code, _ in missing} == set(left_out)
    assert {code for code, _ in beyond} == set(_BEYOND.get(case.name, ("", ""))[0].split())


_BOOKINFO = "samples/bookinfo"
#: Beside Bookinfo itself they need what is not among the samples.
_NEEDS_MORE = {"certmanager-gateway.yaml": "cert-manager's service"}


def _bookinfo() -> list[str]:
    folder = go_module(ISTIO) / _BOOKINFO / "networking"
    return sorted(path.name for path in folder.glob("*.yaml") if path.name not in _NEEDS_MORE)


@pytest.mark.parametrize("name", _bookinfo())
def test_the_bookinfo_samples_have_no_errors(name: str) -> None:
    folder = go_module(ISTIO) / _BOOKINFO
    files = sorted((folder / "platform" / "kube").glob("*.yaml"))
    common = ["bookinfo-gateway.yaml", "destination-rule-all.yaml"]
    files += [folder / "networking" / one for one in dict.fromkeys([*common, name])]
    loaded = load([read(file.read_bytes(), file.name) for file in files], KINDS)
    assert loaded.unreadable == []
    analyzers = [one for one in ALL if one.default]
    findings = analyze(loaded.collection, analyzers)
    assert [one.message for one in findings if one.code.level is Level.ERROR] == []


def test_codes_levels_and_names_are_istios() -> None:
    text = (go_module(ISTIO) / "pkg/config/analysis/msg/messages.yaml").read_text()
    istio = {one["code"]: (one["name"], one["level"]) for one in yaml.safe_load(text)["messages"]}
    ours = {one.code: (one.name, one.level.label) for one in ALL_CODES}
    assert ours == {code: istio[code] for code in ours}


def test_analyzers_have_istios_names() -> None:
    istio = {*_analyzer_names().values(), *_NAMES.values(), "schema.ValidationAnalyzer"}
    assert {one.name for one in ALL} <= istio
    # One for each kind: its name goes on.
    missing = istio - {one.name for one in ALL} - {"schema.ValidationAnalyzer."}
    left_out = {_analyzer_names()[name] for name in _NOT_OURS}
    assert missing == left_out
