"""Versions, persistence, pipelining, target forms, OPTIONS *, CONNECT."""

from __future__ import annotations

from tests.differential.model import TO_A, Case, Group, Listener, raw, reply, req, response
from tests.support.client import Await, Pause
from tests.support.upstream import Reply

_HTTP10 = "http_protocol_options: {accept_http_10: true, default_host_for_http_10: default.example}"
_CONNECT_ROUTE = """
virtual_hosts:
- name: all
  domains: ["*"]
  routes:
  - name: connect
    match: {connect_matcher: {}}
    route: {cluster: a}
  - name: rest
    match: {prefix: /}
    route: {cluster: a}
"""


def _v10(*headers: str, host: str | None = "h", target: str = "/") -> bytes:
    return req(target, *headers, version="HTTP/1.0", host=host)


_SLOW_THEN_FAST = [
    Reply((0.3, response("200 OK", body=b"first"))),
    Reply((response("200 OK", body=b"second"),)),
]
_CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
_NO_LENGTH = b"HTTP/1.1 200 OK\r\n\r\nuntil close"

GROUP = Group(
    name="http1_connection",
    listeners={
        "main": Listener(TO_A),
        "v10": Listener(TO_A, _HTTP10),
        "v10_no_default": Listener(TO_A, "http_protocol_options: {accept_http_10: true}"),
        "no_absolute": Listener(TO_A, "http_protocol_options: {allow_absolute_url: false}"),
        "connect_route": Listener(_CONNECT_ROUTE),
        "preserve_case": Listener(
            TO_A,
            "http_protocol_options: {header_key_format: {stateful_formatter: {name: preserve_case, "
            "typed_config: {'@type': type.googleapis.com/envoy.extensions.http."
            "header_formatters.preserve_case.v3.PreserveCaseFormatterConfig}}}}",
        ),
        "proper_case": Listener(
            TO_A, "http_protocol_options: {header_key_format: {proper_case_words: {}}}"
        ),
    },
    cases=[
        Case("http10_refused", _v10()),
        Case("http10_refused_keep_alive", _v10("Connection: keep-alive")),
        Case("http10", _v10(), "v10"),
        Case("http10_keep_alive", _v10("Connection: keep-alive"), "v10"),
        Case("http10_close", _v10("Connection: close"), "v10"),
        Case("http10_no_host", _v10(host=None), "v10"),
        Case("http10_no_host_no_default", _v10(host=None), "v10_no_default"),
        Case("http10_post",
             req("/", method="POST", body=b"hello", version="HTTP/1.0", host="h"), "v10"),
        Case("http10_post_no_length",
             b"POST / HTTP/1.0\r\nHost: h\r\n\r\nhello", "v10", note="a body without length"),
        Case("http10_chunked_response", _v10(), "v10", script=raw(_CHUNKED)),
        Case("http10_chunked_response_keep_alive", _v10("Connection: keep-alive"), "v10",
             script=raw(_CHUNKED)),
        Case("http10_unsized_response", _v10(), "v10", script=raw(_NO_LENGTH, "close")),
        Case("http10_head", req("/", method="HEAD", version="HTTP/1.0", host="h"), "v10"),
        Case("http10_two_keep_alive",
             _v10("Connection: keep-alive", target="/1") + _v10(target="/2"), "v10", responses=2,
             methods="GET GET"),
        Case("http10_chunked_request",
             b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
             "v10"),
        Case("http10_expect",
             b"POST / HTTP/1.0\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
             "v10"),
        Case("http10_absolute", _v10(target="http://abs.example/p"), "v10"),
        Case("http11_close", req("/", "Connection: close")),
        Case("http11_close_upper", req("/", "Connection: CLOSE")),
        Case("http11_close_in_list", req("/", "Connection: x-a, close", "x-a: 1")),
        Case("http11_close_two_lines", req("/", "Connection: keep-alive", "Connection: close")),
        Case("http11_close_and_keep_alive", req("/", "Connection: keep-alive, close")),
        Case("http11_keep_alive", req("/", "Connection: keep-alive")),
        Case("http11_proxy_connection_close", req("/", "Proxy-Connection: close")),
        Case("http11_close_post", req("/", "Connection: close", method="POST", body=b"x")),
        Case("close_then_more", req("/1", "Connection: close") + req("/2"), methods="GET GET"),
        Case("pipeline_two", req("/1") + req("/2"), responses=2, methods="GET GET"),
        Case("pipeline_order", req("/1") + req("/2"), responses=2, methods="GET GET",
             script=_SLOW_THEN_FAST),
        Case("pipeline_post_get", req("/1", method="POST", body=b"abc") + req("/2"), responses=2,
             methods="POST GET"),
        Case("pipeline_head_get", req("/1", method="HEAD") + req("/2"), responses=2,
             methods="HEAD GET"),
        Case("pipeline_good_bad", req("/1") + b"BAD\r\n\r\n", responses=2, methods="GET GET"),
        Case("pipeline_slow_good_bad", req("/1") + b"BAD\r\n\r\n", responses=2, methods="GET GET",
             script=_SLOW_THEN_FAST[:1]),
        Case("pipeline_404_then_200",
             req("/1") + req("/2"), "connect_route", responses=2, methods="GET GET"),
        Case("pipeline_three_chunked",
             req("/1", "Transfer-Encoding: chunked", method="POST") + b"1\r\nx\r\n0\r\n\r\n"
             + req("/2") + req("/3"), responses=3, methods="POST GET GET"),
        Case("sequential", (req("/1"), Await(1), req("/2"), Await(2), req("/3")), responses=3,
             methods="GET GET GET"),
        Case("byte_by_byte", tuple(
            step for b in req("/slow", "x-a: b", method="POST", body=b"xy")
            for step in (bytes([b]), Pause(0.002)))),
        Case("absolute", req("http://abs.example/p?q")),
        Case("absolute_https", req("https://abs.example/p")),
        Case("absolute_port", req("http://abs.example:8080/p")),
        Case("absolute_no_path", req("http://abs.example")),
        Case("absolute_no_path_query", req("http://abs.example?q")),
        Case("absolute_upper_scheme", req("HTTP://abs.example/p")),
        Case("absolute_other_scheme", req("ftp://abs.example/p")),
        Case("absolute_userinfo", req("http://u:p@abs.example/p")),
        Case("absolute_no_host", req("http://abs.example/p", host=None)),
        Case("absolute_empty_authority", req("http:///p")),
        Case("absolute_ipv6", req("http://[::1]:80/p")),
        Case("absolute_off", req("http://abs.example/p"), "no_absolute"),
        Case("options_star", req("*", method="OPTIONS")),
        Case("options_path", req("/x", method="OPTIONS")),
        Case("options_absolute", req("http://abs.example", method="OPTIONS")),
        Case("connect_no_route", req("abs.example:443", method="CONNECT", host="abs.example:443")),
        Case("connect_route_no_upgrade",
             req("abs.example:443", method="CONNECT", host="abs.example:443"), "connect_route"),
        Case("connect_path", req("/x", method="CONNECT")),
        Case("connect_no_port", req("abs.example", method="CONNECT")),
        Case("connect_with_length",
             req("abs.example:443", "Content-Length: 0", method="CONNECT"), "connect_route"),
        Case("connect_with_te",
             req("abs.example:443", "Transfer-Encoding: chunked", method="CONNECT"),
             "connect_route"),
        Case("header_case", req("/", "X-CamelCase: 1", "x-lower: 2"),
             script=reply("200 OK", "X-Resp-Case: 1")),
        Case("header_preserve_case", req("/", "X-CamelCase: 1", "x-lower: 2"), "preserve_case",
             script=reply("200 OK", "X-Resp-Case: 1")),
        Case("header_proper_case", req("/", "X-CamelCase: 1"), "proper_case",
             script=reply("200 OK", "X-Resp-CASE: 1")),
        Case("cookie_lines", req("/", "cookie: a=1", "cookie: b=2")),
        Case("accept_lines", req("/", "accept: a", "accept: b", "accept-encoding: x",
                                 "accept-encoding: y")),
        Case("response_lines", req("/"),
             script=reply("200 OK", "cache-control: a", "cache-control: b", "set-cookie: a",
                          "set-cookie: b", "vary: a", "vary: b", "x-y: 1", "x-y: 2")),
    ],
)
