"""HTTP/2 on either side: what the rules of bridging make of headers, bodies and faults."""

from __future__ import annotations

from dataclasses import replace

from tests.differential.accepted import MALFORMED_HTTP2
from tests.differential.model import (
    TO_A,
    TRAILERS_CLUSTER,
    Ask,
    Case,
    Group,
    Listener,
    ask,
    raw,
    reply,
    req,
    response,
)
from tests.support.h2peer import OK, Answer

_TO_H = TO_A.replace("cluster: a", "cluster: h")
_TO_T = TO_A.replace("cluster: a", "cluster: with_trailers")
_TRAILERS = "http_protocol_options: {enable_trailers: true}"


def answer(*fields: tuple[str, str], status: str = "200", body: bytes | None = b"ok") -> list[Answer]:
    """A script of one HTTP/2 response."""
    head = [(":status", status), *fields]
    return [Answer((head,) if body is None else (head, body))]


def both(name: str, send: tuple[Ask, ...], **more: object) -> list[Case]:
    """The case for an upstream of either protocol."""
    return [
        Case(f"{name}_to1", send, **more),  # type: ignore[arg-type]
        Case(f"{name}_to2", send, "two", **more),  # type: ignore[arg-type]
    ]


_REQUESTS = [
    *both("get", ask("/a?b=c")),
    Case("no_authority_to1", ask(authority=None)),
    *both("host_only", ask("/", ("host", "other.example"), authority=None)),
    *both("host_same", ask("/", ("host", "host.example"))),
    Case("host_other_to1", ask("/", ("host", "other.example"))),
    *both("authority_port", ask(authority="host.example:8080")),
    Case("authority_userinfo_to1", ask(authority="user@host.example")),
    Case("authority_empty_to1", ask(authority="")),
    *both("scheme_https", ask(scheme="https")),
    Case("scheme_other_to1", ask(scheme="ftp")),
    Case("no_scheme_to1", ask(scheme=None)),
    Case("no_path_to1", (Ask([(":method", "GET"), (":scheme", "http"), (":authority", "h")]),)),
    Case("no_method_to1", (Ask([(":scheme", "http"), (":authority", "h"), (":path", "/")]),)),
    Case("path_empty_to1", ask("")),
    Case("path_absolute_to1", ask("http://host.example/x")),
    Case("path_relative_to1", ask("x")),
    *both("path_star_options", ask("*", method="OPTIONS")),
    Case("path_fragment_to1", ask("/a#b")),
    Case("path_space_to1", ask("/a b")),
    *both("method_custom", ask(method="BREW")),
    Case("method_lower_to1", ask(method="get")),
    Case("method_bad_to1", ask(method="G T")),
    Case("connect_to1", (Ask([(":method", "CONNECT"), (":authority", "h:443")]),)),
    Case("two_paths_to1", ask("/", (":path", "/b"))),
    Case("pseudo_after_to1", ask("/", ("x", "y"), (":late", "1"))),
    Case("pseudo_unknown_to1", (Ask([*ask()[0].headers, (":version", "x")]),)),
    Case("pseudo_status_to1", ask("/", (":status", "200"))),
    *both("te_trailers", ask("/", ("te", "trailers"))),
    Case("te_gzip_to1", ask("/", ("te", "gzip"))),
    Case("connection_to1", ask("/", ("connection", "x-hop"), ("x-hop", "1"))),
    Case("connection_close_to1", ask("/", ("connection", "close"))),
    Case("keep_alive_to1", ask("/", ("keep-alive", "timeout=5"))),
    Case("proxy_connection_to1", ask("/", ("proxy-connection", "keep-alive"))),
    Case("transfer_encoding_to1", ask("/", ("transfer-encoding", "chunked"), method="POST", body=b"x")),
    Case("upgrade_to1", ask("/", ("upgrade", "websocket"))),
    *both("expect", ask("/", ("expect", "100-continue"), method="POST", body=b"hello")),
    *both("expect_other", ask("/", ("expect", "x"), method="POST", body=b"hello")),
    *both("cookies", ask("/", ("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"))),
    *both("cookies_empty_first", ask("/", ("cookie", ""), ("cookie", "b=2"))),
    *both("cookies_empty_middle", ask("/", ("cookie", "a=1"), ("cookie", ""), ("cookie", "b=2"))),
    *both("cookies_empty_last", ask("/", ("cookie", "a=1"), ("cookie", ""))),
    *both("cookies_empty_all", ask("/", ("cookie", ""), ("cookie", ""))),
    *both("cookies_empty_one", ask("/", ("cookie", ""))),
    *both("cookies_semicolon", ask("/", ("cookie", "a=1;"), ("cookie", "; b=2"), ("cookie", ";"))),
    *both("path_latin", ask("/a\xe9b")),
    *both("path_high", ask("/\xff\x80?q=\xe9")),
    Case("authority_latin_to1", ask(authority="h\xe9.example")),
    Case("method_latin_to1", ask(method="G\xe9T")),
    Case("name_upper_to1", ask("/", ("X-Upper", "1"))),
    Case("name_space_to1", ask("/", ("x y", "1"))),
    *both("name_underscore", ask("/", ("x_y", "1"))),
    Case("value_lf_to1", ask("/", ("x", "a\nb"))),
    Case("value_nul_to1", ask("/", ("x", "a\0b"))),
    *both("value_spaces", ask("/", ("x", "  a  "))),
    *both("value_latin", ask("/", ("x", "a\xe9b"))),
    *both("value_empty", ask("/", ("x", ""))),
    *both("twice", ask("/", ("x", "1"), ("x", "2"))),
    *both("post", ask(method="POST", body=b"hello")),
    *both("post_length", ask("/", ("content-length", "5"), method="POST", body=b"hello")),
    *both("post_empty", ask(method="POST", body=b"")),
    *both("post_no_body", ask(method="POST")),
    *both("get_body", ask(body=b"hello")),
    Case("length_short_to1", ask("/", ("content-length", "3"), method="POST", body=b"hello"), ignore=("upstream*", "log.0.rx")),
    Case("length_long_to1", ask("/", ("content-length", "9"), method="POST", body=b"hello"), ignore=("upstream*", "log.0.rx")),
    Case("length_twice_to1", ask("/", ("content-length", "5"), ("content-length", "5"), method="POST", body=b"hello")),
    Case("length_differ_to1", ask("/", ("content-length", "5"), ("content-length", "6"), method="POST", body=b"hello")),
    Case("length_bad_to1", ask("/", ("content-length", "+5"), method="POST", body=b"hello")),
    *both("length_get_0", ask("/", ("content-length", "0"))),
    *both("trailers", ask(method="POST", body=b"hello", trailers=[("x-t", "1")])),
    *both("trailers_no_body", ask(method="POST", trailers=[("x-t", "1")])),
    *both("forwarded", ask("/", ("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https"))),
    *both("two_requests", (*ask("/1"), *ask("/2"))),
    *both("head", ask(method="HEAD")),
]

_ANSWERS = [
    Case("answer2_plain", ask(), "two", {"h": [Answer()]}),
    Case("answer2_no_body", ask(), "two", {"h": answer(body=None)}),
    Case("answer2_trailers", ask(), "two", {"h": [Answer(([(":status", "200")], b"ok", [("x-t", "1")]))]}),
    Case("answer2_trailers_only", ask(), "two", {"h": [Answer(([(":status", "200")], [("x-t", "1")]))]}),
    Case("answer2_204", ask(), "two", {"h": answer(status="204", body=None)}),
    Case("answer2_304", ask(), "two", {"h": answer(("content-length", "5"), status="304", body=None)}),
    Case("answer2_head", ask(method="HEAD"), "two", {"h": answer(("content-length", "5"), body=None)}),
    Case("answer2_cookies", ask(), "two", {"h": answer(("set-cookie", "a=1"), ("set-cookie", "b=2"))}),
    Case("answer2_connection", ask(), "two", {"h": answer(("connection", "close"))}),
    Case("answer2_te", ask(), "two", {"h": answer(("transfer-encoding", "chunked"))}),
    Case("answer2_no_status", ask(), "two", {"h": [Answer(([("x", "y")], b"ok"))]}),
    Case("answer2_status_bad", ask(), "two", {"h": answer(status="abc")}),
    Case("answer2_status_1000", ask(), "two", {"h": answer(status="1000")}),
    Case("answer2_name_upper", ask(), "two", {"h": answer(("X-Upper", "1"))}),
    Case("answer2_pseudo", ask(), "two", {"h": answer((":path", "/"))}),
    Case("answer2_length_short", ask(), "two", {"h": answer(("content-length", "1"))}),
    Case("answer2_length_long", ask(), "two", {"h": answer(("content-length", "9"))}),
    Case("answer2_reset", ask(), "two", {"h": [Answer((("reset", 8),))]}),
    Case("answer2_refused", ask(), "two", {"h": [Answer((("reset", 7),))]}),
    Case("answer2_reset_middle", ask(), "two", {"h": [Answer(([(":status", "200")], b"half", 0.05, ("reset", 2)))]}),
    Case("answer2_close", ask(), "two", {"h": [Answer(("close",))]}),
    Case("answer2_close_middle", ask(), "two", {"h": [Answer(([(":status", "200")], b"half", 0.05, "close"))]}),
    Case("answer2_rst_middle", ask(), "two", {"h": [Answer(([(":status", "200")], b"half", 0.05, "rst"))]}),
    Case("answer2_refused_middle", ask(), "two", {"h": [Answer(([(":status", "200")], b"half", 0.05, ("reset", 7)))]}),
    Case("answer2_goaway_middle", ask(), "two", {"h": [Answer(([(":status", "200")], b"half", 0.05, ("goaway", 0), 0.05, "close"))]}),
    Case("answer2_goaway_refused", ask(), "two", {"h": [Answer((("goaway", 0, 0), 0.05, "close"))]}),
    Case("answer2_100", ask(), "two", {"h": [Answer(([(":status", "100")], OK, b"ok"))]}),
    Case("answer2_103", ask(), "two", {"h": [Answer(([(":status", "103"), ("link", "x")], OK, b"ok"))]}),
    Case("answer1_plain", ask(), script=reply()),
    Case("answer1_chunked", ask(), script=raw(response("200 OK", "transfer-encoding: chunked", body=b"2\r\nok\r\n0\r\n\r\n"))),
    Case("answer1_connection", ask(), script=reply("200 OK", "Connection: x-hop, keep-alive", "x-stay: 1", "Keep-Alive: timeout=5")),
    Case("answer1_close", ask(), script=reply("200 OK", "Connection: close")),
    Case("answer1_names", ask(), script=reply("200 OK", "X-Upper: Value", "Set-Cookie: a=1", "Set-Cookie: b=2")),
    Case("answer1_204", ask(), script=raw(b"HTTP/1.1 204 No Content\r\n\r\n")),
    Case("answer1_304", ask(), script=raw(b"HTTP/1.1 304 X\r\ncontent-length: 5\r\n\r\n")),
    Case("answer1_head", ask(method="HEAD"), script=raw(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")),
    Case("answer1_until_close", ask(), script=raw(b"HTTP/1.1 200 OK\r\n\r\nok", "close")),
    Case("answer1_broken", ask(), script=raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", 0.05, "close")),
    Case("answer1_garbage", ask(), script=raw(b"garbage\r\n\r\n")),
    Case("answer1_closed", ask(), script=raw("close")),
    Case("answer1_trailers", ask(), "trailers", raw(response("200 OK", "transfer-encoding: chunked", body=b"2\r\nok\r\n0\r\nx-t: 1\r\n\r\n"))),
    Case("request_trailers1", ask(method="POST", body=b"x", trailers=[("x-t", "1")]), "trailers"),
]

_FROM_1 = [
    Case("from1_get", req("/a?b=c"), "two"),
    Case("from1_host", req("/", host="Host.Example:8080"), "two"),
    Case("from1_absolute", req("http://other.example/x"), "two"),
    Case("from1_hop", req("/", "Connection: x-hop, keep-alive", "x-hop: 1", "Keep-Alive: 5", "Proxy-Connection: x"), "two"),
    Case("from1_te", req("/", "TE: trailers", "Connection: te"), "two"),
    Case("from1_upper", req("/", "X-Upper: Value"), "two"),
    Case("from1_cookies", req("/", "Cookie: a=1; b=2"), "two"),
    Case("from1_cookies_twice", req("/", "Cookie: a=1", "Cookie: b=2"), "two"),
    *(
        Case(f"from1_twice_{name}", req("/", f"{name}: 1", f"{name}: 2"), "two")
        for name in ("authorization", "cache-control", "content-type", "expect", "grpc-timeout", "x-forwarded-port")
    ),
    *(
        Case(f"from1_cookies_{name}", req("/", *lines), "two")
        for name, lines in {
            "empty": ["Cookie:"],
            "semicolons": ["Cookie: a=1;; b=2; ;c=3;"],
            "empty_first": ["Cookie:", "Cookie: b=2"],
            "spaces": ["Cookie: a=1;b=2;  c=3 ; d"],
        }.items()
    ),
    Case("from1_post", req("/", method="POST", body=b"hello"), "two"),
    Case("from1_chunked", req("/", "Transfer-Encoding: chunked", method="POST", body=b"5\r\nhello\r\n0\r\n\r\n"), "two"),
    Case("from1_chunked_trailers", req("/", "Transfer-Encoding: chunked", method="POST", body=b"5\r\nhello\r\n0\r\nx-t: 1\r\n\r\n"), "two"),
    Case("from1_expect", req("/", "Expect: 100-continue", method="POST", body=b"hello"), "two"),
    Case("from1_http10", req("/", version="HTTP/1.0"), "two"),
    Case("from1_http10_no_host", req("/", host=None, version="HTTP/1.0"), "two"),
    Case("from1_head", req("/", method="HEAD"), "two", {"h": answer(("content-length", "5"), body=None)}),
    Case("from1_answer_no_length", req("/"), "two", {"h": answer()}),
    Case("from1_answer_no_body", req("/"), "two", {"h": answer(body=None)}),
    Case("from1_answer_length", req("/"), "two", {"h": [Answer()]}),
    Case("from1_answer_trailers", req("/"), "two", {"h": [Answer(([(":status", "200")], b"ok", [("x-t", "1")]))]}),
    Case("from1_answer_204", req("/"), "two", {"h": answer(status="204", body=None)}),
    Case("from1_answer_reset", req("/"), "two", {"h": [Answer((("reset", 8),))]}),
    Case("from1_answer_broken", req("/"), "two", {"h": [Answer(([(":status", "200")], b"half", 0.05, ("reset", 2)))]}),
    Case("from1_answer_closed_middle", req("/"), "two", {"h": [Answer(([(":status", "200")], b"half", 0.05, "close"))]}),
    Case("from1_answer_10_no_length", req("/", version="HTTP/1.0"), "two", {"h": answer()}),
]

_STRICT = [
    Case(f"strict_{case.id}", case.send, "strict")
    for case in _REQUESTS
    if case.id in ("name_upper_to1", "connection_to1", "no_path_to1", "value_lf_to1", "two_paths_to1")
]

_CLOSED = {f"{name}_to1" for name in MALFORMED_HTTP2}

GROUP = Group(
    name="http2",
    listeners={
        "main": Listener(TO_A),
        "two": Listener(_TO_H, _TRAILERS),
        "trailers": Listener(_TO_T, _TRAILERS),
        "strict": Listener(
            TO_A,
            "http2_protocol_options: {override_stream_error_on_invalid_http_message: true}",
        ),
    },
    clusters=TRAILERS_CLUSTER,
    upstreams=("a",),
    http2=("h",),
    cases=[
        # Where Envoy closes on bytes that it has not read, the end is a FIN or a RST.
        *(replace(c, ignore=("connection",)) if c.id in _CLOSED else c for c in _REQUESTS),
        *_ANSWERS,
        *_FROM_1,
        *_STRICT,
    ],
)
