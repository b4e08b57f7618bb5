"""What listener filters make of a connection's first bytes, asserted as the stock Envoy does it.

Filter chains tell: by transport, by protocol, by destination. What Envoy waits for until its
timeout may be refused at once by ours: both are closed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.differential.chains import CLOSED, ChainLab, Said, Scene, proxy_v2
from tests.support.hello import EMPTY_RECORD, extension, hello, records, sni, u16
from tests.support.proxies import ENVOY, OURS

_SOON = "{listener_filters_timeout: 0.5s}"
_TO_TEN = "prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]"

TLS = Scene("tls", "tls: {transport_protocol: tls}\nany:\n", ("tls_inspector",), _SOON)
STRICT_TLS = Scene(
    "strict_tls",
    "tls: {transport_protocol: tls}\nany:\n",
    (("tls_inspector", "{close_connection_on_client_hello_parsing_errors: true}"),),
    _SOON,
)
HTTP = Scene(
    "http",
    "h2c: {application_protocols: [h2c]}\n"
    "http10: {application_protocols: [http/1.0]}\n"
    "http11: {application_protocols: [http/1.1]}\n"
    "any:\n",
    ("http_inspector",),
    _SOON,
)
PROXIED = Scene("proxied", f"ten: {{{_TO_TEN}}}\nother:\n", ("proxy_protocol",), _SOON)
PERHAPS = Scene(
    "perhaps_proxied",
    f"ten: {{{_TO_TEN}}}\nother:\n",
    (("proxy_protocol", "{allow_requests_without_proxy_protocol: true}"),),
    _SOON,
)
NOT_V1 = Scene(
    "not_v1",
    f"ten: {{{_TO_TEN}}}\nother:\n",
    (("proxy_protocol", "{disallowed_versions: [V1]}"),),
    _SOON,
)
PATIENT = Scene(
    "patient",
    "tls: {transport_protocol: tls}\nany:\n",
    ("tls_inspector",),
    "{listener_filters_timeout: 0.3s, continue_on_listener_filters_timeout: true}",
)
BUT_ONE_PORT = Scene(
    "but_one_port",
    "tls: {transport_protocol: tls}\nany:\n",
    ("proxy_protocol", "tls_inspector_but_for_81"),
    _SOON,
)


def _v2(command: int, family: int, body: bytes) -> bytes:
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([command, family]) + u16(len(body)) + body


_IP4 = bytes([1, 1, 1, 1, 10, 0, 0, 1]) + u16(5) + u16(6)
_V1 = b"PROXY TCP4 1.1.1.1 10.0.0.1 5 6\r\n"

_TLS: dict[str, tuple[bytes, str]] = {
    "name": (records(hello(sni(b"a.b"))), "tls"),
    "no_extensions": (records(hello()), "tls"),
    "ssl3": (records(hello(version=0x300)), CLOSED),
    "beyond_1_3": (records(hello(version=0x305)), CLOSED),
    "supported_ssl3": (records(hello(extension(43, b"\x02\x03\0"))), "tls"),
    "record_3_99": (records(hello(), version=b"\x03\x63"), "tls"),
    "record_2_1": (records(hello(), version=b"\x02\x01"), "any"),
    "fragments_of_1": (records(hello(sni(b"a.b")), 1), "tls"),
    "fragments_of_7": (records(hello(sni(b"a.b")), 7), "tls"),
    "empty_record": (EMPTY_RECORD + records(hello()), "tls"),
    "many_empty_records": (EMPTY_RECORD * 33 + records(hello()), "any"),
    "name_with_nul": (records(hello(sni(b"a\0b"))), "any"),
    "name_empty": (records(hello(sni(b""))), "any"),
    "name_255": (records(hello(sni(b"a" * 255))), "tls"),
    "name_256": (records(hello(sni(b"a" * 256))), "any"),
    "name_twice": (records(hello(sni(b"a"), sni(b"b"))), "any"),
    "unknown_twice": (records(hello(*[extension(999, b"")] * 2)), "any"),
    "alpn_malformed": (records(hello(extension(16, b"\0\5"))), "tls"),
    "no_suites": (records(hello(suites=b"")), "any"),
    "odd_suites": (records(hello(suites=b"\x13\1\1")), "any"),
    "no_null_compression": (records(hello(compressions=b"\1")), "tls"),
    "no_compression": (records(hello(compressions=b"")), "any"),
    "session_of_33": (records(hello(session=b"x" * 33)), "any"),
    "server_hello": (records(b"\x02" + hello()[1:]), "any"),
    "of_16000": (records(hello(extension(999, bytes(15800)))), "tls"),
    "of_20000": (records(hello(extension(999, bytes(20000)))), CLOSED),
    "claims_17000": (b"\x16\x03\1\0\4\1\0" + u16(17000), "any"),
    "record_of_17000": (b"\x16\x03\1" + u16(17000) + b"\1\0\0\x80", "any"),
    "cut": (records(hello())[:-1], CLOSED),
    "alert": (b"\x15\3\1\0\2\2\x28", "any"),
    "text": (b"GET / HTTP/1.1\r\n\r\n", "any"),
}
_HTTP: dict[str, str] = {
    "GET / HTTP/1.1\r\n": "http11",
    "GET / HTTP/1.1\n": "http11",
    "get\t/  HTTP/1.1 \r\n": "http11",
    "GET / HTTP/1.0\r\n": "http10",
    "GET / HTTP/2.0\r\n": "http10",
    "GET /\r\n": "http10",
    "GET\r\n": "any",
    "GET / / HTTP/1.1\r\n": "any",
    "GET / http/1.1\r\n": "any",
    "GET / HTTP/1.12\r\n": "any",
    "GET /\x7f HTTP/1.1\r\n": "any",
    "GET /\x01 HTTP/1.1\r\n": "http11",
    " GET / HTTP/1.1\r\n": "any",
    "\r\nGET / HTTP/1.1\r\n": "any",
    "G@T": "any",
    "\x16\x03\x01": "any",
    "GET / HT": CLOSED,
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": "h2c",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n": CLOSED,
    "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n": "http10",
    f"GET /{'x' * 60000} HTTP/1.1\r\n": "http11",
    f"GET /{'x' * 66000} HTTP/1.1\r\n": CLOSED,
}
_PROXIED: dict[str, tuple[bytes, str]] = {
    "v1": (_V1 + b"X", "ten"),
    "v1_spaces_after": (_V1[:-2] + b" \t\r\nX", "ten"),
    "v1_plus": (b"PROXY TCP4 1.1.1.1 10.0.0.1 5 +6\r\nX", "ten"),
    "v1_unknown": (b"PROXY UNKNOWN x y z\r\nX", "other"),
    "v1_tcp6": (b"PROXY TCP6 ::1 ::2 5 6\r\nX", "other"),
    "v1_lf": (_V1[:-2] + b"\nX", CLOSED),
    "v1_two_spaces": (_V1.replace(b"TCP4 ", b"TCP4  ") + b"X", CLOSED),
    "v1_port": (b"PROXY TCP4 1.1.1.1 10.0.0.1 5 65536\r\nX", CLOSED),
    "v1_mixed": (b"PROXY TCP4 ::1 10.0.0.1 5 6\r\nX", CLOSED),
    "v1_to_any": (b"PROXY TCP4 1.1.1.1 0.0.0.0 5 6\r\nX", CLOSED),
    "v1_broadcast": (b"PROXY TCP4 255.255.255.255 10.0.0.1 5 6\r\nX", CLOSED),
    "v1_multicast": (b"PROXY TCP4 224.0.0.1 10.0.0.1 5 6\r\nX", CLOSED),
    "v1_udp": (_V1.replace(b"TCP4", b"UDP4") + b"X", CLOSED),
    "v1_of_108": (b"PROXY UNKNOWN " + b"x" * 92 + b"\r\nX", "other"),
    "v1_of_109": (b"PROXY UNKNOWN " + b"x" * 93 + b"\r\nX", CLOSED),
    "v2": (proxy_v2("1.1.1.1:5", "10.0.0.1:6") + b"X", "ten"),
    "v2_datagram": (_v2(0x21, 0x12, _IP4) + b"X", "ten"),
    "v2_no_transport": (_v2(0x21, 0x10, _IP4) + b"X", CLOSED),
    "v2_no_family": (_v2(0x21, 0x00, _IP4) + b"X", CLOSED),
    "v2_unix": (_v2(0x21, 0x31, b"a" * 216) + b"X", CLOSED),
    "v2_local": (_v2(0x20, 0x00, b"") + b"X", "other"),
    "v2_local_with_more": (_v2(0x20, 0x11, _IP4 + b"\4\0\xff") + b"X", "other"),
    "v2_command": (_v2(0x22, 0x11, _IP4) + b"X", CLOSED),
    "v2_version": (_v2(0x11, 0x11, _IP4) + b"X", CLOSED),
    "v2_short": (_v2(0x21, 0x11, _IP4[:-1]) + b"X", CLOSED),
    "v2_tlv": (_v2(0x21, 0x11, _IP4 + b"\4\0\1a\5\0\0") + b"X", "ten"),
    "v2_tlv_cut": (_v2(0x21, 0x11, _IP4 + b"\4\0") + b"X", CLOSED),
    "v2_tlv_too_long": (_v2(0x21, 0x11, _IP4 + b"\4\0\5a") + b"X", CLOSED),
    "v2_big_tlv": (_v2(0x21, 0x11, _IP4 + b"\4\xff\xf0" + bytes(0xFFF0)) + b"X", "ten"),
    "none": (b"GET / HTTP/1.1\r\n\r\n", CLOSED),
    "lower_case": (b"proxy TCP4 1.1.1.1 10.0.0.1 5 6\r\nX", CLOSED),
}
_Case = tuple[Scene, str, tuple[bytes, ...], str]
CASES: list[_Case] = [
    *[(TLS, name, (said,), chain) for name, (said, chain) in _TLS.items()],
    *[(HTTP, repr(said[:30]), (said.encode("latin-1"),), chain) for said, chain in _HTTP.items()],
    *[(PROXIED, name, (said,), chain) for name, (said, chain) in _PROXIED.items()],
    (PROXIED, "v1_in_parts", (_V1[:10], _V1[10:30], _V1[30:] + b"X"), "ten"),
    (PERHAPS, "v1", (_V1,), "ten"),
    (PERHAPS, "none", (b"GET / HTTP/1.1\r\n\r\n",), "other"),
    (PERHAPS, "none_and_short", (b"GET /",), "other"),
    (NOT_V1, "v1", (_V1,), CLOSED),
    (NOT_V1, "v2", (proxy_v2("1.1.1.1:5", "10.0.0.1:6"),), "ten"),
    (STRICT_TLS, "text", (b"GET / HTTP/1.1\r\n\r\n",), CLOSED),
    (STRICT_TLS, "hello", (records(hello()),), "tls"),
    (PATIENT, "cut", (records(hello())[:-1],), "any"),
    (PATIENT, "hello", (records(hello()),), "tls"),
    (BUT_ONE_PORT, "81", (proxy_v2("1.1.1.1:5", "10.0.0.1:81") + records(hello()),), "any"),
    (BUT_ONE_PORT, "82", (proxy_v2("1.1.1.1:5", "10.0.0.1:82") + records(hello()),), "tls"),
]
SCENES = [TLS, STRICT_TLS, HTTP, PROXIED, PERHAPS, NOT_V1, PATIENT, BUT_ONE_PORT]

COUNTERS = (
    "tls_inspector.",
    "http_inspector.",
    "proxy_proto.",
    "downstream_cx_proxy_proto_error",
    "listener.downstream_listener_filter",
    "listener.downstream_pre_cx",
    "listener.no_filter_chain_match",
    "listener.downstream_cx_total",
)

KINDS = [ENVOY, OURS]


@pytest.fixture(scope="module", params=KINDS)
def lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ChainLab]:
    """All scenes in one proxy."""
    lab = ChainLab(request.param, SCENES, tmp_path_factory.mktemp("filters"))
    yield lab
    lab.stop()


@pytest.mark.parametrize(
    ("scene", "said", "chain"),
    [(scene, said, chain) for scene, _, said, chain in CASES],
    ids=[f"{scene.id}-{name}" for scene, name, _, _ in CASES],
)
def test_chain(lab: ChainLab, scene: Scene, said: Sequence[bytes], chain: str) -> None:
    """The chain whose upstream answered."""
    assert lab.chain_of(scene, Said(tuple(said))) == chain


COUNTED = {
    "downstream_cx_proxy_proto_error": 18,
    "http_inspector.http10_found": 4,
    "http_inspector.http11_found": 5,
    "http_inspector.http2_found": 1,
    "http_inspector.http_not_found": 9,
    "http_inspector.read_error": 1,
    "listener.downstream_cx_total": 68,
    "listener.downstream_pre_cx_timeout": 5,
    "proxy_proto.not_found_allowed": 2,
    "proxy_proto.not_found_disallowed": 2,
    "proxy_proto.versions.v1.disallowed": 1,
    "proxy_proto.versions.v1.error": 8,
    "proxy_proto.versions.v1.found": 9,
    "proxy_proto.versions.v2.error": 8,
    "proxy_proto.versions.v2.found": 9,
    "tls_inspector.alpn_not_found": 14,
    "tls_inspector.client_hello_too_large": 1,
    "tls_inspector.sni_found": 4,
    "tls_inspector.sni_not_found": 12,
    "tls_inspector.tls_found": 14,
    "tls_inspector.tls_not_found": 19,
}


@pytest.mark.parametrize("kind", KINDS)
def test_counters(kind: str, tmp_path: Path) -> None:
    """The counters of the filters after one connection of each case, and those of the listeners."""
    lab = ChainLab(kind, SCENES, tmp_path)
    try:
        for scene, _, said, _ in CASES:
            lab.chain_of(scene, Said(said))
        # The last connections are counted when they have ended, which nobody sees from outside.
        until = time.monotonic() + 10
        while (found := _counters(lab)) != COUNTED and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        lab.stop()
    assert found == COUNTED


def _counters(lab: ChainLab) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in lab.proxy.admin("GET", "/stats?usedonly&type=Counters")[1].splitlines():
        name, _, value = line.partition(": ")
        name = re.sub(r"^listener\.127\.0\.0\.1_\d+\.", "listener.", name)
        if name.startswith(COUNTERS):
            found[name] = found.get(name, 0) + int(value)
    return found
