"""What istiod's webhook decides, by Istio's own unit tests: each case is decided alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.support.documents import read
from tests.support.go_tables import Unreadable, cases, to_yaml
from tests.support.gomodules import ISTIO, go_module

_FOLDER = "pkg/config/validation"
_ROUTE = [{"destination": {"host": "foo.bar"}}]

#: Cases that we decide otherwise, and why.
_OTHERWISE = {
    "match with nil element": "a list in YAML that has an empty entry is refused by the schema",
    "valid mirror percentage": "as above",
    "mirrors valid mirror percentage": "as above",
    "simple more than 2 certs": "the CRD has two at most: the API server refuses it",
    "mutual more than 2 certs": "as above",
    "empty issuer and set jwksUri": "the CRD wants an issuer of one character at least",
    "match with proxy version regex too long": "Istio ignores it with a warning",
    "invalid message": "a spec of another kind",
}


class _Suite(NamedTuple):
    """A test function of Istio's: which field of its cases is what, as a part of which spec."""

    function: str
    kind: str
    field: str
    spec: Callable[[Any], Any] = lambda part: part
    #: Cases that can be read and written in YAML.
    compared: int = 0
    file: str = "validation_test.go"
    api_version: str = "networking.istio.io/v1"


def _http(name: str) -> Callable[[Any], Any]:
    return lambda part: {"hosts": ["foo.bar"], "http": [{"route": _ROUTE, name: part}]}


def _alone(name: str) -> Callable[[Any], Any]:
    return lambda part: {"hosts": ["foo.bar"], "http": [{name: part}]}


def _policy(name: str) -> Callable[[Any], Any]:
    return lambda part: {"host": "a", "trafficPolicy": {name: part}}


def _fault(name: str) -> Callable[[Any], Any]:
    return lambda part: _http("fault")({name: part})


def _server_tls(part: Any) -> Any:
    port = {"number": 443, "name": "a", "protocol": "HTTPS"}
    return {"servers": [{"port": port, "hosts": ["*"], "tls": part}]}


def _security(kind: str, compared: int) -> _Suite:
    return _Suite(
        f"TestValidate{kind}", kind, "in", compared=compared, api_version="security.istio.io/v1"
    )


def _extension(kind: str, compared: int) -> _Suite:
    version = "extensions.istio.io/v1alpha1"
    return _Suite(f"TestValidate{kind}", kind, "in", compared=compared, api_version=version)


_CHAINED = "virtualservice_test.go"
_SUITES = [
    _Suite("TestValidateVirtualService", "VirtualService", "in", compared=26),
    _Suite("TestValidateChainingVirtualService", "VirtualService", "in", compared=8, file=_CHAINED),
    _Suite(
        "TestValidateHTTPRoute",
        "VirtualService",
        "route",
        lambda part: {"hosts": ["foo.bar"], "http": [part]},
        36,
    ),
    _Suite(
        "TestValidateRootHTTPRoute",
        "VirtualService",
        "route",
        lambda part: {"hosts": ["foo.bar"], "http": [part]},
        26,
        _CHAINED,
    ),
    _Suite(
        "TestValidateDelegateHTTPRoute",
        "VirtualService",
        "route",
        lambda part: {"http": [part]},
        22,
        _CHAINED,
    ),
    _Suite(
        "TestValidateRouteDestination",
        "VirtualService",
        "routes",
        lambda part: {"hosts": ["a.b"], "tcp": [{"route": part}]},
        14,
    ),
    _Suite(
        "TestValidateDestination",
        "VirtualService",
        "destination",
        lambda part: {"hosts": ["a"], "http": [{"route": [{"destination": part}]}]},
        4,
    ),
    _Suite("TestValidateCORSPolicy", "VirtualService", "in", _http("corsPolicy"), 6),
    _Suite("TestValidateHTTPFaultInjectionAbort", "VirtualService", "in", _fault("abort"), 11),
    _Suite("TestValidateHTTPFaultInjectionDelay", "VirtualService", "in", _fault("delay"), 6),
    _Suite("TestValidateHTTPRetry", "VirtualService", "in", _http("retries"), 12),
    _Suite("TestValidateHTTPRewrite", "VirtualService", "in", _http("rewrite"), 7),
    _Suite("TestValidateHTTPRedirect", "VirtualService", "redirect", _alone("redirect"), 10),
    _Suite(
        "TestValidateHTTPDirectResponse",
        "VirtualService",
        "directResponse",
        _alone("directResponse"),
        4,
    ),
    _Suite("TestValidateGateway", "Gateway", "in", compared=10),
    _Suite("TestValidateServer", "Gateway", "in", lambda part: {"servers": [part]}, 20),
    _Suite("TestValidateTlsOptions", "Gateway", "in", _server_tls, 49),
    _Suite("TestValidateDestinationRule", "DestinationRule", "in", compared=25),
    _Suite(
        "TestValidateTrafficPolicy",
        "DestinationRule",
        "in",
        lambda part: {"host": "a", "trafficPolicy": part},
        7,
    ),
    _Suite("TestValidateConnectionPool", "DestinationRule", "in", _policy("connectionPool"), 18),
    _Suite("TestValidateLoadBalancer", "DestinationRule", "in", _policy("loadBalancer"), 4),
    _Suite("TestValidateOutlierDetection", "DestinationRule", "in", _policy("outlierDetection"), 8),
    _Suite("TestValidateServiceEntries", "ServiceEntry", "in", compared=61),
    _Suite("TestValidateWorkloadEntry", "WorkloadEntry", "in", compared=8),
    _Suite("TestValidateWorkloadGroup", "WorkloadGroup", "in", compared=10),
    _Suite("TestValidateSidecar", "Sidecar", "in", compared=73),
    _security("AuthorizationPolicy", 67),
    _security("RequestAuthentication", 28),
    _security("PeerAuthentication", 9),
    _Suite(
        "TestValidateTelemetry", "Telemetry", "in", compared=16, api_version="telemetry.istio.io/v1"
    ),
    _extension("WasmPlugin", 18),
    _extension("TrafficExtension", 22),
    _Suite(
        "TestValidateProxyConfig",
        "ProxyConfig",
        "in",
        compared=2,
        api_version="networking.istio.io/v1beta1",
    ),
    _Suite(
        "TestValidateEnvoyFilter",
        "EnvoyFilter",
        "in",
        compared=20,
        file="envoyfilter/envoyfilter_test.go",
        api_version="networking.istio.io/v1alpha3",
    ),
]
#: Reads labels as well, which the tables of other cases do not have.
_WITH_LABELS = "discovery type DYNAMIC_DNS, MESH_INTERNAL with waypoint (invalid)"


@pytest.mark.parametrize("suite", _SUITES, ids=lambda suite: suite.function)
def test_every_case_is_decided_as_istio_decides_it(suite: _Suite) -> None:
    source = (go_module(ISTIO) / _FOLDER / suite.file).read_text()
    compared = 0
    otherwise: list[str] = []
    for case in cases(source, suite.function):
        if case["name"] in {*_OTHERWISE, _WITH_LABELS} or case.get(suite.field) is None:
            continue
        try:
            spec = suite.spec(to_yaml(case[suite.field]))
            annotations = to_yaml(case.get("annotations")) or {}
        except Unreadable:
            continue
        expected = next((case[one] for one in ("err", "error", "out") if one in case), "")
        taken = case.get("valid", not expected)
        document = {
            "apiVersion": suite.api_version,
            "kind": suite.kind,
            "metadata": {"name": "a", "namespace": "some-ns", "annotations": annotations},
            "spec": spec,
        }
        errors = [problem for problem in read(document)[1] if not problem.warning]
        compared += 1
        if bool(errors) == bool(taken):
            otherwise.append(f"{case['name']}: Istio {'takes' if taken else 'refuses'}: {errors}")
    assert otherwise == []
    assert compared == suite.compared
