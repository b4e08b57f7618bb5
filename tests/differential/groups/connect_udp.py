"""CONNECT-UDP: which requests are let through, what the upstream sees of them, and refusals.

What ends at the proxy (`connect_config`) is in `test_connect_udp.py`, which has datagrams.
"""

from __future__ import annotations

from tests.differential.model import Ask, Case, Group, Listener, raw, response
from tests.support.client import Await
from tests.support.masque import CAPSULE, PATH, connect_request, upgrade_request

_UDP = "upgrade_configs: [{upgrade_type: CONNECT-UDP}]"
_HTTP2 = "http2_protocol_options: {allow_connect: true}"
_ROUTE = """
virtual_hosts:
- name: all
  domains: ["*"]
  routes:
  - name: by_matcher
    match: {connect_matcher: {}}
    route: {cluster: %s}
"""
_HOSTS = """
virtual_hosts:
- name: target
  domains: ["target.test:53"]
  routes:
  - {match: {connect_matcher: {}}, route: {cluster: a, prefix_rewrite: /new}}
- name: proxy
  domains: [proxy.test]
  routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: proxy}}}]
"""
_SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: connect-udp\r\n"
    b"capsule-protocol: ?1\r\n\r\n"
)
# An upstream that closes ends the tunnel: Envoy resets it, ours ends it (docs/differences.md).
_ENDS = (
    "log.0.flags",
    "log.0.details",
    "responses.0.reset",
    "responses.0.incomplete",
    "connection",
)
# The end of the request goes on when the tunnel is open, so that it is not complete before.
_SERVICE_TIME = ("responses.0.headers",)
_WELL_KNOWN = "/.well-known/masque/udp/"


def _ask(path: str = PATH, *more: tuple[str, str]) -> tuple[Ask]:
    return (Ask(connect_request(path, *more), b""),)


_PATHS = {
    "other": "/",
    "no_well_known": "/masque/udp/a/53/",
    "no_host": f"{_WELL_KNOWN}/53/",
    "no_port": f"{_WELL_KNOWN}a//",
    "no_slash": f"{_WELL_KNOWN}a/53",
    "more_behind": f"{_WELL_KNOWN}a/53/x",
    "query": f"{_WELL_KNOWN}a/53/?x=y",
    "too_many_parts": f"{_WELL_KNOWN}a/b/53/",
    "dots": f"{_WELL_KNOWN}../a/53/",
    "zone": f"{_WELL_KNOWN}fe80::a%25ee1/53/",
    "encoded_twice": f"{_WELL_KNOWN}fe80%253A%253A1/53/",
    "not_encoded": f"{_WELL_KNOWN}a%zz/53/",
}
_HOSTS_TAKEN = {
    "ipv6": f"{_WELL_KNOWN}2001:db8::1/53/",
    "ipv6_encoded": f"{_WELL_KNOWN}2001%3Adb8%3a%3A1/53/",
    "ipv4": f"{_WELL_KNOWN}192.0.2.1/443/",
    "star": f"{_WELL_KNOWN}*/53/",
}
_HOSTS_ONLY_ENVOY_TAKES = {
    "slash_in_host": f"{_WELL_KNOWN}a%2Fb/53/",
    "space_in_host": f"{_WELL_KNOWN}a%20b/53/",
    "question_in_host": f"{_WELL_KNOWN}a?/53/",
    "named_port": f"{_WELL_KNOWN}a/http/",
    "port_too_large": f"{_WELL_KNOWN}a/99999/",
}
_REFUSED_UPSTREAM = raw(response("403 Forbidden"), after="head")

GROUP = Group(
    name="connect_udp",
    listeners={
        "main": Listener(_ROUTE % "a", f"{_UDP}\n{_HTTP2}"),
        "off": Listener(_ROUTE % "a", _HTTP2),
        "other_type": Listener(
            _ROUTE % "a", f"upgrade_configs: [{{upgrade_type: CONNECT}}]\n{_HTTP2}"
        ),
        "off_for_the_route": Listener(
            _ROUTE % "a, upgrade_configs: [{upgrade_type: CONNECT-UDP, enabled: false}]",
            f"{_UDP}\n{_HTTP2}",
        ),
        "hosts": Listener(_HOSTS, f"{_UDP}\n{_HTTP2}"),
        "normal": Listener(
            _ROUTE % "a", f"{_UDP}\n{_HTTP2}\nnormalize_path: true\nmerge_slashes: true"
        ),
        "no_ports": Listener(_ROUTE % "a", f"{_UDP}\n{_HTTP2}\nstrip_any_host_port: true"),
    },
    cases=[
        Case(
            "switched",
            (upgrade_request(), Await()),
            script=raw(_SWITCH, 0.2, "close", after="head"),
            ignore=_ENDS,
        ),
        Case(
            "switched_2to1",
            _ask(),
            script=raw(_SWITCH, 0.2, "close", after="head"),
            ignore=(*_ENDS, *_SERVICE_TIME),
        ),
        Case("refused_upstream", upgrade_request(), script=_REFUSED_UPSTREAM),
        Case("refused_upstream_2to1", _ask(), script=_REFUSED_UPSTREAM, ignore=_SERVICE_TIME),
        Case("not_configured", upgrade_request(), "off"),
        Case("not_configured_2", _ask(), "off"),
        Case("only_connect", upgrade_request(), "other_type"),
        Case("only_connect_2", _ask(), "other_type"),
        Case("off_for_the_route", upgrade_request(), "off_for_the_route"),
        Case("other_upgrade", upgrade_request().replace(b"connect-udp", b"websocket")),
        Case("other_upgrade_first", upgrade_request().replace(b": connect", b": x, connect")),
        Case("not_an_upgrade", upgrade_request().replace(b"Connection: Upgrade\r\n", b"")),
        Case("by_target", upgrade_request(), "hosts", _REFUSED_UPSTREAM),
        Case("by_target_other", upgrade_request(f"{_WELL_KNOWN}other.test/53/"), "hosts"),
        Case("by_target_other_port", upgrade_request(f"{_WELL_KNOWN}target.test/54/"), "hosts"),
        Case("before_normalising", upgrade_request(f"{_WELL_KNOWN}x/../a/53/"), "normal"),
        Case("before_merging", upgrade_request("/.well-known//masque/udp/a/53/"), "normal"),
        Case("normal", upgrade_request(), "normal", _REFUSED_UPSTREAM),
        Case("without_port", upgrade_request(), "no_ports", _REFUSED_UPSTREAM),
        Case(
            "any_case",
            upgrade_request().replace(b"connect-udp", b"Connect-UDP"),
            script=_REFUSED_UPSTREAM,
        ),
        Case(
            "without_capsule_protocol",
            upgrade_request().replace(b"Capsule-Protocol: ?1\r\n", b""),
            script=_REFUSED_UPSTREAM,
        ),
        Case(
            "connect_with_upgrade",
            b"CONNECT a:53 HTTP/1.1\r\nHost: a:53\r\nUpgrade: connect-udp\r\n\r\n",
        ),
        *(Case(f"path_{name}", upgrade_request(path)) for name, path in _PATHS.items()),
        Case("path_other_2", _ask("/")),
        *(
            Case(f"host_{name}", upgrade_request(path), script=_REFUSED_UPSTREAM)
            for name, path in (_HOSTS_TAKEN | _HOSTS_ONLY_ENVOY_TAKES).items()
        ),
        Case(
            "host_ipv6_2to1",
            _ask(_HOSTS_TAKEN["ipv6_encoded"]),
            script=_REFUSED_UPSTREAM,
            ignore=_SERVICE_TIME,
        ),
        Case(
            "answer_200",
            upgrade_request(),
            script=raw(response("200 OK", f"{CAPSULE[0]}: {CAPSULE[1]}"), after="head"),
        ),
    ],
)
