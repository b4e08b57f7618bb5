"""Upstreams that fail: which status, body, flag and details come out."""

from __future__ import annotations

from tests.differential.model import Case, Group, Listener, raw, req, response
from tests.support.client import AwaitHead, Pause, Reset
from tests.support.upstream import Reply

_CLUSTERS = ["a", "refused", "blackhole", "none", "no_requests", "no_pending",
             "no_connections", "one_request", "dns_fails", "limited"]


def _routes() -> str:
    text = "virtual_hosts:\n- name: all\n  domains: ['*']\n  routes:\n"
    for name in _CLUSTERS:
        text += f"  - {{name: {name}, match: {{prefix: /{name}/}}, route: {{cluster: {name}}}}}\n"
    return text + "  - {name: rest, match: {prefix: /}, route: {cluster: a}}\n"


def _static(name: str, extra: str, port: str = "${a}") -> str:
    return f"""
- name: {name}
  type: STATIC
  connect_timeout: 0.3s
  load_assignment:
    cluster_name: {name}
    endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}]
{extra}
"""


_PROTO = (
    "  typed_extension_protocol_options:\n"
    "    envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n"
    "      '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n"
    "      explicit_http_config: {http_protocol_options: {}}\n"
)
_CLUSTER_YAML = (
    _static("refused", "", "${refused}")
    + _static("blackhole", "", "${blackhole}")
    + "\n- {name: none, type: STATIC, connect_timeout: 1s}\n"
    + _static("no_requests", "  circuit_breakers: {thresholds: [{max_requests: 0}]}")
    + _static("no_pending", "  circuit_breakers: {thresholds: [{max_pending_requests: 0}]}")
    + _static("no_connections", "  circuit_breakers: {thresholds: [{max_connections: 0}]}")
    + _static("one_request", "  circuit_breakers: {thresholds: [{max_requests: 1}]}")
    + """
- name: dns_fails
  type: STRICT_DNS
  connect_timeout: 0.3s
  load_assignment:
    cluster_name: dns_fails
    endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: no-such-host.invalid, port_value: 1}}}}]}]
"""
    + _static(
        "limited",
        _PROTO + "      common_http_protocol_options: {max_headers_count: 5, max_response_headers_kb: 1}\n",
    )
)
_CL10 = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"
_CH = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
_HUGE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-big: " + b"a" * 90_000 + b"\r\n\r\nok"
_MANY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" + b"".join(
    b"x-%d: 1\r\n" % i for i in range(120)) + b"\r\nok"
_GARBAGE = {
    "garbage": b"this is not http\r\n\r\n",
    "garbage_binary": b"\x00\x01\x02\x03\x04",
    "bad_version": b"HTTP/9.9 200 OK\r\ncontent-length: 0\r\n\r\n",
    "bad_status": b"HTTP/1.1 abc OK\r\ncontent-length: 0\r\n\r\n",
    "status_99": b"HTTP/1.1 99 Low\r\ncontent-length: 0\r\n\r\n",
    "status_1000": b"HTTP/1.1 1000 High\r\ncontent-length: 0\r\n\r\n",
    "bad_length": b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
    "two_lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc",
    "two_lengths_same": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nab",
    "cl_and_te": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "te_gzip": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nab",
    "te_gzip_chunked": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "space_before_colon": b"HTTP/1.1 200 OK\r\nx-a : b\r\ncontent-length: 0\r\n\r\n",
    "nul_in_value": b"HTTP/1.1 200 OK\r\nx-a: b\x00\r\ncontent-length: 0\r\n\r\n",
    "bare_lf": b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
    "obs_fold": b"HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\ncontent-length: 0\r\n\r\n",
    "no_colon": b"HTTP/1.1 200 OK\r\nnocolon\r\ncontent-length: 0\r\n\r\n",
    "tls_alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "h2_settings": b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
}

GROUP = Group(
    name="failures",
    listeners={"main": Listener(_routes())},
    clusters=_CLUSTER_YAML,
    cases=[
        Case("refused", req("/refused/")),
        Case("refused_head", req("/refused/", method="HEAD")),
        Case("refused_post", req("/refused/", method="POST", body=b"hello")),
        Case("refused_post_unfinished",
             req("/refused/", "Content-Length: 10", method="POST") + b"abc"),
        Case("connect_timeout", req("/blackhole/")),
        Case("no_hosts", req("/none/")),
        Case("dns_fails", req("/dns_fails/")),
        Case("overflow_requests", req("/no_requests/")),
        Case("overflow_pending", req("/no_pending/")),
        Case("overflow_connections", req("/no_connections/"),
             note="Envoy always allows one connection per pool"),
        Case("reset_before_headers", req(), script=raw("reset")),
        Case("reset_before_headers_post", req(method="POST", body=b"x"), script=raw("reset")),
        Case("close_before_headers", req(), script=raw("close")),
        Case("close_mid_status_line", req(), script=raw(b"HTTP/1.1 20", "close")),
        Case("close_mid_headers", req(), script=raw(b"HTTP/1.1 200 OK\r\ncontent-le", "close")),
        Case("close_mid_body_length", req(), script=raw(_CL10 + b"abc", 0.1, "close")),
        Case("close_mid_body_none", req(), script=raw(_CL10, 0.1, "close")),
        Case("close_mid_body_chunked", req(), script=raw(_CH + b"3\r\nabc\r\n", 0.1, "close")),
        Case("close_mid_chunk", req(), script=raw(_CH + b"5\r\nabc", 0.1, "close")),
        Case("reset_mid_body_length", req(), script=raw(_CL10 + b"abc", 0.1, "reset")),
        Case("bad_chunk_mid_body", req(), script=raw(_CH + b"3\r\nabc\r\nzz\r\n", 0.1),
             ignore=("responses.*.body", "log.*.tx"),
             note="Envoy drops what it has read together with the error"),
        Case("longer_than_length", req(), script=raw(response() + b"extra bytes")),
        Case("longer_than_length_later", (req("/1"), Pause(0.3), req("/2")), responses=2,
             methods="GET GET", script=[Reply((response(), 0.1, b"extra"))]),
        Case("body_of_204", req(), script=raw(b"HTTP/1.1 204 No Content\r\n\r\nbody")),
        Case("body_of_head", req(method="HEAD"), script=raw(response(body=b"body"))),
        Case("closed_while_idle", (req("/1"), Pause(0.3), req("/2")), responses=2,
             methods="GET GET", script=[Reply((response(), "close"))]),
        Case("huge_head", req(), script=raw(_HUGE)),
        Case("many_headers", req(), script=raw(_MANY)),
        Case("limited_head", req("/limited/"),
             script=raw(response("200 OK", "x-big: " + "a" * 2000))),
        Case("limited_count", req("/limited/"),
             script=raw(response("200 OK", *[f"x-{i}: 1" for i in range(6)]))),
        *(Case(f"upstream_{k}", req(), script=raw(v, 0.05, "close")) for k, v in _GARBAGE.items()),
        Case("client_resets_waiting", (req(), Pause(0.2), Reset()), script=raw("hang"), responses=0),
        Case("client_resets_mid_body", (req(), AwaitHead(1), Reset()),
             script=raw(_CL10 + b"abc", "hang"), responses=0),
        Case("unasked_response_first", (req("/1"), Pause(0.3), req("/2")), responses=2,
             methods="GET GET",
             script=[Reply((response(), 0.1, response("200 OK", body=b"unasked")))],
             note="a response on an idle upstream connection must not answer the next request"),
    ],
)
