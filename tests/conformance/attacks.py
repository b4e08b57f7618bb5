"""The attacks of test_h2_abuse: each makes the bytes of so many rude frames, all at once.

`cut`: the connection must be ended by the proxy. Where it is not set, ending it is as good as
carrying on within bounds: the frames are legal one by one, or the stream's own limit holds them.
`reads`: whether the attacker takes what the proxy answers; some attacks live from not doing so.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from tests.support import h2raw as h

_MAX_WINDOW = (1 << 31) - 1
_GET = h.request("GET", "/attack")
_POST = h.request("POST", "/attack")
_BIG = h.request("GET", "/big")


@dataclass(frozen=True)
class Attack:
    """One kind. `build` gives the bytes after the handshake, with at least that many frames."""

    name: str
    build: Callable[[int], bytes]
    cut: bool = False
    reads: bool = True
    settings: tuple[tuple[int, int], ...] = ()
    cve: str = ""


def _each_stream(count: int, make: Callable[[int], bytes], per_stream: int = 1) -> bytes:
    """`make` for streams 1, 3, 5, ...: so many frames in all."""
    return b"".join(make(1 + 2 * i) for i in range(-(-count // per_stream)))


def _rapid_reset(count: int) -> bytes:
    return _each_stream(count, lambda s: h.headers(s, _GET) + h.rst_stream(s), 2)


def _reset_after_body(count: int) -> bytes:
    """Streams that begin a body before they are reset: the request is under way by then."""

    def one(stream: int) -> bytes:
        body = h.data(stream, b"x")
        return h.headers(stream, _POST, end_stream=False) + body + h.rst_stream(stream)

    return _each_stream(count, one, 3)


def _made_you_reset(
    provoke: Callable[[int], bytes], block: bytes = _GET, *, ended: bool = True
) -> Callable[[int], bytes]:
    """Requests, each followed by a frame that makes the server reset the stream."""

    def build(count: int) -> bytes:
        return _each_stream(count, lambda s: h.headers(s, block, end_stream=ended) + provoke(s), 2)

    return build


_WITH_LENGTH = h.request("POST", "/attack", extra=[(b"content-length", b"5")])


def _malformed(block: bytes) -> Callable[[int], bytes]:
    return lambda count: _each_stream(count, lambda s: h.headers(s, block))


def _on_one_stream(frames: Callable[[int], bytes], block: bytes = _POST) -> Callable[[int], bytes]:
    """One open request, then the same frame again and again."""
    return lambda count: h.headers(1, block, end_stream=False) + frames(1) * count


def _continuation(piece: bytes) -> Callable[[int], bytes]:
    def build(count: int) -> bytes:
        start = h.headers(1, _GET, end_headers=False)
        return start + h.continuation(1, piece) * count

    return build


def _repeat(*frames: bytes) -> Callable[[int], bytes]:
    return lambda count: b"".join(frames) * (-(-count // len(frames)))


def _bomb(name: bytes, value: bytes, references: int) -> Callable[[int], bytes]:
    """A field of some kilobytes enters the table once; every request then names it often."""

    def build(count: int) -> bytes:
        load = h.headers(1, _GET + h.indexing(name, value))
        block = _GET + b"\xbe" * references  # 0xbe: indexed field 62, the newest in the table
        return load + b"".join(h.headers(3 + 2 * i, block) for i in range(count))

    return build


def _huge_lists(count: int) -> bytes:
    """Requests of 100 continuation frames, a kilobyte of fields each."""
    piece = h.literals([(b"x-%d" % i, b"v" * 90) for i in range(10)])
    middle = [h.continuation(1, piece)] * 98
    out = []
    for i in range(-(-count // 100)):
        stream = struct.pack(">I", 1 + 2 * i)
        frames = [h.headers(1, _GET, end_headers=False), *middle]
        frames.append(h.continuation(1, piece, end_headers=True))
        out.append(b"".join(frame[:5] + stream + frame[9:] for frame in frames))
    return b"".join(out)


def _window_flap(count: int) -> bytes:
    """100 open streams, then SETTINGS that move all their windows 100 times each."""
    opened = _each_stream(100, lambda s: h.headers(s, _POST, end_stream=False))
    flap = h.settings(*[(h.INITIAL_WINDOW, 65535 - i % 2) for i in range(100)])
    return opened + flap * count


def _trickled_windows(count: int) -> bytes:
    """100 big answers, let out a byte at a time."""
    opened = _each_stream(100, lambda s: h.headers(s, _BIG))
    drip = b"".join(h.window_update(1 + 2 * i, 1) for i in range(100))
    return opened + drip * -(-count // 100)


def _jumps(count: int) -> bytes:
    """Stream identifiers in great strides, as far as they go."""
    stride = (1 << 31) // count & ~1
    return b"".join(h.headers(1 + stride * i, _GET) for i in range(count))


_EMPTY_NAME = h.request("GET", "/attack", extra=[(b"", b"")])
_EMPTY_NAMES = h.request("GET", "/attack", extra=[(b"", b"")] * 50)
_UPPER_CASE = h.request("GET", "/attack", extra=[(b"X-Upper", b"1")])
_PADDING = h.frame(h.DATA, h.PADDED, 1, b"\xff" + b"\0" * 255)

ATTACKS = [
    Attack("rapid reset", _rapid_reset, cut=True, cve="CVE-2023-44487"),
    Attack("rapid reset with bodies", _reset_after_body, cut=True, cve="CVE-2023-44487"),
    # MadeYouReset, CVE-2025-8671: the server is made to reset.
    Attack(
        "made you reset: window update of zero",
        _made_you_reset(lambda s: h.window_update(s, 0)),
        cut=True,
    ),
    Attack(
        "made you reset: window overflow",
        _made_you_reset(lambda s: h.window_update(s, _MAX_WINDOW)),
        cut=True,
    ),
    Attack(
        "made you reset: priority on itself",
        _made_you_reset(lambda s: h.priority(s, s), _POST, ended=False),
        cut=True,
    ),
    Attack(
        "made you reset: priority of four bytes",
        _made_you_reset(lambda s: h.frame(h.PRIORITY, 0, s, b"\0" * 4), _POST, ended=False),
        cut=True,
    ),
    Attack(
        "made you reset: data after the end",
        _made_you_reset(lambda s: h.data(s, b"x")),
        cut=True,
    ),
    Attack(
        "made you reset: headers after the end",
        _made_you_reset(lambda s: h.headers(s, _GET)),
        cut=True,
    ),
    Attack(
        "made you reset: body longer than content-length",
        _made_you_reset(lambda s: h.data(s, b"123456"), _WITH_LENGTH, ended=False),
        cut=True,
    ),
    Attack(
        "made you reset: body shorter than content-length",
        _made_you_reset(lambda s: h.data(s, b"1", end_stream=True), _WITH_LENGTH, ended=False),
        cut=True,
    ),
    Attack(
        "half-closed: trailers without the end",
        _made_you_reset(
            lambda s: h.headers(s, h.literals([(b"x-t", b"1")]), end_stream=False),
            _POST,
            ended=False,
        ),
        cut=True,
    ),
    Attack(
        "half-closed: requests that stall",
        lambda count: _each_stream(count, lambda s: h.headers(s, _POST, end_stream=False)),
    ),
    Attack(
        "half-closed: requests that stall, nothing read",
        lambda count: _each_stream(count, lambda s: h.headers(s, _POST, end_stream=False)),
        reads=False,
    ),
    Attack("malformed: header names in upper case", _malformed(_UPPER_CASE), cut=True),
    Attack("malformed: empty header block", _malformed(b""), cut=True),
    Attack("malformed: empty header name", _malformed(_EMPTY_NAME), cut=True),
    Attack(
        "malformed: fifty empty header names", _malformed(_EMPTY_NAMES), True, cve="CVE-2019-9516"
    ),
    Attack(
        "continuation flood",
        _continuation(h.literals([(b"x-flood", b"1")])),
        cut=True,
        cve="CVE-2024-27316",
    ),
    Attack("continuation flood, empty frames", _continuation(b""), cut=True),
    Attack("settings flood", _repeat(h.settings()), True, reads=False, cve="CVE-2019-9515"),
    Attack("settings flood, answers read", _repeat(h.settings((h.MAX_FRAME, 16384)))),
    Attack("settings acknowledged unasked", _repeat(h.settings_ack())),
    Attack(
        "settings: table size up and down",
        _repeat(h.settings((h.TABLE_SIZE, 0)), h.settings((h.TABLE_SIZE, 65536))),
    ),
    Attack("settings: windows of open streams", _window_flap),
    Attack("ping flood", _repeat(h.ping()), True, reads=False, cve="CVE-2019-9512"),
    Attack("ping flood, answers read", _repeat(h.ping())),
    Attack("empty data frames", _on_one_stream(h.data), cut=True, cve="CVE-2019-9518"),
    Attack("data frames of padding", _on_one_stream(lambda _: _PADDING)),
    Attack("priority flood", _repeat(*[h.priority(1 + 2 * i, 0) for i in range(997)]), cut=True),
    Attack(
        "priority churn",
        _repeat(*[h.priority(1 + 2 * (i % 50), 201 + 2 * (i * 7 % 90)) for i in range(499)]),
        cut=True,
        cve="CVE-2019-9513",
    ),
    Attack("window update flood", _repeat(h.window_update(0, 1)), cut=True),
    Attack(
        "window update flood on a stream",
        _on_one_stream(lambda s: h.window_update(s, 1)),
        cut=True,
    ),
    Attack("reset flood on a closed stream", _on_one_stream(h.rst_stream), cut=True),
    Attack("goaway flood", _repeat(h.goaway())),
    Attack("unknown frame types", _repeat(h.frame(0xFA, 0xFF, 0, b"?" * 8))),
    Attack("unknown settings", _repeat(h.settings(*[(0xF000 + i, i) for i in range(50)]))),
    Attack("hpack bomb", _bomb(b"x-bomb", b"b" * 3900, 1000), cve="CVE-2016-6581"),
    Attack("hpack bomb below the limits", _bomb(b"x-bomb", b"b" * 3900, 14), cve="CVE-2016-6581"),
    Attack("hpack bomb of cookies", _bomb(b"cookie", b"c" * 3900, 1000)),
    Attack("hpack bomb of small cookies", _bomb(b"cookie", b"c", 2000)),
    Attack("huge header lists", _huge_lists),
    Attack(
        "zero window, many streams",
        lambda count: _each_stream(count, lambda s: h.headers(s, _BIG)),
        settings=((h.INITIAL_WINDOW, 0),),
        cve="CVE-2019-9517",
    ),
    Attack(
        "big answers unread",
        lambda count: _each_stream(count, lambda s: h.headers(s, _BIG)),
        reads=False,
        settings=((h.INITIAL_WINDOW, _MAX_WINDOW),),
        cve="CVE-2019-9517",
    ),
    Attack(
        "window let out by the byte",
        _trickled_windows,
        settings=((h.INITIAL_WINDOW, 0),),
        cve="CVE-2019-9511",
    ),
    Attack("stream identifiers in strides", _jumps),
]
