"""The network filter `rbac` and the HTTP filter, which asks the same rules for each request: whom
they let pass, log lines and statistics, ours against the stock Envoy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.differential.counting import differences
from tests.differential.rbac import (
    HTTP,
    HTTPS,
    PLAIN,
    PROXIED,
    TLS,
    UNTRUSTED,
    Client,
    RbacLab,
    Scene,
    Seen,
)
from tests.support.proxies import ENVOY, OURS

ORG = "spiffe://cluster.local/ns/prod/sa/web"


def policy(name: str, permission: str, principal: str) -> str:
    """One policy, in YAML's flow style."""
    return f"{name}: {{permissions: [{permission}], principals: [{principal}]}}"


def rules(*policies: str, action: str = "ALLOW") -> str:
    """The rules of one filter."""
    return f"{{action: {action}, policies: {{{', '.join(policies)}}}}}"


def who(principal: str, action: str = "ALLOW") -> str:
    """One filter that asks for a principal."""
    return f"[{{rules: {rules(policy('p', '{any: true}', principal), action=action)}}}]"


def what(permission: str, action: str = "ALLOW") -> str:
    """One filter that asks for a permission."""
    return f"[{{rules: {rules(policy('p', permission, '{any: true}'), action=action)}}}]"


def cidr(prefix: str, length: int | None = None) -> str:
    """A range; without a length Envoy takes 0."""
    return (
        f"{{address_prefix: '{prefix}'}}"
        if length is None
        else f"{{address_prefix: '{prefix}', prefix_len: {length}}}"
    )


def name(matcher: str) -> str:
    """An authenticated principal."""
    return f"{{authenticated: {{principal_name: {{{matcher}}}}}}}"


def verified(config: str) -> str:
    """A principal by a certificate that was verified."""
    kind = "type.googleapis.com/envoy.extensions.rbac.principals.mtls_authenticated.v3.Config"
    typed = f"{{'@type': {kind}, {config}}}"
    return f"{{custom: {{name: envoy.rbac.principals.mtls_authenticated, typed_config: {typed}}}}}"


def san(kind: str, matcher: str) -> str:
    """A matcher of alternative names."""
    return f"san_matcher: {{san_type: {kind}, matcher: {{{matcher}}}}}"


def metadata(value: str, more: str = "") -> str:
    """A matcher of what the first filter's shadow rules found."""
    return (
        "{metadata: {filter: envoy.filters.network.rbac, path: [{key: shadow_engine_result}],"
        f" value: {value}{more}}}}}"
    )


_TWO = f"{{remote_ip: {cidr('127.0.0.2', 32)}}}"
_PORTS = "{destination_port_range: {start: 1, end: 65536}}"
_DRY = rules(policy("dry run", "{any: true}", _TWO))
_ANYBODY = rules(policy("all", "{any: true}", "{any: true}"))

SCENES = [
    # -- actions --
    Scene("allow_all", who("{any: true}")),
    Scene("deny_all", who("{any: true}", "DENY")),
    Scene("log_all", who("{any: true}", "LOG")),
    Scene("log_two", who(_TWO, "LOG")),
    Scene("empty_allow", "[{rules: {}}]"),
    Scene("empty_deny", "[{rules: {action: DENY}}]"),
    Scene("empty_log", "[{rules: {action: LOG}}]"),
    Scene("no_rules", "[{}]"),
    # -- addresses --
    Scene("source_ip", who(f"{{source_ip: {cidr('127.0.0.0', 30)}}}")),
    Scene("remote_ip", who(_TWO)),
    Scene("remote_ip_deny", who(_TWO, "DENY")),
    Scene("direct_ip", who(f"{{direct_remote_ip: {cidr('127.1.0.0', 16)}}}")),
    Scene("no_length", who(f"{{remote_ip: {cidr('10.0.0.0')}}}")),
    Scene("long_length", who(f"{{remote_ip: {cidr('127.0.0.1', 99)}}}")),
    Scene("other_family", who(f"{{remote_ip: {cidr('::', 0)}}}")),
    Scene("destination_ip", what(f"{{destination_ip: {cidr('127.77.0.0', 16)}}}")),
    Scene("destination_no", what(f"{{destination_ip: {cidr('127.0.0.2', 32)}}}")),
    Scene("port_no", what("{destination_port: 1}")),
    Scene("ports", what(_PORTS)),
    Scene("ports_no", what("{destination_port_range: {start: 0, end: 1}}")),
    Scene("told_source", who(f"{{source_ip: {cidr('10.0.0.0', 8)}}}"), PROXIED),
    Scene("told_remote", who(f"{{remote_ip: {cidr('fd00::', 16)}}}"), PROXIED),
    Scene("told_direct", who(f"{{direct_remote_ip: {cidr('127.0.0.2', 32)}}}"), PROXIED),
    Scene("told_port", what("{destination_port: 80}"), PROXIED),
    Scene("told_destination", what(f"{{destination_ip: {cidr('10.9.0.0', 16)}}}"), PROXIED),
    *(
        Scene(
            f"told_team_{n}",
            who(
                "{metadata: {filter: envoy.filters.listener.proxy_protocol, path: [{key: team}],"
                f" value: {value}}}}}"
            ),
            PROXIED,
        )
        for n, value in enumerate(["{string_match: {exact: red}}", "{present_match: true}"])
    ),
    # -- logic --
    Scene("and", who(f"{{and_ids: {{ids: [{_TWO}, {{any: true}}]}}}}")),
    Scene(
        "or", who(f"{{or_ids: {{ids: [{_TWO}, {{remote_ip: {cidr('127.0.0.1', 32)}}}]}}}}", "DENY")
    ),
    Scene("not", who(f"{{not_id: {_TWO}}}")),
    Scene("rules_and", what(f"{{and_rules: {{rules: [{_PORTS}, {{destination_port: 1}}]}}}}")),
    Scene("rules_or", what(f"{{or_rules: {{rules: [{_PORTS}, {{destination_port: 1}}]}}}}")),
    Scene("rules_not", what(f"{{not_rule: {_PORTS}}}")),
    Scene(
        "first_policy",
        "[{rules: "
        + rules(
            policy("z", "{any: true}", "{any: true}"),
            policy("'a b'", "{any: true}", _TWO),
            policy("B", "{any: true}", f"{{remote_ip: {cidr('127.1.0.0', 16)}}}"),
            action="DENY",
        )
        + "}]",
    ),
    # -- of requests --
    Scene("path", what("{url_path: {path: {prefix: /}}}")),
    Scene("path_not", what("{not_rule: {url_path: {path: {prefix: /}}}}")),
    # -- names --
    Scene("authenticated", who("{authenticated: {}}"), TLS),
    Scene("authenticated_plain", who("{authenticated: {}}")),
    Scene("name_plain", who(name("exact: ''"))),
    Scene("uri", who(name(f"exact: '{ORG}'")), TLS),
    Scene("uri_deny", who(name("prefix: 'spiffe://cluster.local/ns/dev/'"), "DENY"), TLS),
    Scene("uri_regex", who(name("safe_regex: {regex: 'spiffe://[^/]*/ns/prod/.*'}")), TLS),
    Scene("uri_suffix", who(name("suffix: /SA/WEB, ignore_case: true")), TLS),
    Scene("dns_name", who(name("exact: web.test")), TLS),
    Scene("subject", who(name("contains: CN=subject")), TLS),
    Scene("subject_of_named", who(name("contains: CN=prod")), TLS),
    Scene("no_name", who(name("exact: ''")), TLS),
    Scene("some_name", who(name("safe_regex: {regex: '.+'}")), TLS),
    Scene("not_named", who(f"{{not_id: {name('prefix: spiffe')}}}"), TLS),
    Scene("verified", who(verified("any_validated_client_certificate: true")), TLS),
    Scene("verified_plain", who(verified("any_validated_client_certificate: true"))),
    Scene("verified_uri", who(verified(san("URI", f"exact: '{ORG}'"))), TLS),
    Scene("verified_dns", who(verified(san("DNS", "exact: web.test"))), TLS),
    Scene("verified_dns_wild", who(verified(san("DNS", "exact: x.wild.test"))), TLS),
    Scene("verified_email", who(verified(san("EMAIL", "suffix: test"))), TLS),
    Scene("verified_deny", who(verified(san("URI", "prefix: 'spiffe://'")), "DENY"), TLS),
    Scene("rogue", who(name(f"exact: '{ORG}'")), UNTRUSTED, trusts_all=True),
    Scene(
        "rogue_verified",
        who(verified(san("URI", f"exact: '{ORG}'"))),
        UNTRUSTED,
        trusts_all=True,
    ),
    # -- the server name --
    Scene("sni", what("{requested_server_name: {exact: a.test}}"), TLS),
    Scene("sni_suffix", what("{requested_server_name: {suffix: .a.test}}"), TLS),
    Scene("sni_none", what("{requested_server_name: {exact: ''}}"), TLS),
    Scene("sni_plain", what("{requested_server_name: {safe_regex: {regex: '.*'}}}")),
    Scene("sni_uninspected", what("{requested_server_name: {exact: a.test}}"), TLS, inspects=False),
    # -- more than one filter --
    Scene("twice", f"[{{rules: {_ANYBODY}}}, {{rules: {rules(policy('p', _PORTS, _TWO))}}}]"),
    Scene(
        "deny_then_allow",
        f"[{{rules: {rules(policy('no', _PORTS, _TWO), action='DENY')}}}, {{rules: {_ANYBODY}}}]",
        prefix="tcp.",
    ),
    # -- shadow rules --
    Scene("shadow", f"[{{shadow_rules: {_DRY}}}]"),
    Scene(
        "shadow_prefix",
        f"[{{rules: {_ANYBODY}, shadow_rules: {_DRY}, shadow_rules_stat_prefix: dry_}}]",
    ),
    Scene(
        "shadow_dot", f"[{{shadow_rules: {_DRY}, shadow_rules_stat_prefix: 'dry.'}}]", prefix="a.b"
    ),
    Scene("shadow_log", f"[{{shadow_rules: {rules(policy('l', _PORTS, _TWO), action='LOG')}}}]"),
    Scene("shadow_and_deny", f"[{{rules: {{}}, shadow_rules: {_DRY}}}]"),
    # -- metadata --
    Scene("metadata", f"[{{shadow_rules: {_DRY}, rules: {{}}}}]"),
    *(
        Scene(
            f"metadata_{n}",
            f"[{{shadow_rules: {_DRY}}},"
            f" {{rules: {rules(policy('m', metadata(value, more), '{any: true}'))}}}]",
        )
        for n, (value, more) in enumerate(
            [
                ("{string_match: {exact: allowed}}", ""),
                ("{string_match: {exact: allowed}}", ", invert: true"),
                ("{present_match: true}", ""),
                ("{present_match: false}", ""),
                ("{present_match: false}", ", invert: true"),
                ("{bool_match: true}", ""),
                ("{null_match: {}}", ""),
                ("{or_match: {value_matchers: [{bool_match: true}, {present_match: true}]}}", ""),
            ]
        )
    ),
    Scene(
        "metadata_absent",
        what(
            "{sourced_metadata: {metadata_matcher: {filter: x, path: [{key: one}, {key: two}],"
            " value: {present_match: true}, invert: true}}}"
        ),
    ),
    Scene(
        "metadata_flag",
        f"[{{rules: {rules(policy('l', _PORTS, _TWO), action='LOG')}}},"
        " {rules: "
        + rules(
            policy(
                "m",
                "{metadata: {filter: envoy.common, path: [{key: access_log_hint}],"
                " value: {bool_match: true}}}",
                "{any: true}",
            )
        )
        + "}]",
    ),
    # -- when it is asked --
    Scene(
        "continuous",
        f"[{{rules: {_ANYBODY}, shadow_rules: {_DRY}, enforcement_type: CONTINUOUS}}]",
        (Client("twice", does="twice"), Client("two", bind="127.0.0.2"), PLAIN[3]),
    ),
    Scene("once", f"[{{rules: {_ANYBODY}}}]", (Client("twice", does="twice"),)),
    Scene(
        "host_first",
        who(_TWO),
        (
            Client("listen", does="listen"),
            Client("listen-two", bind="127.0.0.2", does="listen"),
        ),
        host="greet",
    ),
    Scene("delayed", f"[{{rules: {rules(policy('p', _PORTS, _TWO))}, delay_deny: 0.2s}}]"),
    Scene("delayed_tls", "[{rules: {}, delay_deny: 0.2s}]", TLS[:3]),
    # -- before HTTP --
    Scene("http_allow", who("{any: true}"), HTTP, http=True),
    Scene("http_two", who(_TWO), HTTP, http=True),
    Scene("http_shadow", f"[{{rules: {_ANYBODY}, shadow_rules: {_DRY}}}]", HTTP, http=True),
    Scene("http_delayed", f"[{{rules: {rules()}, delay_deny: 0.2s}}]", HTTP, http=True),
    Scene(
        "http_continuous",
        f"[{{rules: {_ANYBODY}, enforcement_type: CONTINUOUS}}]",
        HTTP[:2],
        http=True,
    ),
    Scene("https", who(name(f"exact: '{ORG}'")), HTTPS, http=True),
    Scene("https_log", who("{any: true}", "LOG"), HTTPS, http=True),
]
# What only connections have: when they are asked, how long they are held.
_OF_CONNECTIONS = ("continuous", "once", "host_first", "delayed")
SCENES += [
    scene.asked_by_requests()
    for scene in SCENES
    if not scene.http and not scene.id.startswith(_OF_CONNECTIONS)
]
CASES = [(scene.id, client.id) for scene in SCENES for client in scene.clients]
Both = dict[str, Seen]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """What came of both proxies."""
    lab = RbacLab(tmp_path_factory.mktemp("rbac"), SCENES)
    yield {kind: lab.run(kind) for kind in (ENVOY, OURS)}


@pytest.mark.parametrize("case", CASES, ids=[f"{scene}-{client}" for scene, client in CASES])
def test_outcome(both: Both, case: tuple[str, str]) -> None:
    """Who passes, and what a client hears that does not."""
    assert both[OURS].outcomes[case] == both[ENVOY].outcomes[case]


@pytest.mark.parametrize("scene", [scene.id for scene in SCENES])
def test_lines_are_envoys(both: Both, scene: str) -> None:
    """Lines of the proxy or connection manager, and of the listener."""
    assert both[OURS].lines[scene] == both[ENVOY].lines[scene]


def test_statistics_are_envoys(both: Both) -> None:
    """Names and values."""
    assert differences(both[ENVOY].stats, both[OURS].stats) == {}
    assert len(both[ENVOY].stats) > 100


def test_tags_are_envoys(both: Both) -> None:
    """For Prometheus."""
    assert sorted(both[OURS].tagged) == sorted(both[ENVOY].tagged)
    assert len(both[ENVOY].tagged) > 100


def test_cases_both_pass_and_fail(both: Both) -> None:
    """The comparison compares something."""
    outcomes = list(both[ENVOY].outcomes.values())
    assert len(outcomes) >= 60
    assert min(outcomes.count(each) for each in ("allowed", "closed")) > 30
    said = ("HTTP/1.1 200 OK", "HTTP/1.1 403 Forbidden")
    assert min(outcomes.count(each) for each in said) > 50
