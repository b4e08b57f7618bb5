"""Rules of AuthorizationPolicy."""

import pytest

from controlplane.resources.authorization_policy import KIND
from controlplane.resources.authorization_policy.conditions import KEYED, KEYS
from tests.support.judging import judge, refusal


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("action: BLOCK", "spec.action", "must be one of ALLOW, DENY, AUDIT, CUSTOM"),
        ("action: DENY", "spec.rules", "is required with DENY"),
        ("{action: DENY, rules: []}", "spec.rules", "is required with DENY"),
        ("{action: CUSTOM, provider: {name: a}}", "spec.rules", "is required with CUSTOM"),
        ("{action: CUSTOM, rules: [{}]}", "spec.provider.name", "is required with CUSTOM"),
        (
            "{action: CUSTOM, provider: {}, rules: [{}]}",
            "spec.provider.name",
            "is required with CUSTOM",
        ),
        ("{provider: {name: a}}", "spec.provider", "is for the action CUSTOM only, not for ALLOW"),
        ("rules: [null]", "spec.rules[0]", "is empty"),
        ("rules: [{from: []}]", "spec.rules[0].from", "must not be empty"),
        ("rules: [{to: []}]", "spec.rules[0].to", "must not be empty"),
        ("rules: [{from: [{}]}]", "spec.rules[0].from[0].source", "is required"),
        ("rules: [{to: [{}]}]", "spec.rules[0].to[0].operation", "is required"),
        ("rules: [{from: [{source: {}}]}]", "spec.rules[0].from[0].source", "is empty; name"),
        ("rules: [{to: [{operation: {}}]}]", "spec.rules[0].to[0].operation", "is empty; name"),
        ("rules: [{when: [{values: [a]}]}]", "spec.rules[0].when[0].key", "is required"),
    ],
)
def test_refused(text: str, path: str, reason: str) -> None:
    where, why = refusal(KIND, text)
    assert where == path
    assert why.startswith(reason)


@pytest.mark.parametrize(
    "field",
    [
        "principals",
        "notPrincipals",
        "requestPrincipals",
        "notRequestPrincipals",
        "namespaces",
        "notNamespaces",
        "serviceAccounts",
        "notServiceAccounts",
        "ipBlocks",
        "notIpBlocks",
        "remoteIpBlocks",
        "notRemoteIpBlocks",
        "trustDomains",
        "notTrustDomains",
    ],
)
def test_no_source_has_empty_values(field: str) -> None:
    path, _ = refusal(KIND, f"rules: [{{from: [{{source: {{{field}: ['']}}}}]}}]")
    assert path == f"spec.rules[0].from[0].source.{field}[0]"


@pytest.mark.parametrize(
    "field",
    ["hosts", "notHosts", "ports", "notPorts", "methods", "notMethods", "paths", "notPaths"],
)
def test_no_operation_has_empty_values(field: str) -> None:
    path, _ = refusal(KIND, f"rules: [{{to: [{{operation: {{{field}: ['']}}}}]}}]")
    assert path == f"spec.rules[0].to[0].operation.{field}[0]"


@pytest.mark.parametrize(
    ("source", "path", "reason"),
    [
        ("ipBlocks: [10.0.0.0/33]", ".ipBlocks[0]", "'10.0.0.0/33' is no network"),
        ("ipBlocks: [10.0.0.0/08]", ".ipBlocks[0]", "'10.0.0.0/08' is no network"),
        ("ipBlocks: [10.0.0.0/255.0.0.0]", ".ipBlocks[0]", "'10.0.0.0/255.0.0.0' is no network"),
        ("notIpBlocks: [10.0.0.0.1]", ".notIpBlocks[0]", "'10.0.0.0.1' is no IP address"),
        ("remoteIpBlocks: [a, b]", ".remoteIpBlocks[0]", "'a' is no IP address"),
        ("serviceAccounts: ['ns/*']", ".serviceAccounts[0]", "service accounts have no wildcards"),
        ("serviceAccounts: [a/b/c]", ".serviceAccounts[0]", "must be NAMESPACE/NAME or NAME"),
        ("serviceAccounts: [/b]", ".serviceAccounts[0]", "must be NAMESPACE/NAME or NAME"),
        ("serviceAccounts: [b/]", ".serviceAccounts[0]", "must be NAMESPACE/NAME or NAME"),
        (f"serviceAccounts: [{'a' * 321}]", ".serviceAccounts[0]", "must have 0 to 320 characters"),
        (
            f"notServiceAccounts: {['a'] * 17}",
            ".notServiceAccounts",
            "must have 0 to 16 entries, has 17",
        ),
        (
            "{serviceAccounts: [a], namespaces: [b]}",
            "",
            "serviceAccounts cannot stand with namespaces or principals",
        ),
        (
            "{notServiceAccounts: [a], notPrincipals: [b]}",
            "",
            "serviceAccounts cannot stand with namespaces or principals",
        ),
        ("trustDomains: ['a*b']", ".trustDomains[0]", "may have one `*`, at the beginning"),
        ("trustDomains: ['*a*']", ".trustDomains[0]", "may have one `*`, at the beginning"),
        ("trustDomains: [a/ns/b]", ".trustDomains[0]", "must be the trust domain alone"),
    ],
)
def test_refused_sources(source: str, path: str, reason: str) -> None:
    source = source if source.startswith("{") else "{" + source + "}"
    _, errors, _ = judge(KIND, f"rules: [{{from: [{{source: {source}}}]}}]")
    assert errors[0].path == f"spec.rules[0].from[0].source{path}"
    assert errors[0].reason.startswith(reason)


@pytest.mark.parametrize("port", ["65536", "http", "-1", "+80", "8 0", "٣"])
def test_refused_ports(port: str) -> None:
    path, why = refusal(KIND, f"rules: [{{to: [{{operation: {{ports: ['80', '{port}']}}}}]}}]")
    assert path == "spec.rules[0].to[0].operation.ports[1]"
    assert why.startswith("must be a port from 0 to 65535")


@pytest.mark.parametrize("template", ["/", "/a/*", "/{*}", "/{**}", "{*}/a", "/a/{*}/{**}", "/a*"])
def test_paths(template: str) -> None:
    _, errors, _ = judge(KIND, f"rules: [{{to: [{{operation: {{paths: ['{template}']}}}}]}}]")
    assert errors == []


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("/{**}/{*}", "nothing variable may follow {**}"),
        ("/{**}/{**}", "nothing variable may follow {**}"),
        ("/{*}.html", "{*} and {**} are templates and stand for whole segments"),
        ("/{name}", "{*} and {**} are templates and stand for whole segments"),
        ("/a}", "{*} and {**} are templates and stand for whole segments"),
        ("/{*}/a b", "the segment 'a b' beside a template"),
        ("/{*}/a*", "the segment 'a*' beside a template"),
        ("/a//{*}", "a path with templates has no empty segments"),
    ],
)
def test_refused_paths(template: str, reason: str) -> None:
    path, why = refusal(KIND, f"rules: [{{to: [{{operation: {{paths: ['{template}']}}}}]}}]")
    assert path == "spec.rules[0].to[0].operation.paths[0]"
    assert why.startswith(reason)


_GOOD = {"ip": "10.0.0.0/8", "port": "80"}


@pytest.mark.parametrize("key", [*KEYS, *(f"{one}[a]" for one in KEYED)])
def test_every_key(key: str) -> None:
    good = _GOOD.get(key.rpartition(".")[2], "text")
    _, errors, _ = judge(KIND, f"rules: [{{when: [{{key: '{key}', values: ['{good}']}}]}}]")
    assert errors == []
    for field in ("values", "notValues"):
        path, _ = refusal(KIND, f"rules: [{{when: [{{key: '{key}', {field}: ['']}}]}}]")
        assert path == f"spec.rules[0].when[0].{field}[0]"


@pytest.mark.parametrize(
    ("condition", "path", "reason"),
    [
        ("key: source.ip", "", "source.ip is compared with nothing"),
        ("{key: '', values: [a]}", ".key", "must not be empty"),
        ("{key: source.port, values: [a]}", ".key", "there is no source.port; known are"),
        ("{key: destination.user, values: [a]}", ".key", "there is no destination.user: it was"),
        ("{key: 'destination.labels[a]', values: [a]}", ".key", "there is no destination.labels"),
        ("{key: request.headers, values: [a]}", ".key", "must name a part in brackets"),
        ("{key: 'request.headers[]', values: [a]}", ".key", "must name a part in brackets"),
        ("{key: 'request.auth.claims[a', values: [a]}", ".key", "must name a part in brackets"),
        ("{key: destination.port, values: [http]}", ".values[0]", "must be a port from 0"),
        ("{key: remote.ip, notValues: [a]}", ".notValues[0]", "'a' is no IP address"),
        ("{key: source.serviceAccount, values: ['*']}", ".values[0]", "service accounts have no"),
        ("{key: source.trustDomain, values: ['a*b']}", ".values[0]", "may have one `*`"),
    ],
)
def test_refused_conditions(condition: str, path: str, reason: str) -> None:
    condition = condition if condition.startswith("{") else "{" + condition + "}"
    where, why = refusal(KIND, f"rules: [{{when: [{condition}]}}]")
    assert where == f"spec.rules[0].when[0]{path}"
    assert why.startswith(reason)


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("from: [{source: {namespaces: [a]}}]", ".from[0].source.namespaces"),
        ("from: [{source: {notPrincipals: [a]}}]", ".from[0].source.notPrincipals"),
        ("from: [{source: {requestPrincipals: [a]}}]", ".from[0].source.requestPrincipals"),
        ("from: [{source: {serviceAccounts: [a]}}]", ".from[0].source.serviceAccounts"),
        ("from: [{source: {trustDomains: [a]}}]", ".from[0].source.trustDomains"),
        ("when: [{key: source.principal, values: [a]}]", ".when[0].key"),
        ("when: [{key: 'request.auth.claims[a]', values: [a]}]", ".when[0].key"),
    ],
)
def test_what_custom_cannot_match(rule: str, path: str) -> None:
    where, why = refusal(KIND, f"{{action: CUSTOM, provider: {{name: a}}, rules: [{{{rule}}}]}}")
    assert where == f"spec.rules[0]{path}"
    assert why.endswith("cannot be used with the action CUSTOM")


@pytest.mark.parametrize("value", ["true", "0", "F", "True"])
def test_dry_run(value: str) -> None:
    for action in ("ALLOW", "DENY"):
        text = f"{{action: {action}, rules: [{{}}]}}"
        assert judge(KIND, text, {"istio.io/dry-run": value})[1] == []


@pytest.mark.parametrize(
    ("action", "value", "reason"),
    [
        ("ALLOW", "yes", "must be 'true' or 'false', is 'yes'"),
        ("AUDIT", "true", "is for ALLOW and DENY only, not for AUDIT"),
    ],
)
def test_refused_dry_runs(action: str, value: str, reason: str) -> None:
    path, why = refusal(KIND, f"action: {action}", {"istio.io/dry-run": value})
    assert path == "metadata.annotations['istio.io/dry-run']"
    assert why.startswith(reason)


@pytest.mark.parametrize(
    ("rule", "warned"),
    [
        ("to: [{operation: {methods: [GET]}}]", True),
        ("to: [{operation: {methods: [GET], ports: ['80']}}]", False),
        ("from: [{source: {requestPrincipals: [a]}}]", True),
        ("from: [{source: {namespaces: [a]}}]", False),
        ("from: [{source: {namespaces: [a]}}], to: [{operation: {paths: [/a]}}]", True),
        ("when: [{key: source.ip, values: [10.0.0.1]}]", False),
    ],
)
def test_a_deny_that_is_wider_than_it_looks_is_warned_of(rule: str, warned: bool) -> None:
    _, errors, warnings = judge(KIND, f"{{action: DENY, rules: [{{}}, {{{rule}}}]}}")
    assert errors == []
    assert [one.path for one in warnings] == (["spec.rules[1]"] if warned else [])
    assert judge(KIND, f"{{action: ALLOW, rules: [{{{rule}}}]}}")[2] == []
