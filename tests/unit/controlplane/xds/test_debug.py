"""controlplane.xds.debug: loopback names and GET only; others' paths, which may take long."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any

from controlplane.xds.debug import BadQuery, Busy, DebugServer, Route
from controlplane.xds.metrics import Metrics
from controlplane.xds.status import Board
from tests.support.playing import played


async def asked(port: int, head: str) -> tuple[str, str]:
    """The status line's end, and the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode() + b"\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    start, _, body = answer.partition("\r\n\r\n")
    return start.partition("\r\n")[0].removeprefix("HTTP/1.1 "), body


async def served(**routes: Route) -> tuple[DebugServer, int]:
    server = DebugServer(Board(Metrics("test"), monotonic), lambda: True)
    server.add({f"/{name}": route for name, route in routes.items()})
    return server, await server.start("127.0.0.1:0")


@played
async def test_paths_of_others() -> None:
    async def echo(query: Mapping[str, str]) -> Any:
        if "bad" in query:
            raise BadQuery("bad is bad")
        if "busy" in query:
            raise Busy("too many")
        return dict(query)

    server, port = await served(echo=Route(echo))
    host = f"host: 127.0.0.1:{port}"
    assert await asked(port, f"GET /echo?a=b%2Fc&d= HTTP/1.1\r\n{host}") == (
        "200 OK", '{\n "a": "b/c",\n "d": ""\n}\n',
    )  # fmt: skip
    assert await asked(port, f"GET /echo HTTP/1.1\r\n{host}") == ("200 OK", "{}\n")
    bad = await asked(port, f"GET /echo?bad HTTP/1.1\r\n{host}")
    assert bad == ("400 Bad Request", "not a query: write ?NAME=VALUE&...\n")
    bad = await asked(port, f"GET /echo?bad=1 HTTP/1.1\r\n{host}")
    assert bad == ("400 Bad Request", "bad is bad\n")
    busy = await asked(port, f"GET /echo?busy=1 HTTP/1.1\r\n{host}")
    assert busy == ("503 Service Unavailable", "too many\n")
    status, body = await asked(port, f"GET /other HTTP/1.1\r\n{host}")
    assert (status, body.split()[-1]) == ("404 Not Found", "/echo")
    for method in ("POST", "DELETE", "HEAD"):
        status, _ = await asked(port, f"{method} /echo HTTP/1.1\r\n{host}")
        assert status == "405 Method Not Allowed"
    for name in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", ""):
        assert (await asked(port, f"GET /echo HTTP/1.1\r\nhost: {name}"))[0] == "403 Forbidden"
    for name in ("localhost", f"localhost:{port}", "[::1]", f"[::1]:{port}"):
        assert (await asked(port, f"GET /echo HTTP/1.1\r\nhost: {name}"))[0] == "200 OK"
    await server.stop()


@played
async def test_a_client_that_goes_ends_its_wait() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def endless(_: Mapping[str, str]) -> Any:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    server, port = await served(wait=Route(endless, seconds=60.0))
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n")
    await began.wait()
    writer.close()
    await ended.wait()
    await server.stop()


@played
async def test_an_answer_that_takes_too_long_is_none() -> None:
    async def endless(_: Mapping[str, str]) -> Any:
        await asyncio.Event().wait()

    server, port = await served(wait=Route(endless, seconds=0.01))
    assert await asked(port, "GET /wait HTTP/1.1\r\nhost: localhost") == ("", "")
    await server.stop()
