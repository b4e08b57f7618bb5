"""Responses of upstreams, well-formed ones, and how they come out."""

from __future__ import annotations

from tests.differential.model import (
    TO_A,
    TRAILERS_CLUSTER,
    Case,
    Group,
    Listener,
    raw,
    reply,
    req,
    response,
)
from tests.support.client import Pause
from tests.support.upstream import Reply

_BIG = bytes(range(256)) * 1024
_TRAILERS = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n"
    b"3\r\nabc\r\n0\r\nx-t: 1\r\nX-U: 2\r\n\r\n"
)
_CHUNKED_POST = (
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
)


def _chunks(*chunks: bytes) -> bytes:
    out = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    for chunk in chunks:
        out += b"%x\r\n%s\r\n" % (len(chunk), chunk)
    return out + b"0\r\n\r\n"


GROUP = Group(
    name="responses",
    listeners={
        "main": Listener(TO_A),
        "trailers": Listener(TO_A, "http_protocol_options: {enable_trailers: true}"),
        "both_trailers": Listener(
            TO_A.replace("cluster: a", "cluster: with_trailers"),
            "http_protocol_options: {enable_trailers: true}",
        ),
        "upstream_trailers": Listener(TO_A.replace("cluster: a", "cluster: with_trailers")),
    },
    clusters=TRAILERS_CLUSTER,
    cases=[
        Case("length", req()),
        Case("length_zero", req(), script=reply("200 OK", body=b"")),
        Case("chunked", req(), script=raw(_chunks(b"abc", b"defgh"))),
        Case("chunked_empty", req(), script=raw(_chunks())),
        Case("chunked_extension", req(),
             script=raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n")),
        Case("close_delimited", req(), script=raw(b"HTTP/1.1 200 OK\r\n\r\nuntil close", "close")),
        Case("close_delimited_empty", req(), script=raw(b"HTTP/1.1 200 OK\r\n\r\n", "close")),
        Case("http10_response", req(),
             script=raw(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", "close")),
        Case("http10_response_unsized", req(), script=raw(b"HTTP/1.0 200 OK\r\n\r\nold", "close")),
        Case("trailers_dropped", req(), script=raw(_TRAILERS)),
        Case("trailers_downstream_on", req(), "trailers", script=raw(_TRAILERS)),
        Case("trailers_both_on", req(), "both_trailers", script=raw(_TRAILERS)),
        Case("trailers_upstream_on", req(), "upstream_trailers", script=raw(_TRAILERS)),
        Case("head", req(method="HEAD"), script=raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n")),
        Case("head_no_length", req(method="HEAD"), script=raw(b"HTTP/1.1 200 OK\r\n\r\n")),
        Case("head_chunked", req(method="HEAD"),
             script=raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")),
        Case("head_404", req(method="HEAD"),
             script=raw(b"HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n")),
        Case("204", req(), script=raw(b"HTTP/1.1 204 No Content\r\n\r\n")),
        Case("204_length_zero", req(), script=raw(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n")),
        Case("304", req(), script=raw(b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n")),
        Case("304_length", req(), script=raw(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 42\r\n\r\n")),
        Case("205", req(), script=raw(b"HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n")),
        Case("100_then_200", req(), script=raw(b"HTTP/1.1 100 Continue\r\n\r\n" + response())),
        Case("103_then_200", req(),
             script=raw(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + response())),
        Case("102_then_200", req(), script=raw(b"HTTP/1.1 102 Processing\r\n\r\n" + response())),
        Case("100_twice", req(),
             script=raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + response())),
        Case("100_only_then_close", req(), script=raw(b"HTTP/1.1 100 Continue\r\n\r\n", "close")),
        Case("reason_odd", req(), script=reply("200 Fine By Me")),
        Case("reason_empty", req(), script=raw(b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok")),
        Case("reason_none", req(), script=raw(b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok")),
        Case("status_299", req(), script=reply("299 Odd")),
        Case("status_418", req(), script=reply("418 Teapot")),
        Case("status_500", req(), script=reply("500 Internal Server Error")),
        Case("status_503_upstream", req(), script=reply("503 Service Unavailable")),
        Case("status_599", req(), script=reply("599 Odd")),
        Case("status_999", req(), script=reply("999 Odd")),
        Case("big_body", req(), script=reply("200 OK", body=_BIG)),
        Case("big_chunked", req(), script=raw(_chunks(_BIG, _BIG))),
        Case("post_length", req(method="POST", body=b"hello")),
        Case("post_big", req(method="POST", body=_BIG)),
        Case("post_empty", req("/", "Content-Length: 0", method="POST")),
        Case("post_chunked", _CHUNKED_POST),
        Case("put", req(method="PUT", body=b"hello")),
        Case("delete_body", req(method="DELETE", body=b"hello")),
        Case("get_body", req(body=b"hello")),
        Case("patch", req(method="PATCH", body=b"hello")),
        Case("early_response_complete",
             (req("/", "Content-Length: 10", method="POST") + b"abc", Pause(0.3), b"defghij"),
             script=raw(response("413 Content Too Large"), after="head"),
             note="the upstream answers before the body is in"),
        Case("early_response_close",
             (req("/", "Content-Length: 10", method="POST") + b"abc",),
             script=raw(response("413 Content Too Large", "connection: close"), "close", after="head")),
        Case("early_headers_then_body",
             (req("/", "Content-Length: 6", method="POST") + b"abc", Pause(0.2), b"def"),
             script=raw(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab", "wait_body", b"cd",
                        after="head")),
        Case("slow_chunks", req(),
             script=raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 0.05,
                        b"3\r\nabc\r\n", 0.05, b"0\r\n\r\n")),
        Case("upstream_connection_reused", req("/1") + req("/2"), responses=2, methods="GET GET",
             script=[Reply((response(body=b"1"),)), Reply((response(body=b"2"),))]),
        Case("server_and_date_of_upstream", req(),
             script=reply("200 OK", "server: up/1", "date: Mon, 01 Jan 2024 00:00:00 GMT")),
        Case("x_envoy_headers_of_upstream", req(),
             script=reply("200 OK", "x-envoy-upstream-service-time: 999", "x-envoy-decorator-operation: x",
                          "x-envoy-upstream-canary: true", "x-envoy-immediate-health-check-fail: 1",
                          "x-envoy-overloaded: true", "x-envoy-ratelimited: true", "x-envoy-degraded: 1",
                          "x-envoy-attempt-count: 7", "x-envoy-foo: 1")),
        Case("location_of_upstream", req(), script=reply("302 Found", "location: http://a.example/")),
        Case("content_length_and_204", req(),
             script=raw(b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n")),
        Case("header_underscore_response", req(), script=reply("200 OK", "x_under: 1")),
        Case("header_latin1_response", req(), script=reply("200 OK", "x-l: é")),
    ],
)
