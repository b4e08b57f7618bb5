"""What istiod makes of AuthorizationPolicies, by Istio's own golden files: ours means the same.

Both sides are brought to one form: sets for OR and AND, no AND of one, OR outside of matchers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import yaml
from google.protobuf.json_format import MessageToDict

from controlplane.resources.mesh_config import MeshConfig, apply
from controlplane.translation.listeners import authorization, ext_authz
from controlplane.world.world import World
from tests.support import meshes
from tests.support.gomodules import ISTIO, go_module

_FOLDER = "pilot/pkg/security/authz/builder/testdata"
_LABELS = (("app", "httpbin"), ("version", "v1"))
_AUTHORIZER = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: authorizer, namespace: foo}
spec:
  hosts: [my-custom-ext-authz.foo.svc.cluster.local]
  ports: [{number: 9000, name: grpc, protocol: GRPC}]
  resolution: STATIC
"""
_BODY = {"maxRequestBytes": 4096, "allowPartialMessage": True}
_GRPC = {
    "service": "foo/my-custom-ext-authz.foo.svc.cluster.local",
    "port": 9000,
    "timeout": "0.002s",
    "failOpen": True,
    "statusOnError": "403",
    "includeRequestBodyInCheck": _BODY,
}
_HTTP = {
    "service": "foo/my-custom-ext-authz.foo.svc.cluster.local",
    "port": 9000,
    "timeout": "10s",
    "failOpen": True,
    "statusOnError": "403",
    "pathPrefix": "/check",
    "includeRequestHeadersInCheck": ["x-custom-id", "x-prefix-*", "*-suffix"],
    "includeHeadersInCheck": ["should-not-include"],
    "includeAdditionalHeadersInCheck": {"x-header-1": "value-1", "x-header-2": "value-2"},
    "includeRequestBodyInCheck": {**_BODY, "maxRequestBytes": 2048, "packAsBytes": True},
    "headersToUpstreamOnAllow": ["Authorization", "x-prefix-*", "*-suffix"],
    "headersToDownstreamOnDeny": ["Set-cookie", "x-prefix-*", "*-suffix"],
    "headersToDownstreamOnAllow": ["Set-cookie", "x-prefix-*", "*-suffix"],
}


class _Case(NamedTuple):
    """An input of Istio's and what comes out, as its test pairs them."""

    kind: str
    source: str
    out: tuple[str, ...]
    #: Of MeshConfig.
    mesh: Mapping[str, Any] = MappingProxyType({})


def _plain(kind: str, *names: str) -> list[_Case]:
    return [_Case(kind, name, (f"{name}-out",)) for name in names]


def _domains(own: str, *aliases: str) -> dict[str, Any]:
    return {"trustDomain": own, "trustDomainAliases": list(aliases)}


def _provider(kind: str, given: dict[str, Any]) -> dict[str, Any]:
    return {"extensionProviders": [{"name": "default", kind: given}]}


_NO_NAMESPACE = {
    "service": "my-custom-ext-authz.foo.svc.cluster.local",
    "port": 9000,
    "failOpen": True,
    "statusOnError": "403",
}
_NO_SUCH = {"service": "foo/nobody.foo.svc.cluster.local", "port": 9000}
_CASES = [
    *_plain(
        "http",
        "allow-empty-rule",
        "allow-full-rule",
        "allow-nil-rule",
        "allow-path",
        "audit-full-rule",
        "deny-empty-rule",
        "dry-run-allow",
        "dry-run-mix",
        "multiple-policies",
        "single-policy",
        "trust-domains",
    ),
    _Case("http", "deny-and-allow", ("deny-and-allow-out1", "deny-and-allow-out2")),
    _Case(
        "http",
        "dry-run-allow-and-deny",
        ("dry-run-allow-and-deny-out1", "dry-run-allow-and-deny-out2"),
    ),
    _Case(
        "http",
        "simple-policy-td-aliases",
        ("simple-policy-td-aliases-out",),
        _domains("td1", "cluster.local"),
    ),
    _Case(
        "http",
        "simple-policy-multiple-td-aliases",
        ("simple-policy-multiple-td-aliases-out",),
        _domains("td1", "cluster.local", "some-td"),
    ),
    _Case(
        "http",
        "simple-policy-principal-with-wildcard",
        ("simple-policy-principal-with-wildcard-out",),
        _domains("td1", "foobar"),
    ),
    _Case(
        "http",
        "td-aliases-source-principal",
        ("td-aliases-source-principal-out",),
        _domains("new-td", "old-td", "some-trustdomain"),
    ),
    _Case(
        "http",
        "custom-simple-http",
        ("custom-grpc-provider-no-namespace-out1", "custom-grpc-provider-no-namespace-out2"),
        _provider("envoyExtAuthzGrpc", _NO_NAMESPACE),
    ),
    _Case(
        "http",
        "custom-simple-http",
        ("custom-grpc-provider-out1", "custom-grpc-provider-out2"),
        _provider("envoyExtAuthzGrpc", _GRPC),
    ),
    _Case(
        "http",
        "custom-simple-http",
        ("custom-http-provider-out1", "custom-http-provider-out2"),
        _provider("envoyExtAuthzHttp", _HTTP),
    ),
    _Case(
        "http",
        "custom-bad-multiple-providers",
        ("custom-bad-multiple-providers-out1", "custom-bad-multiple-providers-out2"),
        _provider("envoyExtAuthzHttp", _HTTP),
    ),
    # Istio's case has a port and a status as well that our validation refuses.
    _Case(
        "http",
        "custom-simple-http",
        ("custom-bad-out",),
        _provider("envoyExtAuthzHttp", _NO_SUCH),
    ),
    *_plain(
        "tcp",
        "allow-both-http-tcp",
        "allow-only-http",
        "audit-both-http-tcp",
        "deny-both-http-tcp",
        "dry-run-mix",
    ),
    _Case(
        "tcp",
        "custom-both-http-tcp",
        ("custom-both-http-tcp-out1", "custom-both-http-tcp-out2"),
        _provider("envoyExtAuthzGrpc", _GRPC),
    ),
    _Case("tcp", "custom-only-http", (), _provider("envoyExtAuthzHttp", _HTTP)),
]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.out[0] if case.out else case.source)
def test_policies_mean_what_istio_makes_of_them(case: _Case) -> None:
    folder = go_module(ISTIO) / _FOLDER / case.kind
    world = meshes.world((folder / f"{case.source}-in.yaml").read_text() + "\n---\n" + _AUTHORIZER)
    config, problems = apply(dict(case.mesh), MeshConfig())
    assert problems == []
    world.change(facts={"mesh-config": config})
    wanted = [_form(yaml.safe_load((folder / f"{name}.yaml").read_text())) for name in case.out]
    assert _ours(world, case.kind) == wanted


def test_every_golden_file_is_compared() -> None:
    folder = go_module(ISTIO) / _FOLDER
    there = {
        f"{kind}/{path.stem}"
        for kind in ("http", "tcp")
        for path in Path(folder / kind).glob("*-out*.yaml")
        # The same with filter state in place of `authenticated`, which Istio can switch on.
        if not path.stem.startswith("extended-")
    }
    compared = {f"{case.kind}/{name}" for case in _CASES for name in case.out}
    # Of an Istio that is no longer supported: no test of Istio's reads it.
    assert there - compared == {"http/allow-host-before-111-out"}


def _ours(world: World, kind: str) -> list[Any]:
    view = world.view()
    filters: list[Any]
    if kind == "http":
        asked = ext_authz.http_filters(view, "foo", _LABELS)
        filters = [*asked, *authorization.http_filters(view, "foo", _LABELS)]
    else:
        filters = authorization.network_filters(view, "foo", _LABELS)
    return [_form(MessageToDict(one)) for one in filters]


def _form(given: dict[str, Any]) -> Any:
    config = dict(given["typedConfig"])
    for name in ("rules", "shadowRules"):
        if name in config:
            rules = config[name]
            config[name] = (
                rules.get("action", "ALLOW"),
                {key: _policy(one) for key, one in rules.get("policies", {}).items()},
            )
    if config.get("shadowRules") is None:
        # A prefix for what is not there.
        config.pop("shadowRulesStatPrefix", None)
    status = config.get("statusOnError", {})
    if status.get("code") == 403:
        status["code"] = "Forbidden"
    matcher = config.get("filterEnabledMetadata", {}).get("value", {}).get("stringMatch")
    if matcher:
        # Ours ends with a dash, so that `a` is not `a-b`.
        matcher["prefix"] = matcher["prefix"].removesuffix("-")
    return given["name"], config


def _policy(given: dict[str, Any]) -> Any:
    both = ("permissions", "principals")
    return tuple(_joined("or", [_logic(one) for one in given[name]]) for name in both)


def _logic(given: dict[str, Any]) -> Any:
    """A permission or a principal."""
    ((name, value),) = given.items()
    match name:
        case "andRules" | "andIds":
            return _joined("and", [_logic(one) for one in value.get("rules") or value["ids"]])
        case "orRules" | "orIds":
            return _joined("or", [_logic(one) for one in value.get("rules") or value["ids"]])
        case "notRule" | "notId":
            return ("not", _logic(value))
        case "metadata":
            at = (value["filter"], tuple(one["key"] for one in value["path"]))
            return _joined("or", [(at, one) for one in _values(value["value"])])
        case "uriTemplate":
            template = re.escape(value["typedConfig"]["pathTemplate"])
            regex = template.replace(r"/\*\*", "/.*").replace(r"/\*", "/[^/]+")
            return _text({"urlPath": {"path": {"safeRegex": {"regex": regex}}}})
        case "authenticated":
            regex = value["principalName"].get("safeRegex", {}).get("regex", "")
            if regex.startswith(".*/ns/"):
                # A namespace has no slash, so our star stands for none.
                value = {"principalName": {"safeRegex": {"regex": _without_slash(regex)}}}
            return _text({"authenticated": value})
    return _text(given)


def _without_slash(regex: str) -> str:
    inside = regex.removeprefix(".*/ns/").removesuffix("/.*")
    return f".*/ns/{re.sub(r'(?<!])[.][*]', '[^/]*', inside)}/.*"


def _values(given: dict[str, Any]) -> list[str]:
    """The single values, one of which a value must match."""
    if "orMatch" in given:
        return [text for one in given["orMatch"]["valueMatchers"] for text in _values(one)]
    if "listMatch" in given:
        return [f"one of {text}" for text in _values(given["listMatch"]["oneOf"])]
    return [_text(given)]


def _joined(how: str, parts: list[Any]) -> Any:
    flat = {
        each
        for one in parts
        for each in (one[1] if isinstance(one, tuple) and one[0] == how else (one,))
    }
    if how == "and" and len(flat) > 1:
        flat.discard(_text({"any": True}))
    return next(iter(flat)) if len(flat) == 1 else (how, frozenset(flat))


def _text(given: Any) -> str:
    # Python escapes dashes in expressions, Go does not.
    return json.dumps(given, sort_keys=True).replace(r"\\-", "-")
