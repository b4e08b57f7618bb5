"""Hop-by-hop headers, TE, Upgrade, Expect."""

from __future__ import annotations

from tests.differential.model import TO_A, Case, Group, Listener, raw, reply, req, response
from tests.support.client import Pause

_WS = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"]
_EXPECT_HEAD = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

GROUP = Group(
    name="hop_by_hop",
    listeners={
        "main": Listener(TO_A),
        "continue": Listener(TO_A, "proxy_100_continue: true"),
        "trailers": Listener(TO_A, "http_protocol_options: {enable_trailers: true}"),
        "ignore_upgrade": Listener(
            TO_A, "http_protocol_options: {ignore_http_11_upgrade: [{prefix: foo}]}"
        ),
    },
    cases=[
        Case("connection_named", req("/", "Connection: x-hop, keep-alive", "x-hop: 1", "x-stay: 1")),
        Case("connection_named_te", req("/", "Connection: TE", "TE: trailers")),
        Case("connection_names_host", req("/", "Connection: host, x-forwarded-for")),
        Case("connection_names_cookie", req("/", "Connection: cookie", "cookie: a=1")),
        Case("keep_alive_header", req("/", "Keep-Alive: timeout=5", "Connection: keep-alive")),
        Case("proxy_connection", req("/", "Proxy-Connection: keep-alive")),
        Case("proxy_authorization", req("/", "Proxy-Authorization: Basic x", "Proxy-Authenticate: y")),
        Case("te_trailers", req("/", "TE: trailers")),
        Case("te_trailers_deflate", req("/", "TE: trailers, deflate;q=0.5")),
        Case("te_gzip", req("/", "TE: gzip")),
        Case("te_upper", req("/", "TE: Trailers")),
        Case("trailer_header", req("/", "Trailer: x-t")),
        Case("upgrade_websocket_403", req("/", *_WS)),
        Case("upgrade_without_connection", req("/", "Upgrade: websocket")),
        Case("upgrade_h2c", req("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")),
        Case("upgrade_unknown", req("/", "Connection: upgrade", "Upgrade: foo/2")),
        Case("upgrade_post", req("/", "Connection: upgrade", "Upgrade: foo", method="POST", body=b"hello")),
        Case("upgrade_ignored", req("/", "Connection: upgrade", "Upgrade: foo"), "ignore_upgrade"),
        Case("connection_upgrade_no_upgrade", req("/", "Connection: upgrade")),
        Case("expect_100", (_EXPECT_HEAD, Pause(0.2), b"hello")),
        Case("expect_100_with_body", _EXPECT_HEAD + b"hello"),
        Case("expect_100_no_body", req("/", "Expect: 100-continue")),
        Case("expect_upper", (_EXPECT_HEAD.replace(b"100-continue", b"100-Continue"), Pause(0.2), b"hello")),
        Case("expect_other", req("/", "Expect: something", method="POST", body=b"hello")),
        Case("expect_proxied", (_EXPECT_HEAD, Pause(0.2), b"hello"), "continue",
             script=raw(b"HTTP/1.1 100 Continue\r\n\r\n", "wait_body", response(), after="head")),
        Case("expect_proxied_refused", (_EXPECT_HEAD, Pause(0.2)), "continue",
             script=raw(response("417 Expectation Failed"), after="head")),
        Case("expect_http10",
             b"POST / HTTP/1.0\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello"),
        Case("response_hop_by_hop", req(),
             script=reply("200 OK", "Connection: x-hop", "x-hop: 1", "Keep-Alive: timeout=5",
                          "Proxy-Connection: keep-alive", "x-stay: 1")),
        Case("response_connection_close", req(), script=reply("200 OK", "Connection: close")),
        Case("response_upgrade_header", req(), script=reply("200 OK", "Upgrade: h2c", "Connection: Upgrade")),
        Case("response_te_header", req(), script=reply("200 OK", "TE: trailers", "Trailer: x")),
        Case("response_proxy_authenticate", req(),
             script=reply("407 Proxy Authentication Required", "Proxy-Authenticate: Basic")),
        Case("response_101_unasked", req(), script=raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: foo\r\nconnection: upgrade\r\n\r\n")),
    ],
)
