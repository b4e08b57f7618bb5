"""ext_authz over time: clients that leave while their check is under way, bodies that are held,
servers that come back, and what is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import yaml
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from google.protobuf import json_format

from tests.integration.conftest import Simple
from tests.support import config, h2peer, tls_config
from tests.support.authorizer import Authorizer
from tests.support.client import Connection
from tests.support.proxies import Proxy
from tests.support.tcp import wait_for
from tests.support.upstream import Upstream

_EXT_AUTHZ = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
_GET = b"GET /a HTTP/1.1\r\nhost: a.test\r\n\r\n"
_LOG = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
_FORMAT = "LINE %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"


class Site:
    """A proxy that asks before everything."""

    def __init__(self, simple: Simple, authorizer: Authorizer) -> None:
        self._simple = simple
        self.authorizer = authorizer
        self.upstream: Upstream = simple.upstream
        self.port = simple.port
        self.proxy: Proxy

    def __call__(self, *flags: str, authz: str = "{}", server: str = "", **more: Any) -> Proxy:
        """Start it; `authz`: fields of the filter in flow style, `server`: of the cluster."""
        port = self.authorizer.port
        cluster = config.cluster("authz", port, **tls_config.http2())
        cluster |= yaml.safe_load(server or "{}")
        service = {"envoy_grpc": {"cluster_name": "authz"}, "timeout": "30s"}
        typed = {"@type": _EXT_AUTHZ, "grpc_service": service, "transport_api_version": "V3"}
        typed |= yaml.safe_load(authz)
        filters = [
            tls_config.network_filter("ext_authz", typed),
            tls_config.network_filter("router", {"@type": config.ROUTER}),
        ]
        form = {"text_format_source": {"inline_string": _FORMAT}}
        log = {"name": "log", "typed_config": {"@type": _LOG, "log_format": form}}
        text = config.bootstrap(
            self._simple.admin_port,
            [
                config.listener(
                    "web",
                    self.port,
                    config.hcm(
                        config.route_config("r", config.route("/", "up")),
                        http_filters=filters,
                        access_log=[log],
                        **more,
                    ),
                )
            ],
            [config.cluster("up", self.upstream.port), cluster],
        )
        self.proxy = self._simple._start(text, self._simple.admin_port, *flags)
        return self.proxy

    def stat(self, name: str) -> int:
        """A counter of the filter."""
        return self.proxy.stat(f"http.web.ext_authz.{name}") or 0

    def wait_line(self, start: str) -> str:
        """The line of the access log that begins so."""
        found: list[str] = []

        def is_there() -> bool:
            lines = self.proxy.log().splitlines()
            found[:] = [line for line in lines if line.startswith(f"LINE {start}")]
            return bool(found)

        wait_for(is_there, f"a line {start!r}")
        return found[0]


@pytest.fixture
def authorizer() -> Iterator[Authorizer]:
    """Lets everybody pass, until it is told otherwise."""
    with Authorizer() as server:
        yield server


@pytest.fixture
def site(simple: Simple, authorizer: Authorizer) -> Site:
    """Not started yet."""
    return Site(simple, authorizer)


def _says(text: str) -> Any:
    response = json_format.ParseDict(yaml.safe_load(text), CheckResponse())
    return lambda _: response


def _post(body: bytes, path: str = "/a") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: a.test\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize("leaves", ["closes", "resets"])
def test_a_client_that_leaves_takes_its_check_with_it(site: Site, leaves: str) -> None:
    """The server sees the call cancelled, nothing goes upstream, and the next client is served."""
    site()
    site.authorizer.gate.clear()
    client = Connection(site.port)
    client.send(_GET)
    assert site.authorizer.arrived.acquire(timeout=20)
    client.close() if leaves == "closes" else client.reset()
    assert site.authorizer.cancelled.acquire(timeout=20)
    assert "DC" in site.wait_line("/a")
    wait_for(lambda: site.proxy.stat("http.web.downstream_rq_active") == 0, "no request")
    assert site.proxy.stat("cluster.authz.upstream_rq_active") == 0
    site.authorizer.gate.set()
    with Connection(site.port) as client:
        assert client.request(_GET).status == 200
    assert len(site.upstream.requests) == 1


def test_a_stream_that_is_reset_takes_its_check_with_it(site: Site) -> None:
    """HTTP/2: the others of its connection go on."""
    site()
    site.authorizer.gate.clear()
    with h2peer.Client(site.port) as client:
        left, stays = client.begin(h2peer.get("/left")), client.begin(h2peer.get("/stays"))
        for _ in range(2):
            assert site.authorizer.arrived.acquire(timeout=20)
        client.reset(left)
        assert site.authorizer.cancelled.acquire(timeout=20)
        site.authorizer.gate.set()
        assert client.finish(stays).status == 200
    assert [request.path for request in site.upstream.requests] == ["/stays"]


def test_a_connection_that_ends_takes_all_of_its_checks(site: Site) -> None:
    """HTTP/2: of every stream."""
    site()
    site.authorizer.gate.clear()
    with h2peer.Client(site.port) as client:
        for number in range(5):
            client.begin(h2peer.get(f"/{number}"))
        for _ in range(5):
            assert site.authorizer.arrived.acquire(timeout=20)
    for _ in range(5):
        assert site.authorizer.cancelled.acquire(timeout=20)
    wait_for(lambda: site.proxy.stat("cluster.authz.upstream_rq_active") == 0, "no call")
    assert site.upstream.requests == []


def test_a_client_that_leaves_while_its_body_is_held(site: Site) -> None:
    """Nobody is asked."""
    proxy = site(authz="{with_request_body: {max_request_bytes: 1000}}")
    client = Connection(site.port)
    client.send(_post(b"hello")[:-2])
    wait_for(lambda: proxy.stat("http.web.downstream_rq_active") == 1, "a request")
    client.close()
    wait_for(lambda: proxy.stat("http.web.downstream_rq_active") == 0, "no request")
    assert site.authorizer.asked == []


def test_requests_wait_for_each_other_on_a_connection(site: Site) -> None:
    """Pipelined ones are asked about one after the other, bodies and all; a refusal of a request
    that is here as a whole does not end the connection."""
    site(authz="{with_request_body: {max_request_bytes: 1000}}")

    def decide(request: CheckRequest) -> CheckResponse:
        if request.attributes.request.http.body == "no":
            return json_format.ParseDict({"status": {"code": 7}}, CheckResponse())
        return CheckResponse()

    site.authorizer.decide = decide
    with Connection(site.port) as client:
        client.methods = ["POST"] * 4
        client.send(_post(b"1") + _post(b"no") + _post(b"") + _post(b"23"))
        client.wait_for(4)
        assert [message.status for message in client.exchange().finals] == [200, 403, 200, 200]
        assert client.closed == "open"
    asked = [request.attributes.request.http.body for request in site.authorizer.asked]
    assert asked == ["1", "no", "", "23"]
    assert [request.body for request in site.upstream.requests] == [b"1", b"", b"23"]


def test_a_body_that_comes_in_pieces_is_whole_for_both(site: Site) -> None:
    """However its chunks are cut; what the server saw goes on unchanged, trailers and all."""
    site(authz="{with_request_body: {max_request_bytes: 100000}}")
    head = b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    with Connection(site.port) as client:
        client.methods = ["POST"]
        for byte in head + b"3\r\nabc\r\n2\r\nde\r\n0\r\nx-t: 1\r\n\r\n":
            client.send(bytes([byte]))
        client.wait_for(1)
        assert client.exchange().last.status == 200
    assert site.authorizer.asked[0].attributes.request.http.body == "abcde"
    assert site.upstream.requests[0].body == b"abcde"


@pytest.mark.parametrize("over_h2", [False, True])
def test_a_large_body_is_cut_for_the_server_and_whole_for_the_host(
    site: Site, *, over_h2: bool
) -> None:
    """More than windows and buffers hold."""
    site(authz="{with_request_body: {max_request_bytes: 300000, allow_partial_message: true}}")
    body = bytes(range(256)) * 16384  # 4 MiB
    if over_h2:
        with h2peer.Client(site.port) as client:
            fields = ("content-length", str(len(body)))
            assert client.request(h2peer.get("/a", fields, method="POST"), body).status == 200
    else:
        with Connection(site.port) as client:
            assert client.request(_post(body), "POST").status == 200
    asked = site.authorizer.asked[0].attributes.request.http
    assert asked.headers["x-envoy-auth-partial-body"] == "true"
    assert site.upstream.requests[0].body == body


def test_a_body_that_is_too_long_is_refused_in_http2_as_well(site: Site) -> None:
    """Envoy lets one pass that ends in the frame in which it becomes too long."""
    site(authz="{with_request_body: {max_request_bytes: 8}}")
    with h2peer.Client(site.port) as client:
        stream = client.request(h2peer.get("/a", method="POST"), b"123456789abc")
        assert stream.status == 413
        assert client.request(h2peer.get("/a", method="POST"), b"12345678").status == 200
    assert len(site.authorizer.asked) == 1


@pytest.mark.parametrize(
    "said",
    [
        "{status: {code: 0}, ok_response: {headers: [{header: {key: 'x a', value: b}}]}}",
        '{status: {code: 0}, ok_response: {headers: [{header: {key: a, value: "b\\r\\nc: d"}}]}}',
        "{status: {code: 0}, ok_response: {headers: [{header: {key: upgrade, value: x}}]}}",
        "{ok_response: {headers: [{header: {key: transfer-encoding, value: chunked}}]}}",
        "{status: {code: 7}, denied_response: {headers: [{header: {key: 'x a', value: b}}]}}",
        "{status: {code: 7}, denied_response: {status: {code: 999}}}",
        "{status: {code: 7}, denied_response: {status: {code: 100}}}",
    ],
)
def test_what_http_cannot_carry_is_never_passed_on(site: Site, said: str) -> None:
    """With validate_mutations and without, and with failure_mode_allow."""
    site(authz="{failure_mode_allow: true}")
    site.authorizer.decide = _says(said)
    with Connection(site.port) as client:
        assert client.request(_GET).status == 500
    assert site.stat("invalid") == 1
    assert site.upstream.requests == []


def test_a_permission_makes_no_request_larger_than_the_limit(site: Site) -> None:
    """As in Envoy."""
    site(max_request_headers_kb=10)
    long = "a" * 9000
    headers = ", ".join(f"{{header: {{key: {name}, value: {long}}}}}" for name in "xy")
    site.authorizer.decide = _says(f"{{ok_response: {{headers: [{headers}]}}}}")
    with Connection(site.port) as client:
        assert client.request(_GET).status == 500
    assert site.stat("request_header_limits_reached") == 1
    assert site.upstream.requests == []


def test_an_answer_has_a_limit(site: Site) -> None:
    """That of the configuration; a larger one is an error."""
    site(
        authz="{grpc_service: {envoy_grpc: {cluster_name: authz, max_receive_message_length: 1000},"
        " timeout: 30s}}"
    )
    site.authorizer.raw = b"\x0a\x02\x12\x00" + b"\x62\xd0\x0f" + b"a" * 2000
    with Connection(site.port) as client:
        assert client.request(_GET).status == 403
        site.authorizer.raw = None
        assert client.request(_GET).status == 200
    assert (site.stat("error"), site.stat("ok")) == (1, 1)


def test_calls_take_the_limits_of_their_cluster(site: Site) -> None:
    """What its circuit breaker does not let pass is an error."""
    server = "{circuit_breakers: {thresholds: [{max_requests: 1}]}}"
    site(authz="{status_on_error: {code: 503}}", server=server)
    site.authorizer.gate.clear()
    with Connection(site.port) as held, Connection(site.port) as client:
        held.methods = ["GET"]
        held.send(_GET)
        assert site.authorizer.arrived.acquire(timeout=20)
        assert client.request(_GET).status == 503
        site.authorizer.gate.set()
        held.wait_for(1)
        assert held.exchange().last.status == 200
        assert client.request(_GET).status == 200
    assert (site.stat("error"), site.stat("ok")) == (1, 2)


def test_a_server_that_comes_back_is_asked_again(site: Site) -> None:
    """Its connection is made anew."""
    site(authz="{status_on_error: {code: 503}}")
    with Connection(site.port) as client:
        assert client.request(_GET).status == 200
        port = site.authorizer.port
        site.authorizer.__exit__()
        assert client.request(_GET).status == 503
        with Authorizer(port=port) as again:
            again.abort = grpc.StatusCode.INTERNAL
            assert client.request(_GET).status == 503
            again.abort = None
            assert client.request(_GET).status == 200


def test_workers_ask_side_by_side(site: Site) -> None:
    """Their numbers are counted together."""
    site("--concurrency", "2")
    clients = [Connection(site.port) for _ in range(8)]
    for client in clients:
        assert client.request(_GET).status == 200
    for client in clients:
        client.close()
    assert site.stat("ok") == 8
