"""MeshConfig and MeshNetworks against Istio's own: every field of the API, and the decisions of
Istio's unit tests.

Both come from istio.io's Go modules. What we leave out, or have beyond, is listed by name below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

from controlplane.problem import Problem
from controlplane.resources.mesh_config import MeshConfig, MeshNetworks, apply, networks
from tests.support.go_descriptors import descriptor
from tests.support.go_tables import Unreadable, cases, expression, to_yaml
from tests.support.gomodules import ISTIO, ISTIO_API, go_module
from tests.support.our_fields import Field, our_fields

#: Fields that we have beyond Istio's, and why.
_BEYOND = {"MeshConfig.mesh_mTLS": "the field's name in the protobuf, which is taken as well"}

#: Fields whose values we know, where Istio has any text, and why.
_TYPED_OTHERWISE = {
    f"MeshConfig.{path}.matchExpressions[].operator": "Kubernetes knows four"
    for path in (
        "discoverySelectors[]",
        "serviceEntryVisibility.policies[].matchingRules[].namespaceSelector",
        "serviceScopeConfigs[].namespaceSelector",
        "serviceScopeConfigs[].servicesSelector",
    )
}

_FILES = ("config", "network", "proxy")
_KNOWN = {
    "google.protobuf.Duration": "string",
    "google.protobuf.StringValue": "string",
    "google.protobuf.BoolValue": "boolean",
    "google.protobuf.DoubleValue": "number",
    "google.protobuf.Struct": "object",
    **dict.fromkeys(
        (f"google.protobuf.{one}Value" for one in ("Int32", "Int64", "UInt32", "UInt64")), "integer"
    ),
}
_SCALARS = {
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_BOOL: "boolean",
    FieldDescriptorProto.TYPE_DOUBLE: "number",
    FieldDescriptorProto.TYPE_FLOAT: "number",
    **dict.fromkeys(
        (
            FieldDescriptorProto.TYPE_INT32,
            FieldDescriptorProto.TYPE_INT64,
            FieldDescriptorProto.TYPE_UINT32,
            FieldDescriptorProto.TYPE_UINT64,
        ),
        "integer",
    ),
}
#: Of a message whose file is not the mesh's: the CRDs have it, and another test compares it there.
_ELSEWHERE = Field("elsewhere")


@cache
def _types() -> Mapping[str, DescriptorProto | EnumDescriptorProto]:
    """By their names, those of the mesh's files."""
    found: dict[str, DescriptorProto | EnumDescriptorProto] = {}

    def add(scope: FileDescriptorProto | DescriptorProto, name: str) -> None:
        nested = scope.message_type if isinstance(scope, FileDescriptorProto) else scope.nested_type
        for enum in scope.enum_type:
            found[f"{name}.{enum.name}"] = enum
        for message in nested:
            found[f"{name}.{message.name}"] = message
            add(message, f"{name}.{message.name}")

    for file in _FILES:
        read = descriptor(go_module(ISTIO_API) / "mesh" / "v1alpha1" / f"{file}.pb.go")
        add(read, read.package)
    return found


def _istio_fields(message: DescriptorProto, path: str) -> Iterator[tuple[str, Field]]:
    yield path, Field("object")
    for field in message.field:
        below = f"{path}.{field.json_name}"
        known = _types().get(field.type_name.removeprefix("."))
        if isinstance(known, DescriptorProto) and known.options.map_entry:
            yield below, Field("object")
            yield from _istio_type(known.field[1], f"{below}{{}}")
        elif field.label == FieldDescriptorProto.LABEL_REPEATED:
            yield below, Field("array")
            yield from _istio_type(field, f"{below}[]")
        else:
            yield from _istio_type(field, below)


def _istio_type(field: FieldDescriptorProto, path: str) -> Iterator[tuple[str, Field]]:
    name = field.type_name.removeprefix(".")
    known = _types().get(name)
    if isinstance(known, DescriptorProto):
        yield from _istio_fields(known, path)
    elif isinstance(known, EnumDescriptorProto):
        yield path, Field("string", frozenset(one.name for one in known.value))
    elif not name:
        yield path, Field(_SCALARS[field.type])
    else:
        yield path, Field(_KNOWN[name]) if name in _KNOWN else _ELSEWHERE


@pytest.mark.parametrize("ours", [MeshConfig, MeshNetworks], ids=lambda one: str(one.__name__))
def test_every_field_of_istio_is_ours_and_none_beyond(ours: type) -> None:
    message = _types()[f"istio.mesh.v1alpha1.{ours.__name__}"]
    assert isinstance(message, DescriptorProto)
    istio = dict(_istio_fields(message, ours.__name__))
    elsewhere = tuple(f"{path}." for path, field in istio.items() if field is _ELSEWHERE)
    mine = {
        path: Field("elsewhere" if istio.get(path) is _ELSEWHERE else field.type, field.enum)
        for path, field in our_fields(ours, ours.__name__)
        if not path.startswith((*elsewhere, *_BEYOND))
    }
    differences = [
        f"{path}: Istio {istio.get(path, 'none')}, we {mine.get(path, 'none')}"
        for path in sorted(istio.keys() | mine.keys())
        if path not in _TYPED_OTHERWISE and istio.get(path) != mine.get(path)
    ]
    assert "\n".join(differences) == ""
    assert len(istio) > (5 if ours is MeshNetworks else 400)


#: Cases that we decide otherwise, and why.
_OTHERWISE: dict[str, str] = {}


def _mesh(**value: Any) -> list[Problem]:
    return apply(value)[1]


def _provider(name: str) -> Callable[[Any], list[Problem]]:
    return lambda part: _mesh(extensionProviders=[{"name": "a", name: part}])


class _Suite(NamedTuple):
    """A test function of Istio's: which field of its cases is what, and who decides."""

    function: str
    field: str
    decide: Callable[[Any], list[Problem]]
    #: Cases that can be read and written in YAML.
    compared: int
    file: str = "validation_test.go"


def _extension(function: str, field: str, name: str, compared: int) -> _Suite:
    return _Suite(function, field, _provider(name), compared, "extensionprovider_test.go")


_TRACING = "TestValidateExtensionProviderTracing"
_LOGGING = "TestValidateExtensionProviderEnvoy"
_SUITES = [
    _Suite(
        "TestValidateExtensionProviderService",
        "service",
        lambda part: _provider("datadog")({"service": part, "port": 1}),
        7,
        "extensionprovider_test.go",
    ),
    _extension(f"{_TRACING}Zipkin", "config", "zipkin", 4),
    _extension(f"{_TRACING}Lightstep", "config", "lightstep", 4),
    _extension(f"{_TRACING}Datadog", "config", "datadog", 5),
    _extension(f"{_TRACING}OpenCensusAgent", "config", "opencensus", 5),
    _extension(f"{_TRACING}Opentelemetry", "provider", "opentelemetry", 6),
    _extension(f"{_LOGGING}OtelAls", "provider", "envoyOtelAls", 5),
    _extension(f"{_LOGGING}HTTPAls", "provider", "envoyHttpAls", 5),
    _extension(f"{_LOGGING}TCPAls", "provider", "envoyTcpAls", 5),
    _Suite("TestValidateTrustDomain", "in", lambda part: _mesh(trustDomain=part), 8),
    _Suite(
        "TestValidateMeshConfigDefaultTrafficPolicy",
        "dtp",
        lambda part: _mesh(defaultTrafficPolicy=part),
        4,
    ),
    _Suite(
        "TestServiceSettings", "hosts", lambda part: _mesh(serviceSettings=[{"hosts": part}]), 2
    ),
    _Suite("TestValidateLocalityLbSetting", "in", lambda part: _mesh(localityLbSetting=part), 12),
    _Suite("TestValidateZoneAwareLbSetting", "in", lambda part: _mesh(zoneAwareLbSetting=part), 14),
    _Suite("TestValidateMeshNetworks", "mn", lambda part: networks.read(part)[1], 4),
    _Suite(
        "TestValidateConnectionSettings",
        "cs",
        lambda part: _mesh(defaultConfig={"connectionSettings": part}),
        7,
    ),
]


@pytest.mark.parametrize("suite", _SUITES, ids=lambda suite: suite.function)
def test_every_case_is_decided_as_istio_decides_it(suite: _Suite) -> None:
    source = (go_module(ISTIO) / _AGENT / suite.file).read_text()
    compared = 0
    otherwise: list[str] = []
    for case in cases(source, suite.function):
        if case["name"] in _OTHERWISE or case.get(suite.field) is None:
            continue
        try:
            problems = suite.decide(to_yaml(case[suite.field]))
        except Unreadable:
            continue
        refused = next((case[one] for one in ("err", "wantErr") if one in case), False)
        errors = [problem for problem in problems if not problem.warning]
        compared += 1
        taken = case.get("valid", not refused)
        if bool(errors) == bool(taken):
            otherwise.append(f"{case['name']}: Istio {'takes' if taken else 'refuses'}: {errors}")
    assert otherwise == []
    assert compared == suite.compared


_AGENT = "pkg/config/validation/agent"
_MODIFIED = re.compile(
    r"in:\s+modify\(valid,\s*func\(c \*meshconfig\.ProxyConfig\) \{\s*c\.(\w+) = (.*?)\s*\}"
    r",?\s*\),\s+isValid: (true|false)",
    re.DOTALL,
)


def test_proxy_configs_are_decided_as_istio_decides_them() -> None:
    source = (go_module(ISTIO) / _AGENT / "validation_test.go").read_text()
    function = source.partition("func TestValidateMeshConfigProxyConfig(")[2]
    compared = 0
    otherwise: list[str] = []
    for name, given, valid in _MODIFIED.findall(function.partition("\nfunc ")[0]):
        value = to_yaml(expression(given))
        # A oneof, which YAML does not have.
        part = value if name == "ClusterName" else {name[0].lower() + name[1:]: value}
        errors = [problem for problem in _mesh(defaultConfig=part) if not problem.warning]
        compared += 1
        if bool(errors) == (valid == "true"):
            otherwise.append(f"{name}: {value}: Istio says valid: {valid}: {errors}")
    assert otherwise == []
    assert compared == 34
