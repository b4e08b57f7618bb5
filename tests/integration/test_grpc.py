"""gRPC through the proxy: every kind of call, failures as statuses, gRPC-Web, the HTTP/1 bridge."""

from __future__ import annotations

import base64
import json
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartMesh
from tests.support import config, tls_config
from tests.support.client import Connection
from tests.support.grpc_echo import SERVICE, Server, message, messages
from tests.support.http1 import Message
from tests.support.ports import free_port
from tests.support.proxies import Proxy

import grpc  # isort: skip  (grpc_echo sets how it forks)

_DEADLINE = 20.0
_FILTERS = "type.googleapis.com/envoy.extensions.filters.http."
_ROUTER = {"name": "envoy.filters.http.router", "typed_config": {"@type": config.ROUTER}}


def _filters(**kinds: dict[str, Any]) -> list[dict[str, Any]]:
    types = {
        "grpc_web": "grpc_web.v3.GrpcWeb",
        "grpc_http1_bridge": "grpc_http1_bridge.v3.Config",
        "grpc_stats": "grpc_stats.v3.FilterConfig",
    }
    return [
        {
            "name": f"envoy.filters.http.{kind}",
            "typed_config": {"@type": _FILTERS + types[kind], **fields},
        }
        for kind, fields in kinds.items()
    ] + [_ROUTER]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One gRPC server."""
    with Server() as running:
        yield running


class Lab:
    """A proxy before the server: `/test.Echo/`; `/dead` refuses connections."""

    def __init__(self, start: StartMesh, server: Server) -> None:
        self._start = start
        self.server = server
        self.port = free_port()

    def __call__(
        self, *filters: dict[str, Any], log: config.Tree | None = None, **route: Any
    ) -> Proxy:
        admin = free_port()
        routes = config.route_config(
            "local",
            config.route("/dead", "dead"),
            config.route(f"/{SERVICE}/", "up", **{"timeout": "0s", **route}),
        )
        logs = [{"name": "log", "typed_config": log}] if log else []
        manager = config.hcm(routes, http_filters=list(filters) or [_ROUTER], access_log=logs)
        clusters = [
            config.cluster("up", self.server.port, **tls_config.http2()),
            config.cluster("dead", free_port(), **tls_config.http2()),
        ]
        listener = config.listener("web", self.port, manager)
        return self._start(config.bootstrap(admin, [listener], clusters), admin)

    @contextmanager
    def channel(self) -> Iterator[grpc.Channel]:
        """A client through the proxy, over HTTP/2."""
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            yield channel

    def post(self, path: str, body: bytes, *headers: str) -> Message:
        """A request of HTTP/1.1."""
        lines = [f"POST {path} HTTP/1.1", "Host: h", f"Content-Length: {len(body)}", *headers]
        with Connection(self.port) as conn:
            return conn.request("\r\n".join([*lines, "", ""]).encode() + body)


@pytest.fixture
def lab(start: StartMesh, server: Server) -> Lab:
    """Call it to start the proxy."""
    return Lab(start, server)


def _method(name: str) -> str:
    return f"/{SERVICE}/{name}"


def _header(answer: Message, name: str) -> str | None:
    return next((v for k, v in answer.headers if k.lower() == name), None)


def test_every_kind_of_call(lab: Lab) -> None:
    """Messages of all sizes, in order, each way."""
    lab()
    large = bytes(range(256)) * 12_000
    with lab.channel() as channel:
        unary = channel.unary_unary(_method("Unary"))
        for payload in (b"", b"hello", large):
            assert unary(payload, timeout=_DEADLINE) == payload
        down = channel.unary_stream(_method("ServerStream"))
        assert list(down(b"n", timeout=_DEADLINE)) == [b"n%d" % n for n in range(5)]
        up = channel.stream_unary(_method("ClientStream"))
        assert up(iter([b"a", large, b"c"]), timeout=_DEADLINE) == b"a" + large + b"c"
        both = channel.stream_stream(_method("Both"))
        sent = [b"%d" % n for n in range(100)] + [large]
        assert list(both(iter(sent), timeout=_DEADLINE)) == sent


def test_messages_go_one_by_one(lab: Lab) -> None:
    """A stream waits for no more than it needs: each answer comes before the next request."""
    lab()
    requests: queue.Queue[bytes | None] = queue.Queue()
    with lab.channel() as channel:
        both = channel.stream_stream(_method("Both"))
        call = both(iter(requests.get, None), timeout=_DEADLINE)
        for number in range(20):
            requests.put(b"%d" % number)
            assert next(call) == b"%d" % number
        requests.put(None)
        assert list(call) == []


def test_metadata_and_statuses(lab: Lab) -> None:
    """Initial and trailing metadata, binary ones too, and an error's status and message."""
    lab()
    with lab.channel() as channel:
        unary = channel.unary_unary(_method("Unary"))
        _, call = unary.with_call(b"x", metadata=(("x-mine", "1"),), timeout=_DEADLINE)
        initial = dict(call.initial_metadata())
        assert initial["x-initial"] == "a"
        assert initial["x-bytes-bin"] == b"\x00\xff"
        assert dict(call.trailing_metadata())["x-trailing"] == "b"
        assert lab.server.metadata[-1]["x-mine"] == "1"
        for status in grpc.StatusCode:
            if status is grpc.StatusCode.OK:
                continue
            with pytest.raises(grpc.RpcError) as error:
                unary(b"fail:" + status.name.encode(), timeout=_DEADLINE)
            assert error.value.code() is status
            assert error.value.details() == "as asked: é"


def test_cancellation_reaches_the_server(lab: Lab) -> None:
    """A client that gives up ends the call upstream."""
    lab()
    lab.server.cancelled.clear()
    lab.server.hanging.clear()
    with lab.channel() as channel:
        call = channel.unary_unary(_method("Hang")).future(b"x")
        assert lab.server.hanging.wait(_DEADLINE)
        call.cancel()
    assert lab.server.cancelled.wait(_DEADLINE)


def test_a_client_deadline_ends_the_call(lab: Lab) -> None:
    """grpc-timeout goes to the server as it came; the client reports DEADLINE_EXCEEDED."""
    lab()
    lab.server.cancelled.clear()
    with lab.channel() as channel, pytest.raises(grpc.RpcError) as error:
        channel.unary_unary(_method("Hang"))(b"x", timeout=0.5)
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert lab.server.cancelled.wait(_DEADLINE)


@pytest.mark.parametrize(
    ("route", "code", "details"),
    [
        ({"timeout": "0.3s"}, grpc.StatusCode.UNAVAILABLE, "upstream request timeout"),
        (
            {"max_stream_duration": {"max_stream_duration": "0.3s"}},
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "downstream duration timeout",
        ),
        (
            {"max_stream_duration": {"grpc_timeout_header_max": "0.3s"}},
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "downstream duration timeout",
        ),
    ],
)
def test_our_timeouts(lab: Lab, route: dict[str, Any], code: grpc.StatusCode, details: str) -> None:
    """As Envoy: a route's timeout is UNAVAILABLE, a stream's duration DEADLINE_EXCEEDED."""
    lab(**route)
    lab.server.cancelled.clear()
    with lab.channel() as channel, pytest.raises(grpc.RpcError) as error:
        channel.unary_unary(_method("Hang"))(b"x", timeout=_DEADLINE)
    assert error.value.code() is code
    # A server that was told the limit may be the first to say so.
    assert error.value.details() in (details, "Deadline Exceeded")
    assert lab.server.cancelled.wait(_DEADLINE)


def test_our_failures_are_statuses(lab: Lab) -> None:
    """No upstream is UNAVAILABLE, no route UNIMPLEMENTED."""
    lab()
    with lab.channel() as channel:
        for path, code in {
            "/dead/x": grpc.StatusCode.UNAVAILABLE,
            "/nowhere/x": grpc.StatusCode.UNIMPLEMENTED,
        }.items():
            with pytest.raises(grpc.RpcError) as error:
                channel.unary_unary(path)(b"x", timeout=_DEADLINE)
            assert error.value.code() is code


def test_messages_are_counted(lab: Lab) -> None:
    """grpc_stats: by service and method, with outcomes."""
    proxy = lab(*_filters(grpc_stats={"stats_for_all_methods": True}))
    with lab.channel() as channel:
        both = channel.stream_stream(_method("Both"))
        assert len(list(both(iter([b"a", b"b", b"c"]), timeout=_DEADLINE))) == 3
        with pytest.raises(grpc.RpcError):
            channel.unary_unary(_method("Unary"))(b"fail:NOT_FOUND", timeout=_DEADLINE)
    prefix = f"cluster.up.grpc.{SERVICE}"
    for name, value in {
        "Both.request_message_count": 3,
        "Both.response_message_count": 3,
        "Both.success": 1,
        "Both.0": 1,
        "Unary.request_message_count": 1,
        "Unary.failure": 1,
        "Unary.5": 1,
        "Unary.total": 1,
    }.items():
        assert proxy.stat(f"{prefix}.{name}") == value, name


def test_the_access_log_may_tell_what_was_counted(lab: Lab, tmp_path: Path) -> None:
    """emit_filter_state: in text as numbers or JSON's names, in JSON as an object, as Envoy."""
    path = tmp_path / "access.log"
    state = "FILTER_STATE(envoy.filters.http.grpc_stats"
    log = {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": str(path),
        "log_format": {
            "json_format": {
                "plain": f"%{state}:PLAIN)%",
                "text": f"of %{state}:TYPED)%",
                "typed": f"%{state})%",
            }
        },
    }
    proxy = lab(*_filters(grpc_stats={"emit_filter_state": True}), log=log)
    with lab.channel() as channel:
        both = channel.stream_stream(_method("Both"))
        assert len(list(both(iter([b"a", b"b", b"c"]), timeout=_DEADLINE))) == 3
    lab.post("/test.Echo/Unary", b"x")
    proxy.terminate()
    proxy.wait_exit()
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first == {
        "plain": "3,3",
        "text": 'of {"requestMessageCount":"3","responseMessageCount":"3"}',
        "typed": {"request_message_count": "3", "response_message_count": "3"},
    }
    assert second["plain"] is None


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("method", ["Unary", "ServerStream"])
def test_grpc_web(lab: Lab, text: bool, method: str) -> None:
    """Binary and base64: the trailers are the body's last frame."""
    lab(*_filters(grpc_web={}))
    kind = "application/grpc-web-text" if text else "application/grpc-web"
    body = message(b"hi")
    sent = base64.b64encode(body) if text else body
    answer = lab.post(_method(method), sent, f"Content-Type: {kind}", f"Accept: {kind}")
    assert answer.status == 200
    assert _header(answer, "content-type") == f"{kind}+proto"
    got = answer.body
    if text:
        # One text after another, each with its padding.
        got = b"".join(base64.b64decode(got[i : i + 4]) for i in range(0, len(got), 4))
    *data, (flags, trailers) = messages(got)
    expected = [b"hi"] if method == "Unary" else [b"hi%d" % n for n in range(5)]
    assert [payload for _, payload in data] == expected
    assert flags == 0x80
    assert b"grpc-status:0\r\n" in trailers


def test_grpc_web_texts_one_after_another(lab: Lab) -> None:
    """Each message with its own padding, all in one piece."""
    lab(*_filters(grpc_web={}))
    text = "application/grpc-web-text"
    sent = b"".join(base64.b64encode(message(one)) for one in (b"a", b"bc", b"def"))
    answer = lab.post(_method("ClientStream"), sent, f"Content-Type: {text}")
    (_, payload), (flags, trailers) = messages(answer.body)
    assert (payload, flags) == (b"abcdef", 0x80)
    assert b"grpc-status:0\r\n" in trailers


def test_grpc_web_failures(lab: Lab) -> None:
    """Bad base64 and what is no gRPC become statuses."""
    lab(*_filters(grpc_web={}))
    text = "application/grpc-web-text"
    headers = (f"Content-Type: {text}", f"Accept: {text}")
    for bad in (b"AAAAAAJoaQ=", b"!!!!"):
        answer = lab.post(_method("Unary"), bad, *headers)
        assert (answer.status, _header(answer, "grpc-status")) == (400, "13")
        assert _header(answer, "grpc-message") == "Bad gRPC-web request, invalid base64 data."
    answer = lab.post("/dead/x", message(b"hi"), "Content-Type: application/grpc-web")
    assert (answer.status, _header(answer, "grpc-status"), answer.body) == (503, "14", b"")


def test_http1_bridge(lab: Lab) -> None:
    """The response as a whole, its status in the head; failures are 503."""
    lab(*_filters(grpc_http1_bridge={"upgrade_protobuf_to_grpc": True}))
    headers = ("Content-Type: application/grpc", "TE: trailers")
    answer = lab.post(_method("ServerStream"), message(b"n"), *headers)
    assert (answer.status, _header(answer, "grpc-status")) == (200, "0")
    assert [payload for _, payload in messages(answer.body)] == [b"n%d" % n for n in range(5)]
    assert _header(answer, "content-length") == str(len(answer.body))
    bare = lab.post(
        _method("Unary"), b"bare", "Content-Type: application/x-protobuf", "TE: trailers"
    )
    assert (bare.status, bare.body) == (200, b"bare")
    # What is gathered to be framed has a bound.
    large = lab.post(_method("Unary"), bytes((1 << 20) + 1), "Content-Type: application/x-protobuf")
    assert (large.status, _header(large, "grpc-status")) == (413, None)
    # An initial head was sent, so that the status comes in trailers.
    failed = lab.post(_method("Unary"), message(b"fail:NOT_FOUND"), *headers)
    assert (failed.status, _header(failed, "grpc-status")) == (503, "5")
