"""Header mutation at route, virtual host and RouteConfiguration, with format operators."""

from __future__ import annotations

from tests.differential.model import Case, Group, Listener, reply, req

_ACTIONS = ["APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS"]


def _adds(where: str) -> str:
    """Every append action, named after the level."""
    rows = [
        f"{{header: {{key: x-{action.lower().replace('_', '-')}, value: {where}}}, append_action: {action}}}"
        for action in _ACTIONS
    ]
    return "[" + ", ".join(rows) + "]"


_LEVELS = f"""
request_headers_to_add: {_adds("config")}
response_headers_to_add: {_adds("config")}
request_headers_to_remove: [x-gone-config]
response_headers_to_remove: [x-gone-config]
virtual_hosts:
- name: all
  domains: ["*"]
  request_headers_to_add: {_adds("vhost")}
  response_headers_to_add: {_adds("vhost")}
  request_headers_to_remove: [x-gone-vhost]
  response_headers_to_remove: [x-gone-vhost]
  routes:
  - name: direct
    match: {{prefix: /direct}}
    direct_response: {{status: 200, body: {{inline_string: d}}}}
    response_headers_to_add: {_adds("route")}
  - name: all
    match: {{prefix: /}}
    route: {{cluster: a}}
    request_headers_to_add: {_adds("route")}
    response_headers_to_add: {_adds("route")}
    request_headers_to_remove: [x-gone-route, X-Gone-Case]
    response_headers_to_remove: [x-gone-route]
"""

_OPERATORS = {
    "x-remote": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "x-remote-port": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "x-direct": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
    "x-local": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "x-local-port": "%DOWNSTREAM_LOCAL_PORT%",
    "x-local-wo": "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%",
    "x-req": "%REQ(x-in)%",
    "x-req-alt": "%REQ(x-missing?x-in)%",
    "x-req-max": "%REQ(x-in):3%",
    "x-req-missing": "%REQ(x-missing)%",
    "x-req-mixed": "a-%REQ(x-missing)%-b-%REQ(x-in)%",
    "x-protocol": "%PROTOCOL%",
    "x-percent": "100%%",
    "x-path": "%REQ(:PATH)%",
    "x-method": "%REQ(:METHOD)%",
    "x-authority": "%REQ(:AUTHORITY)%",
    "x-scheme": "%REQ(:SCHEME)%",
    "x-hostname-env": "%ENVIRONMENT(NOT_SET_ANYWHERE)%",
    "x-route": "%ROUTE_NAME%",
    "x-cluster": "%UPSTREAM_CLUSTER%",
    "x-tls": "%DOWNSTREAM_TLS_VERSION%",
    "x-host-up": "%UPSTREAM_HOST%",
    "x-up-addr": "%UPSTREAM_REMOTE_ADDRESS%",
    "x-code": "%RESPONSE_CODE%",
    "x-flags": "%RESPONSE_FLAGS%",
    "x-details": "%RESPONSE_CODE_DETAILS%",
    "x-query": "%QUERY_PARAM(q)%",
    "x-path-op": "%PATH(NQ)%",
    "x-filterchain": "%FILTER_CHAIN_NAME%",
}


def _operators() -> str:
    return "[" + ", ".join(
        f"{{header: {{key: {k}, value: '{v}'}}}}" for k, v in _OPERATORS.items()
    ) + "]"


_RESPONSE_OPERATORS = "[" + ", ".join([
    "{header: {key: x-code, value: '%RESPONSE_CODE%'}}",
    "{header: {key: x-resp, value: '%RESP(x-up)%'}}",
    "{header: {key: x-req, value: '%REQ(x-in)%'}}",
    "{header: {key: x-flags, value: '%RESPONSE_FLAGS%'}}",
    "{header: {key: x-details, value: '%RESPONSE_CODE_DETAILS%'}}",
    "{header: {key: x-host-up, value: '%UPSTREAM_HOST%'}}",
    "{header: {key: x-cluster, value: '%UPSTREAM_CLUSTER%'}}",
    "{header: {key: x-route, value: '%ROUTE_NAME%'}}",
    "{header: {key: x-proto, value: '%PROTOCOL%'}}",
    "{header: {key: x-remote, value: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%'}}",
]) + "]"

_OPERATOR_ROUTES = f"""
virtual_hosts:
- name: all
  domains: ["*"]
  routes:
  - name: gone
    match: {{prefix: /gone}}
    route: {{cluster: refused}}
    response_headers_to_add: {_RESPONSE_OPERATORS}
  - name: ops
    match: {{prefix: /}}
    route: {{cluster: a}}
    request_headers_to_add: {_operators()}
    response_headers_to_add: {_RESPONSE_OPERATORS}
"""

_METADATA = """
virtual_hosts:
- name: all
  domains: ["*"]
  request_headers_to_add: [{header: {key: x-dyn, value: "%DYNAMIC_METADATA(a:b)%"}}]
  routes:
  - {match: {prefix: /}, route: {cluster: a}}
"""

_MORE = """
virtual_hosts:
- name: all
  domains: ["*"]
  routes:
  - name: plain
    match: {prefix: /plain}
    route: {cluster: a}
  - name: keep_empty
    match: {prefix: /empty}
    route: {cluster: a}
    request_headers_to_add:
    - {header: {key: x-empty, value: ""}}
    - {header: {key: x-keep, value: ""}, keep_empty_value: true}
    - {header: {key: x-keep-missing, value: "%REQ(x-nothing)%"}, keep_empty_value: true}
    response_headers_to_add:
    - {header: {key: x-keep, value: ""}, keep_empty_value: true}
  - name: append_false
    match: {prefix: /append}
    route: {cluster: a}
    request_headers_to_add:
    - {header: {key: x-bool, value: new}, append: false}
    - {header: {key: x-bool-true, value: new}, append: true}
  - name: order
    match: {prefix: /order}
    route: {cluster: a}
    request_headers_to_add:
    - {header: {key: x-both, value: added}}
    request_headers_to_remove: [x-both]
  - name: inline
    match: {prefix: /inline}
    route: {cluster: a}
    request_headers_to_add:
    - {header: {key: user-agent, value: added}}
    - {header: {key: x-forwarded-for, value: "9.9.9.9"}}
    - {header: {key: cookie, value: "b=2"}}
    response_headers_to_add:
    - {header: {key: server, value: mine}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
    - {header: {key: date, value: never}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
    - {header: {key: vary, value: x}}
    - {header: {key: set-cookie, value: c=3}}
  - name: remove_std
    match: {prefix: /std}
    route: {cluster: a}
    request_headers_to_remove: [user-agent, accept, x-request-id, x-forwarded-proto, x-envoy-expected-rq-timeout-ms]
    response_headers_to_remove: [server, date, x-envoy-upstream-service-time, content-type]
"""

_UP = reply(
    "200 OK",
    "x-append-if-exists-or-add: up",
    "x-add-if-absent: up",
    "x-overwrite-if-exists-or-add: up",
    "x-overwrite-if-exists: up",
    "x-gone-config: 1",
    "x-gone-vhost: 1",
    "x-gone-route: 1",
    "x-keep: 1",
)
_ALL = [
    "x-append-if-exists-or-add: client",
    "x-add-if-absent: client",
    "x-overwrite-if-exists-or-add: client",
    "x-overwrite-if-exists: client",
]

GROUP = Group(
    name="headers",
    listeners={
        "levels": Listener(_LEVELS),
        "reverse": Listener("most_specific_header_mutations_wins: true\n" + _LEVELS),
        "ops": Listener(_OPERATOR_ROUTES),
        "more": Listener(_MORE),
        "metadata": Listener(_METADATA),
    },
    clusters="""
- name: refused
  type: STATIC
  connect_timeout: 1s
  load_assignment:
    cluster_name: refused
    endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${refused}}}}}]}]
""",
    cases=[
        Case("levels_absent", req(), "levels"),
        Case("levels_present", req("/", *_ALL), "levels", script=_UP),
        Case("levels_twice", req("/", *_ALL, *_ALL), "levels", script=_UP),
        Case("levels_reverse_absent", req(), "reverse"),
        Case("levels_reverse_present", req("/", *_ALL), "reverse", script=_UP),
        Case("levels_direct", req("/direct"), "levels"),
        Case("levels_removed",
             req("/", "x-gone-config: 1", "X-Gone-VHOST: 1", "x-gone-route: 1", "x-gone-case: 1",
                 "x-stays: 1"), "levels"),
        Case("operators", req("/p?q=v", "x-in: hello"), "ops", script=reply("201 Created", "x-up: u")),
        Case("operators_missing", req("/p"), "ops"),
        Case("operators_multi_value", req("/p", "x-in: one", "x-in: two"), "ops"),
        Case("operators_local_reply", req("/gone", "x-in: hello"), "ops"),
        Case("dynamic_metadata", req(), "metadata"),
        Case("empty_values", req("/empty"), "more"),
        Case("append_bool", req("/append", "x-bool: old", "x-bool-true: old"), "more"),
        Case("add_and_remove", req("/order", "x-both: client"), "more"),
        Case("inline_headers",
             req("/inline", "User-Agent: ua", "x-forwarded-for: 1.1.1.1", "cookie: a=1"), "more",
             script=reply("200 OK", "vary: y", "set-cookie: a=1", "set-cookie: b=2", "server: up",
                          "date: Mon, 01 Jan 2024 00:00:00 GMT")),
        Case("remove_standard", req("/std", "User-Agent: ua", "Accept: */*"), "more",
             script=reply("200 OK", "content-type: text/plain")),
        Case("duplicates_pass", req("/plain", "x-d: 1", "x-d: 2", "x-d: 1"),
             "more", script=reply("200 OK", "x-r: 1", "x-r: 2", "x-r: 1")),
    ],
)
