"""The HTTP filter `fault`: delays and aborts, fixed or asked for by headers, and of routes."""

from __future__ import annotations

from tests.differential.http_filters import a_filter, chain, host, per_filter, route, table, typed
from tests.differential.model import Case, Group, Listener, ask, reply, req

_FAULT = "fault.v3.HTTPFault"
_LOG = (
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %ROUTE_NAME% %UPSTREAM_CLUSTER%"
    " %BYTES_RECEIVED% %GRPC_STATUS%\n"
)
_ALL = "percentage: {numerator: 100}"
_TEAPOT = f"abort: {{http_status: 418, {_ALL}}}"
_SOON = f"delay: {{fixed_delay: 0.02s, {_ALL}}}"
_HEADERS = f"delay: {{header_delay: {{}}, {_ALL}}}, abort: {{header_abort: {{}}, {_ALL}}}"
_RESPONSE = 'response_headers_to_add: [{header: {key: x-route, value: "yes"}}]'


def _route(name: str, fields: str, action: str = "route: {cluster: a}") -> str:
    return route(name, per_filter(fault=typed(_FAULT, fields)), action)


_WEIGHTED = (
    "route: {weighted_clusters: {clusters: [{name: a, weight: 1, "
    + per_filter(fault=typed(_FAULT, _TEAPOT))
    + "}]}}"
)
_ROUTES = table(
    host(
        "all",
        "*",
        _route("abort", _TEAPOT),
        _route("body", f"abort: {{http_status: 503, response_body: hey, {_ALL}}}"),
        _route("grpc", f"abort: {{grpc_status: 14, {_ALL}}}"),
        _route("odd-grpc", f"abort: {{grpc_status: 99, {_ALL}}}"),
        _route("204", f"abort: {{http_status: 204, {_ALL}}}"),
        _route("delay", _SOON),
        _route("both", f"{_SOON}, {_TEAPOT}"),
        _route("long", f"delay: {{fixed_delay: 5s, {_ALL}}}"),
        _route("none", f"delay: {{fixed_delay: 0.0000001s, {_ALL}}}"),
        _route("asked", _HEADERS),
        _route(
            "asked-part",
            "delay: {header_delay: {}, percentage: {numerator: 0}},"
            " abort: {header_abort: {}, percentage: {numerator: 0}}",
        ),
        _route("never", "abort: {http_status: 418}, delay: {fixed_delay: 5s}"),
        _route(
            "user", f"{_TEAPOT}, headers: [{{name: x-user, string_match: {{exact: jason}}}}]"
        ),
        _route("to-b", f"{_TEAPOT}, upstream_cluster: b"),
        _route("to-a", f"{_TEAPOT}, upstream_cluster: a"),
        _route("nodes", f"{_TEAPOT}, downstream_nodes: [n1, n2]"),
        _route("most", f"{_TEAPOT}, max_active_faults: 0"),
        _route("uncounted", f"{_TEAPOT}, disable_downstream_cluster_stats: true"),
        _route("direct", _TEAPOT, "direct_response: {status: 200}"),
        _route("redirect", _TEAPOT, "redirect: {path_redirect: /z}"),
        _route("nowhere", f"{_TEAPOT}, upstream_cluster: nowhere", "route: {cluster: nowhere}"),
        _route("headers", _TEAPOT, "route: {cluster: a}, " + _RESPONSE),
        route("weighted", per_filter(fault=typed(_FAULT)), _WEIGHTED),
        _route("refused", _SOON, "route: {cluster: refused}"),
    )
)


def _case(name: str, *headers: str, path: str = "", method: str = "GET", body: bytes = b"") -> Case:
    send = req("/" + (path or name), *headers, method=method, body=body)
    return Case(name, send, script=reply())


_GRPC = "content-type: application/grpc"
_DELAY, _ABORT = "x-envoy-fault-delay-request", "x-envoy-fault-abort-request"
_ABORT_GRPC = "x-envoy-fault-abort-grpc-request"
_ASKED = {
    "nothing": [],
    "delay": [f"{_DELAY}: 20"],
    "delay-bad": [f"{_DELAY}: abc"],
    "delay-zero": [f"{_DELAY}: 0"],
    "abort": [f"{_ABORT}: 429"],
    "abort-low": [f"{_ABORT}: 199"],
    "abort-high": [f"{_ABORT}: 600"],
    "abort-200": [f"{_ABORT}: 200"],
    "abort-twice": [f"{_ABORT}: 429", f"{_ABORT}: 430"],
    "abort-empty": [f"{_ABORT}:"],
    "both": [f"{_DELAY}: 20", f"{_ABORT}: 429"],
    "grpc": [f"{_ABORT_GRPC}: 5", _GRPC],
    "grpc-plain": [f"{_ABORT_GRPC}: 5"],
    "grpc-bad": [f"{_ABORT_GRPC}: x", _GRPC],
    "grpc-high": [f"{_ABORT_GRPC}: 17", _GRPC],
    "grpc-and-http": [f"{_ABORT_GRPC}: 5", f"{_ABORT}: 429"],
    "share-none": [f"{_ABORT}: 429", f"{_ABORT}-percentage: 0"],
    "share-more": [f"{_ABORT}: 429", f"{_ABORT}-percentage: 200"],
    "share-bad": [f"{_ABORT}: 429", f"{_ABORT}-percentage: x"],
    "delay-share-none": [f"{_DELAY}: 20", f"{_DELAY}-percentage: 0"],
}
_NODE, _CLUSTER = "x-envoy-downstream-service-node", "x-envoy-downstream-service-cluster"
GROUP = Group(
    name="fault",
    doc=__doc__,
    listeners={
        "main": Listener(_ROUTES, chain(a_filter("fault", _FAULT)), _LOG),
        "own": Listener(_ROUTES, chain(a_filter("fault", _FAULT, _TEAPOT)), _LOG),
        "idle": Listener(
            _ROUTES, chain(a_filter("fault", _FAULT)) + "\nstream_idle_timeout: 0.1s", _LOG
        ),
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
        *(
            _case(name)
            for name in (
                "abort body grpc odd-grpc 204 delay both none never user to-b to-a nodes most"
                " direct redirect nowhere headers weighted refused elsewhere"
            ).split()
        ),
        _case("abort-post", path="abort", method="POST", body=b"abc"),
        _case("abort-head", path="abort", method="HEAD"),
        _case("abort-grpc", _GRPC, path="abort", method="POST"),
        _case("grpc-grpc", _GRPC, path="grpc", method="POST"),
        _case("odd-grpc-grpc", _GRPC, path="odd-grpc", method="POST"),
        _case("delay-post", path="delay", method="POST", body=b"abc"),
        _case(
            "delay-chunked",
            "transfer-encoding: chunked",
            path="delay",
            method="POST",
            body=b"3\r\nabc\r\n0\r\n\r\n",
        ),
        _case("user-jason", "x-user: jason", path="user"),
        _case("nodes-n2", f"{_NODE}: n2", path="nodes"),
        _case("abort-fixed", f"{_ABORT}: 429", f"{_ABORT}-percentage: 0", path="abort"),
        _case("delay-fixed", f"{_DELAY}-percentage: 0", path="delay"),
        _case("from", f"{_CLUSTER}: web", path="abort"),
        _case("from-delayed", f"{_CLUSTER}: web.x y", path="delay"),
        _case("from-uncounted", f"{_CLUSTER}: other", path="uncounted"),
        *(_case(f"asked-{name}", *lines, path="asked") for name, lines in _ASKED.items()),
        _case("asked-part", f"{_DELAY}: 20", f"{_ABORT}: 429"),
        Case("h2", ask("/both")),
        Case("h2-delay", ask("/delay", method="POST", body=b"abc"), script=reply()),
        Case("h2-grpc", ask("/grpc", ("content-type", "application/grpc"))),
        Case("idle", req("/long"), "idle"),
        Case("idle-post", req("/long", "content-length: 5", method="POST"), "idle"),
        Case("own-no-route", req("/elsewhere"), "own"),
        Case("own-weighted", req("/weighted"), "own", reply()),
        Case(
            "pipelined",
            req("/delay") + req("/delay"),
            script=[*reply(), *reply()],
            responses=2,
            methods="GET GET",
        ),
    ],
)
