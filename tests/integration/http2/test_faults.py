"""HTTP/2 clients that break the rules or reset streams: what the access log and the counters say.

What Envoy says was asked of it; of details only the words after `codec_error:` are ours.
"""

from __future__ import annotations

import hpack
import pytest

from tests.integration.http2.bridge import Bridge
from tests.support import h2raw
from tests.support.h2peer import Answer, get
from tests.support.waiting import until

_UPPER = (b"X-Upper", b"1")
_MALFORMED = ["-", "HTTP/2", "0", "DPE", "http2.invalid.header.field"]


def _serve(bridge: Bridge, *, strict: bool = False) -> None:
    bridge.up.by_path["/hang"] = Answer(("hang",))
    bridge.up.by_path["/half"] = Answer(([(":status", "200")], b"half", "hang"), after="head")
    options = {"override_stream_error_on_invalid_http_message": strict}
    limits = {"max_headers_count": 20, "headers_with_underscores_action": "REJECT_REQUEST"}
    bridge(
        manager={
            "http2_protocol_options": options,
            "common_http_protocol_options": limits,
            "max_request_headers_kb": 8,
        }
    )


def _opened(bridge: Bridge, path: str = "/hang") -> h2raw.Peer:
    """A client whose stream 1 is under way."""
    peer = h2raw.Peer(bridge.port)
    peer.handshake()
    peer.send(h2raw.headers(1, h2raw.request(path=path), end_stream=False))
    bridge.up.wait_requests(1)
    if path == "/half":
        assert peer.wait_for(lambda: peer.bodies[1] == 4)
    return peer


@pytest.mark.parametrize(
    ("blob", "own", "others"),
    [
        # A malformed head: it, and the streams that end with the connection.
        (
            h2raw.headers(3, h2raw.request(extra=[_UPPER])),
            _MALFORMED,
            "codec_error:malformed_message",
        ),
        # Faults of frames: every stream.
        (
            h2raw.frame(h2raw.DATA, 0, 0, b"x"),
            None,
            "codec_error:frame_type_does_not_belong_on_this_stream_id",
        ),
        # A head that is no HPACK: nothing is known of it either.
        (
            h2raw.headers(3, b"\xff\xff\xff\x0f"),
            ["-", "HTTP/2", "0", "DPE", "codec_error:invalid_header_block"],
            "codec_error:invalid_header_block",
        ),
        (
            b"".join(h2raw.priority(3 + 2 * i, 0) for i in range(3000)),
            None,
            "codec_error:too_many_PRIORITY_frames",
        ),
    ],
    ids=["malformed", "frame", "hpack", "flood"],
)
def test_a_connection_that_fails_logs_its_streams(
    bridge: Bridge, blob: bytes, own: list[str] | None, others: str
) -> None:
    """One line for each request, with DPE; the connection is counted once."""
    _serve(bridge)
    with _opened(bridge, "/half") as peer:
        peer.send(blob)
        peer.wait_closed()
    lines = bridge.logged(2 if own else 1)
    expected = [["/half", "HTTP/2", "200", "DPE", others]]
    assert sorted(lines) == sorted([*expected, own] if own else expected)
    proxy = bridge.proxy
    count = "http.web.downstream_"
    assert proxy.stat(count + "cx_destroy_local_active_rq") == 1
    assert proxy.stat(count + "cx_destroy_active_rq") == 1
    assert proxy.stat(count + "rq_total") == len(lines)
    assert proxy.stat(count + "rq_rx_reset") == len(lines)
    assert proxy.stat(count + "rq_active") == 0
    is_flood = "PRIORITY" in others
    assert proxy.stat(count + "cx_protocol_error") == int(not is_flood)


@pytest.mark.parametrize(
    ("strict", "frame", "details"),
    [
        (False, h2raw.headers(1, h2raw.literals([_UPPER])), "http2.invalid.header.field"),
        (True, h2raw.headers(1, h2raw.literals([_UPPER])), "http2.invalid.header.field"),
        (
            False,
            h2raw.headers(1, h2raw.literals([(b"x", b"y")]), end_stream=False),
            "http2.violation.of.messaging.rule",
        ),
        (False, h2raw.window_update(1, (1 << 31) - 1), "http2.unknown.nghttp2.error"),
    ],
    ids=["trailers", "trailers-strict", "no-end", "window"],
)
def test_a_fault_in_a_request_is_its_own(
    bridge: Bridge, strict: bool, frame: bytes, details: str
) -> None:
    """Its line names the fault, whether the stream ends with it or the connection."""
    _serve(bridge, strict=strict)
    with _opened(bridge) as peer:
        peer.send(frame)
        assert peer.wait_for(lambda: peer.is_cut or 1 in peer.resets)
        assert bridge.logged(1) == [["/hang", "HTTP/2", "0", "DPE", details]]


@pytest.mark.parametrize(
    ("extra", "details", "counter"),
    [
        ([(b"a", b"x" * 9000)], "header_list_size_too_large", "header_list_size_too_large"),
        ([(b"a%d" % i, b"") for i in range(30)], "too_many_headers", "header_overflow"),
        (
            [(b"a_b", b"x")],
            "unexpected_underscore",
            "requests_rejected_with_underscores_in_headers",
        ),
    ],
    ids=["bytes", "fields", "underscore"],
)
def test_heads_beyond_the_limits_are_logged(
    bridge: Bridge, extra: list[tuple[bytes, bytes]], details: str, counter: str
) -> None:
    """The stream is reset, the connection goes on; Envoy's flag for that is DR."""
    _serve(bridge)
    with _opened(bridge) as peer:
        peer.send(h2raw.headers(3, h2raw.request(extra=extra)))
        assert peer.wait_for(lambda: 3 in peer.resets)
        assert peer.resets[3] == h2raw.INTERNAL
        assert bridge.logged(1) == [["-", "HTTP/2", "0", "DR", "http2." + details]]
        assert bridge.proxy.stat("http2." + counter) == 1
        peer.send(h2raw.headers(5, h2raw.request(path="/")))
        assert peer.wait_for(lambda: peer.statuses.get(5) == "200")


@pytest.mark.parametrize(
    ("code", "flag", "details"),
    [
        (h2raw.CANCEL, "DR", "http2.remote_reset"),
        (h2raw.PROTOCOL, "DPE", "http2.remote_reset"),
        (h2raw.REFUSED_STREAM, "DR", "http2.remote_refuse"),
    ],
)
def test_a_client_that_resets(bridge: Bridge, code: int, flag: str, details: str) -> None:
    """Told from one that leaves, and no connection is counted as ended."""
    _serve(bridge)
    with _opened(bridge, "/half") as peer:
        peer.send(h2raw.rst_stream(1, code))
        assert bridge.logged(1) == [["/half", "HTTP/2", "200", flag, details]]
        assert bridge.proxy.stat("http.web.downstream_cx_destroy_active_rq") == 0
        assert bridge.proxy.stat("http.web.downstream_rq_rx_reset") == 1


def test_a_client_that_leaves(bridge: Bridge) -> None:
    """DC, and one connection that had requests."""
    _serve(bridge)
    peer = _opened(bridge)
    peer.send(h2raw.headers(3, h2raw.request(path="/hang")))
    bridge.up.wait_requests(2)
    peer.close()
    line = ["/hang", "HTTP/2", "0", "DC", "downstream_remote_disconnect"]
    assert bridge.logged(2) == [line, line]
    assert bridge.proxy.stat("http.web.downstream_cx_destroy_remote_active_rq") == 1


@pytest.mark.parametrize(
    ("steps", "flag", "details", "counter"),
    [
        (("close",), "UC", "connection_termination", "upstream_rq_pending_failure_eject"),
        (("rst",), "UC", "connection_termination", "upstream_rq_pending_failure_eject"),
        ((("goaway", 0), 0.05, "close"), "UC", "connection_termination", None),
        ((("reset", 2),), "UR", "remote_reset", "upstream_rq_rx_reset"),
        ((("reset", 7),), "UR", "remote_refused_stream_reset", None),
        ((("goaway", 0, 0),), "UR", "remote_refused_stream_reset", None),
        (([("X-Upper", "1")],), "UPE", "protocol_error", "upstream_rq_tx_reset"),
    ],
    ids=["close", "rst", "goaway", "reset", "refused", "goaway-0", "malformed"],
)
def test_an_upstream_that_ends_in_the_middle(
    bridge: Bridge, steps: tuple[object, ...], flag: str, details: str, counter: str | None
) -> None:
    """A connection that ends, a stream that is reset and a broken rule are told apart."""
    bridge.up.by_path["/"] = Answer(([(":status", "200")], b"half", 0.05, *steps))  # type: ignore[arg-type]
    proxy = bridge()
    with bridge.client() as client:
        stream = client.begin(get())
        assert client.wait_for(lambda: stream.over)
        assert stream.body == b"half"
        assert stream.reset is not None
    why = f"upstream_reset_after_response_started{{{details}}}"
    assert bridge.logged(1) == [["/", "HTTP/2", "200", flag, why]]
    if counter:
        assert proxy.stat(f"cluster.up.{counter}") == 1


def test_never_indexed_fields_stay_so(bridge: Bridge) -> None:
    """RFC 7541 7.1.3: an intermediary forwards the mark, both ways."""
    secret = hpack.NeverIndexedHeaderTuple
    bridge.up.by_path["/"] = Answer(
        ([(":status", "200"), secret("x-key", "k"), ("x-open", "o")], b"ok")  # type: ignore[arg-type]
    )
    bridge()
    with bridge.client() as client:
        for _ in range(3):  # what may be indexed is by then
            head = get("/", secret("x-secret", "s"), ("x-plain", "p"))  # type: ignore[arg-type]
            stream = client.request(head)
            assert stream.never_indexed == ["x-key"]
        assert [seen.never_indexed for seen in bridge.up.requests] == [["x-secret"]] * 3


def test_pending_bytes_are_a_gauge(bridge: Bridge) -> None:
    """What the client's windows keep here, and nothing once it is gone."""
    size = 200_000
    bridge.up.by_path["/"] = Answer(([(":status", "200")], b"x" * size))
    proxy = bridge()
    gauge = "http2.pending_send_bytes"
    with h2raw.Peer(bridge.port) as peer:
        peer.handshake((h2raw.INITIAL_WINDOW, 1000))
        peer.send(h2raw.headers(1, h2raw.request()))
        assert peer.wait_for(lambda: peer.bodies[1] == 1000)
        until(lambda: (proxy.stat(gauge) or 0) > 0)
        peer.send(h2raw.window_update(1, 1 << 20) + h2raw.window_update(0, 1 << 20))
        assert peer.wait_for(lambda: peer.bodies[1] == size)
        until(lambda: proxy.stat(gauge) == 0)
        peer.send(h2raw.headers(3, h2raw.request()))
        until(lambda: (proxy.stat(gauge) or 0) > 0)
        peer.send(h2raw.rst_stream(3))
        until(lambda: proxy.stat(gauge) == 0)
        peer.send(h2raw.headers(5, h2raw.request()))
        until(lambda: (proxy.stat(gauge) or 0) > 0)
    until(lambda: proxy.stat(gauge) == 0)
    assert proxy.stat("cluster.up.http2.pending_send_bytes") == 0
