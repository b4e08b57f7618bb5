"""Upgrades and CONNECT: statuses, what the upstream sees, the log line."""

from __future__ import annotations

from tests.differential.model import TO_A, Case, Group, Listener, raw, req, response
from tests.support.client import Await, Pause

_WS = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: x",
    "Sec-WebSocket-Version: 13",
]
_UPGRADES = "upgrade_configs: [{upgrade_type: websocket}]"
_SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"
_CONNECT = b"CONNECT target.test:443 HTTP/1.1\r\nHost: target.test:443\r\n\r\n"
_ROUTES = """
virtual_hosts:
- name: all
  domains: ["*"]
  routes:
  - match: {prefix: /off}
    route: {cluster: a, upgrade_configs: [{upgrade_type: websocket, enabled: false}]}
  - match: {prefix: /foo}
    route: {cluster: a, upgrade_configs: [{upgrade_type: Foo}]}
  - match: {prefix: /direct}
    direct_response: {status: 200, body: {inline_string: direct}}
  - match: {prefix: /short}
    route: {cluster: a, timeout: 0.2s}
  - match: {prefix: /}
    route: {cluster: a}
"""
_CONNECT_ROUTE = """
virtual_hosts:
- name: all
  domains: ["*"]
  routes:
  - match: {connect_matcher: {}}
    route: {cluster: a%s}
"""

GROUP = Group(
    name="upgrades",
    listeners={
        "main": Listener(_ROUTES, _UPGRADES),
        "none": Listener(TO_A),
        "connect": Listener(_CONNECT_ROUTE % ", upgrade_configs: [{upgrade_type: CONNECT}]"),
        "connect_by_manager": Listener(
            _CONNECT_ROUTE % "", "upgrade_configs: [{upgrade_type: CONNECT}]"
        ),
        "connect_off": Listener(_CONNECT_ROUTE % ""),
    },
    cases=[
        Case(
            "switched_and_closed",
            (req("/", *_WS), Await()),
            script=raw(_SWITCH, 0.2, "close", after="head"),
            ignore=("log.0.flags", "log.0.details"),
        ),
        Case("not_configured", req("/", *_WS), "none"),
        Case("other_type", req("/", "Connection: upgrade", "Upgrade: foo")),
        Case("two_lines", req("/", *_WS, "Upgrade: foo")),
        Case("off_for_the_route", req("/off", *_WS)),
        Case(
            "on_for_the_route_only",
            req("/foo", "Connection: upgrade", "Upgrade: fOO"),
            script=raw(response("400 Bad Request"), after="head"),
        ),
        *(
            Case(
                f"{method.lower()}_{name}",
                req("/", *_WS, *lines, method=method),
                script=raw(_SWITCH, 0.2, "close", after="head"),
                ignore=("log.0.flags", "log.0.details"),
            )
            for method in ("PUT", "POST", "DELETE")
            for name, lines in {"no_length": (), "length_0": ("Content-Length: 0",)}.items()
        ),
        Case(
            "put_answer_200",
            req("/", *_WS, "Content-Length: 0", method="PUT"),
            script=raw(response("200 OK"), after="head"),
        ),
        Case("direct_response", req("/direct", *_WS)),
        Case("answer_403", req("/", *_WS), script=raw(response("403 Forbidden"), after="head")),
        Case(
            "answer_302",
            req("/", *_WS),
            script=raw(response("302 Found", "location: /x"), after="head"),
        ),
        Case(
            "answer_304",
            req("/", *_WS),
            script=raw(b"HTTP/1.1 304 Not Modified\r\n\r\n", after="head"),
        ),
        Case("answer_200", req("/", *_WS), script=raw(response("200 OK"), after="head")),
        Case(
            "answer_426", req("/", *_WS), script=raw(response("426 Upgrade Required"), after="head")
        ),
        Case(
            "answer_too_late", (req("/short", *_WS), Pause(0.4)), script=raw("hang", after="head")
        ),
        Case("no_route_is_404", _CONNECT, "none"),
        Case("connect_off_is_403", _CONNECT, "connect_off"),
        Case(
            "connect_refused_upstream",
            _CONNECT,
            "connect",
            script=raw(response("502 Bad Gateway"), after="head"),
        ),
        Case(
            "connect_by_manager_refused_upstream",
            _CONNECT,
            "connect_by_manager",
            script=raw(response("403 Forbidden"), after="head"),
        ),
    ],
)
