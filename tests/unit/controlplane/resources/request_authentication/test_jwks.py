"""Keys of issuers: fetched once, again when due, the last good ones kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from controlplane.resources.request_authentication import jwks
from controlplane.resources.request_authentication.jwks import Keys, Source, Unavailable
from controlplane.resources.request_authentication.keys import LONGEST
from controlplane.resources.request_authentication.usable import NOBODY
from controlplane.resources.resource import Key
from controlplane.world.world import World
from tests.support import meshes

_ONE = json.dumps({"keys": [{"kty": "oct", "k": "AAAA", "kid": "1"}]})
_TWO = json.dumps({"keys": [{"kty": "oct", "k": "AAAA", "kid": "2"}]})
_POLICY = """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: a}
spec:
  jwtRules:
  - {issuer: a, jwksUri: "https://a/keys", timeout: 2s}
  - {issuer: b, jwksUri: "https://a/keys"}
  - {issuer: "https://c"}
"""
_SOURCE = Source("https://a/keys")


class _Issuers:
    """What sources answer, and who was asked."""

    def __init__(self, world: World) -> None:
        self.answers: dict[str, str] = {}
        self.asked: list[str] = []
        self.told = 0
        self.keys = Keys(world, self._changed, self._fetch)

    async def _fetch(self, one: Source) -> str:
        self.asked.append(one.uri or one.issuer)
        if one.uri not in self.answers:
            raise Unavailable("nobody there")
        return self.answers[one.uri]

    async def _changed(self) -> None:
        self.told += 1


def _known(world: World) -> str:
    return jwks.known(world.view(), _SOURCE)


def test_each_source_once_and_again_when_due() -> None:
    world = meshes.world(_POLICY)
    issuers = _Issuers(world)
    assert _known(world) == NOBODY
    issuers.answers["https://a/keys"] = _ONE
    wait = asyncio.run(issuers.keys.refresh(0.0))
    assert sorted(issuers.asked) == ["https://a/keys", "https://c"]
    assert (_known(world), issuers.told, wait) == (_ONE, 1, 1.0)
    # Only the one that failed, with growing pauses.
    assert asyncio.run(issuers.keys.refresh(1.0)) == 2.0
    assert issuers.asked[2:] == ["https://c"]
    issuers.answers["https://a/keys"] = _TWO
    asyncio.run(issuers.keys.refresh(jwks.REFRESH_SECONDS))
    assert (_known(world), issuers.told) == (_TWO, 2)


@pytest.mark.parametrize(
    "answer", [None, "", "{", '{"keys": [{"kty": "oct"}]}', "x" * (LONGEST + 1)]
)
def test_the_last_good_keys_stay(answer: str | None) -> None:
    world = meshes.world(_POLICY)
    issuers = _Issuers(world)
    issuers.answers["https://a/keys"] = _ONE
    asyncio.run(issuers.keys.refresh(0.0))
    issuers.answers.clear()
    if answer is not None:
        issuers.answers["https://a/keys"] = answer
    asyncio.run(issuers.keys.refresh(jwks.REFRESH_SECONDS))
    assert _known(world) == _ONE


def test_an_issuer_that_takes_all_its_keys_back_has_none() -> None:
    world = meshes.world(_POLICY)
    issuers = _Issuers(world)
    issuers.answers["https://a/keys"] = _ONE
    asyncio.run(issuers.keys.refresh(0.0))
    issuers.answers["https://a/keys"] = '{"keys": []}'
    asyncio.run(issuers.keys.refresh(jwks.REFRESH_SECONDS))
    assert _known(world) == NOBODY


def test_what_nobody_names_any_more_is_forgotten() -> None:
    world = meshes.world(_POLICY)
    issuers = _Issuers(world)
    issuers.answers["https://a/keys"] = _ONE
    asyncio.run(issuers.keys.refresh(0.0))
    world.change(removed=[Key("RequestAuthentication", "default", "a")])
    assert asyncio.run(issuers.keys.refresh(1.0)) is None
    assert _known(world) == NOBODY


def test_over_http_by_address_and_by_discovery() -> None:
    with _server() as address:
        assert asyncio.run(jwks.fetched(Source(f"{address}/keys"))) == _ONE
        assert asyncio.run(jwks.fetched(Source("", f"{address}/issuer"))) == _ONE
        assert asyncio.run(jwks.fetched(Source(f"{address}/moved"))) == _ONE


@pytest.mark.parametrize("path", ["/gone", "/large", "/to-a-file", "/issuer/none", "/loop"])
def test_what_cannot_be_had(path: str) -> None:
    with _server() as address, pytest.raises(Unavailable):
        asyncio.run(jwks.fetched(Source(f"{address}{path}")))


def test_a_server_that_drips_is_given_up() -> None:
    with _server() as address, pytest.raises(Unavailable, match="too long"):
        asyncio.run(jwks.fetched(Source(f"{address}/drip", timeout=0.05)))


def test_nobody_waits_as_long_as_a_rule_says() -> None:
    world = meshes.world(_POLICY.replace("timeout: 2s", "timeout: 2000000h"))
    (first, _) = jwks.wanted(world.view())
    assert first.timeout == 60.0


@pytest.mark.parametrize("uri", ["file:///etc/passwd", "ftp://a/b", "data:,x", "http://"])
def test_only_from_the_web(uri: str) -> None:
    with pytest.raises(Unavailable, match="no http"):
        asyncio.run(jwks.fetched(Source(uri)))


@contextmanager
def _server() -> Iterator[str]:
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = f"http://{self.headers['host']}"
            moved = {
                "/moved": f"{host}/keys",
                "/to-a-file": "file:///etc/passwd",
                "/loop": f"{host}/loop",
            }
            bodies = {
                "/keys": _ONE,
                "/large": "x" * (LONGEST + 1),
                "/issuer/.well-known/openid-configuration": json.dumps(
                    {"jwks_uri": f"{host}/keys"}
                ),
            }
            if self.path == "/drip":
                self.send_response(200)
                self.end_headers()
                # Until the client has had enough.
                with contextlib.suppress(OSError):
                    while not stopped.wait(0.01):
                        self.wfile.write(b" ")
                return
            if self.path in moved:
                self.send_response(302)
                self.send_header("location", moved[self.path])
                self.end_headers()
                return
            self.send_response(200 if self.path in bodies else 404)
            self.end_headers()
            self.wfile.write(bodies.get(self.path, "").encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()
