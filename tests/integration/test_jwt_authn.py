"""JWT with keys that have to be fetched: requests wait, clients leave, sets are shared."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import config, jwt
from tests.support.client import Connection
from tests.support.ports import free_port
from tests.support.proxies import OURS, Proxy
from tests.support.tcp import wait_for
from tests.support.upstream import Reply, Upstream

_FILTER = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
_LOG = "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"
_KEYS = jwt.keys(jwt.key("RS256")).encode()


def _ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _request(path: str = "/", body: bytes = b"") -> bytes:
    head = f"GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {jwt.token()}\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n%b" % (len(body), body)


class _Site:
    """A proxy that asks `issuer` for keys and sends what is good to `upstream`."""

    def __init__(
        self, proxy: Proxy, port: int, upstream: Upstream, issuer: Upstream, log: Path
    ) -> None:
        self.proxy = proxy
        self.port = port
        self.upstream = upstream
        self.issuer = issuer
        self._log = log

    def get(self) -> int:
        with Connection(self.port) as client:
            client.methods = ["GET"]
            client.send(_request())
            client.wait_for(1)
            return client.parsed()[0][0].status

    def stat(self, name: str) -> int | None:
        return self.proxy.stat(f"http.web.jwt_authn.{name}")

    def lines(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []


@contextmanager
def _site(folder: Path, **remote: Any) -> Iterator[_Site]:
    """Two workers."""
    port, admin_port, log = free_port(), free_port(), folder / "access.log"
    upstream, issuer = Upstream(), Upstream()
    uri = {"uri": "http://issuer.example/keys", "cluster": "issuer", "timeout": "60s"}
    provider = {"issuer": jwt.ISSUER, "remote_jwks": {"http_uri": uri, **remote}}
    rule = {"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}
    tokens = {"@type": _FILTER, "providers": {"p": provider}, "rules": [rule]}
    kind = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
    form = {"text_format_source": {"inline_string": _LOG}}
    manager = config.hcm(
        config.route_config("r", config.route("/", "a")),
        http_filters=[
            {"name": "jwt", "typed_config": tokens},
            {"name": "router", "typed_config": {"@type": config.ROUTER}},
        ],
        access_log=[
            {"name": "f", "typed_config": {"@type": kind, "path": str(log), "log_format": form}}
        ],
    )
    text = config.bootstrap(
        admin_port,
        [config.listener("l", port, manager)],
        [config.cluster("a", upstream.port), config.cluster("issuer", issuer.port)],
    )
    flags = ("--concurrency", "2", "--file-flush-interval-msec", "10")
    with Proxy(OURS, text, folder, admin_port, *flags) as proxy:
        yield _Site(proxy, port, upstream, issuer, log)
    upstream.stop()
    issuer.stop()


def _when(ready: threading.Event) -> Callable[[], object]:
    return lambda: ready.wait(60)


def test_requests_wait_for_keys(tmp_path: Path) -> None:
    """Head and body come to the upstream as they were sent, once the keys are there."""
    ready = threading.Event()
    with _site(tmp_path) as site:
        site.issuer.script([Reply((_when(ready), _ok(_KEYS)))])
        with Connection(site.port) as client:
            client.methods = ["GET"]
            client.send(_request("/held?a=b", b"x" * 1000))
            wait_for(lambda: len(site.issuer.requests) == 1, "a fetch")
            assert not site.upstream.requests
            ready.set()
            client.wait_for(1)
            assert client.parsed()[0][0].status == 200
        (asked,) = site.issuer.requests
        assert (asked.start, asked.get("host")) == ("GET /keys HTTP/1.1", "issuer.example")
        (sent,) = site.upstream.requests
        assert (sent.path, sent.body, sent.get("authorization")) == (
            "/held?a=b",
            b"x" * 1000,
            None,
        )


def test_one_fetch_is_for_all_workers(tmp_path: Path) -> None:
    with _site(tmp_path) as site:
        site.issuer.script([Reply((_ok(_KEYS),))])
        assert [site.get() for _ in range(16)] == [200] * 16
        assert len(site.issuer.requests) == 1
        assert (site.stat("jwks_fetch_success"), site.stat("allowed")) == (1, 16)


def test_a_client_that_leaves_takes_its_fetch_with_it(tmp_path: Path) -> None:
    """And who comes after it asks again."""
    never = threading.Event()
    with _site(tmp_path) as site:
        site.issuer.script([Reply((_when(never), _ok(_KEYS))), Reply((_ok(_KEYS),))])
        with Connection(site.port) as client:
            client.send(_request("/left"))
            wait_for(lambda: len(site.issuer.requests) == 1, "a fetch")
        wait_for(lambda: bool(site.lines()), "a line")
        assert site.lines() == ["/left 0 DC downstream_remote_disconnect"]
        assert site.get() == 200
        never.set()
        assert not [r for r in site.upstream.requests if r.path == "/left"]


def test_too_large_a_set_is_refused(tmp_path: Path) -> None:
    with _site(tmp_path) as site:
        padded = _KEYS[:-1] + b" " * (2 << 20) + b"}"
        site.issuer.script([Reply((_ok(padded),))])
        assert site.get() == 401
        assert site.stat("jwks_fetch_failed") == 1
        wait_for(lambda: "the answer is too large" in site.proxy.log(), "a warning")


def test_an_old_set_serves_while_another_one_comes(tmp_path: Path) -> None:
    """With async_fetch; one that fails changes nothing."""
    with _site(
        tmp_path, cache_duration="0.001s", async_fetch={"failed_refetch_duration": "0.001s"}
    ) as site:
        wrong = b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"
        site.issuer.script([Reply((_ok(_KEYS),)), Reply((wrong,)), Reply((_ok(_KEYS),))])
        assert site.get() == 200

        def failed() -> bool:
            assert site.get() == 200
            return bool(site.stat("jwks_fetch_failed"))

        wait_for(failed, "a fetch that fails")
        assert site.get() == 200
