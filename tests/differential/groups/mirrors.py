"""Request mirroring: what the copy looks like, and that nothing that becomes of it matters."""

from __future__ import annotations

from tests.differential.model import Case, Group, Listener, ask, raw, reply, req
from tests.support.client import Pause
from tests.support.h2peer import Answer
from tests.support.upstream import Reply


def _route(name: str, policies: str, more: str = "") -> str:
    return (
        f"  - {{name: {name}, match: {{prefix: /{name}/}}, {more}"
        f"route: {{cluster: a, timeout: 0s, request_mirror_policies: [{policies}]}}}}\n"
    )


_ALL = "{default_value: {numerator: 100, denominator: HUNDRED}}"
_NONE = "{default_value: {numerator: 0, denominator: MILLION}}"
_ROUTES = (
    """
virtual_hosts:
- name: of_host
  domains: [of-host]
  request_mirror_policies: [{cluster: b}]
  routes:
  - {name: rest, match: {prefix: /}, route: {cluster: a, timeout: 0s}}
- name: all
  domains: ["*"]
  include_request_attempt_count: true
  routes:
"""
    + _route("plain", "{cluster: b}")
    + _route("all", f"{{cluster: b, runtime_fraction: {_ALL}}}")
    + _route("none", f"{{cluster: b, runtime_fraction: {_NONE}}}")
    + _route("keeps", "{cluster: b, disable_shadow_host_suffix_append: true}")
    + _route("header", "{cluster_header: x-mirror}")
    + _route("h2", "{cluster: h2}")
    + _route("refused", "{cluster: refused}")
    + _route("small", "{cluster: b}", "request_body_buffer_limit: 4, ")
    + _route("rewritten", "{cluster: b}").replace("timeout", "prefix_rewrite: /new/, timeout")
    + """
  - name: retried
    match: {prefix: /retried/}
    route:
      cluster: a
      timeout: 0s
      retry_policy: {retry_on: 5xx, retry_back_off: {base_interval: 0.002s}}
      request_mirror_policies: [{cluster: b}]
  - name: timed
    match: {prefix: /timed/}
    route: {cluster: a, timeout: 5s, request_mirror_policies: [{cluster: b}]}
"""
)
_CLUSTERS = """
- name: refused
  type: STATIC
  connect_timeout: 1s
  load_assignment:
    cluster_name: refused
    endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${refused}}}}}]}]
"""
_CHUNKED = (
    b"POST /plain/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
)
_HALF = b"POST /plain/ HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabcde"
_INTERNAL = (
    "internal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}]}\n"
    "use_remote_address: true"
)

GROUP = Group(
    name="mirrors",
    listeners={
        "main": Listener(_ROUTES),
        "internal": Listener(_ROUTES, _INTERNAL),
        "h2": Listener(_ROUTES, "codec_type: HTTP2"),
    },
    clusters=_CLUSTERS,
    http2=("h2",),
    cases=[
        Case("get", req("/plain/")),
        Case("get_with_port", req("/plain/", host="host.example:8080")),
        Case("internal", req("/plain/"), "internal"),
        Case("forwarded", req("/plain/", "x-forwarded-for: 1.2.3.4")),
        Case("head", req("/plain/", method="HEAD")),
        Case("body", req("/plain/", method="POST", body=b"hello")),
        Case("body_chunked", _CHUNKED),
        Case("body_in_parts", (_HALF, Pause(0.1), b"fghij")),
        Case("body_over_the_limit", req("/small/", method="POST", body=b"hello")),
        Case("body_at_the_limit", req("/small/", method="POST", body=b"four")),
        Case("of_host", req("/", host="of-host")),
        Case("fraction_all", req("/all/")),
        Case("fraction_none", req("/none/")),
        Case("keeps_host", req("/keeps/")),
        Case("by_header", req("/header/", "x-mirror: b")),
        Case("by_header_unknown", req("/header/", "x-mirror: nobody")),
        Case("by_header_absent", req("/header/")),
        Case("to_http2", req("/h2/", method="POST", body=b"hello")),
        Case("to_nobody", req("/refused/")),
        Case("rewritten", req("/rewritten/a")),
        Case("timed", req("/timed/")),
        Case("copy_fails", req("/plain/"), script={"b": [Reply(("reset",))]}),
        Case("copy_hangs", req("/plain/"), script={"b": raw("hang")}),
        Case("copy_is_an_error", req("/plain/"), script={"b": reply("500 Oops")}),
        Case("copy_is_long", req("/plain/"), script={"b": reply(body=b"x" * 100_000)}),
        Case("answered_with_an_error", req("/plain/"), script=reply("503 Busy")),
        Case("retried_is_mirrored_once", req("/retried/", method="POST", body=b"hello"),
             script=reply("503 Busy") + reply()),
        Case("twice_on_a_connection", req("/plain/1") + req("/plain/2"), responses=2,
             methods="GET GET", any_order=True),
        Case("client2", ask("/plain/", method="POST", body=b"hello"), "h2"),
        Case("client2_to_http2_trailers",
             ask("/h2/", method="POST", body=b"hello", trailers=[("x-end", "1")]), "h2",
             script={"h2": [Answer()]}),
    ],
)
