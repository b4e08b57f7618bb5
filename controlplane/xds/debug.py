"""A small HTTP server on loopback: `/ready`, `/metrics`, `/debug/syncz`, and what others add. GET
only, bounded."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from controlplane.xds import type_urls
from controlplane.xds.options import is_local

if TYPE_CHECKING:
    from controlplane.xds.status import Board, ProxyStatus, TypeStatus

#: At the same time; who comes then is not answered.
CONNECTIONS = 64
HEAD = 16 * 1024
SECONDS = 10.0

_JSON, _TEXT = "application/json", "text/plain; version=0.0.4; charset=utf-8"
_REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
            405: "Method Not Allowed", 503: "Service Unavailable"}  # fmt: skip


class BadQuery(Exception):
    """400, with this text."""


class Busy(Exception):
    """503, with this text."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path that is somebody else's: the query's parameters in, a value for JSON or JSON itself
    out. It may raise BadQuery and Busy, and is cancelled after `seconds`, and when the client
    goes."""

    answer: Callable[[Mapping[str, str]], Awaitable[Any]]
    seconds: float = SECONDS


class DebugServer:
    """Answers one request a connection."""

    def __init__(self, board: Board, ready: Callable[[], bool]) -> None:
        self._board = board
        self._ready = ready
        self._routes: dict[str, Route] = {}
        self._connections = 0
        self._server: asyncio.Server | None = None

    def add(self, routes: Mapping[str, Route]) -> None:
        """More paths."""
        self._routes.update(routes)

    async def start(self, address: str) -> int:
        """Binds `host:port`; returns the port."""
        host, _, port = address.rpartition(":")
        self._server = await asyncio.start_server(
            self._serve, host.strip("[]"), int(port), limit=HEAD
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= CONNECTIONS:
            writer.close()
            return
        self._connections += 1
        try:
            async with asyncio.timeout(SECONDS):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, kind, body = await self._answer(head, reader)
            async with asyncio.timeout(SECONDS):
                writer.write(
                    f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: {kind}\r\n"
                    f"content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # Who sends no request in time, too large a one, or goes, gets no answer.
            pass
        finally:
            self._connections -= 1
            writer.close()

    async def _answer(self, head: str, reader: asyncio.StreamReader) -> tuple[int, str, bytes]:
        first, *lines = head.split("\r\n")
        match first.split(" "):
            case [method, target, _]:
                pass
            case _:
                return 400, _TEXT, b"not an HTTP request\n"
        host = next((one[5:].strip() for one in lines if one[:5].lower() == "host:"), "")
        # A web page could point its own name at 127.0.0.1 (DNS rebinding).
        if not is_local(host if ":" in host.rpartition("]")[2] else f"{host}:0"):
            return 403, _TEXT, b"this port is served on loopback names only\n"
        if method != "GET":
            return 405, _TEXT, b"GET only\n"
        path, _, query = target.partition("?")
        if path in self._routes:
            return await _routed(self._routes[path], query, reader)
        match path:
            case "/ready":
                return (200, _TEXT, b"ready\n") if self._ready() else (503, _TEXT, b"not ready\n")
            case "/metrics":
                return 200, _TEXT, self._board.metrics.text()
            case "/debug/syncz":
                return 200, _JSON, await self._syncz()
        known = " ".join(("/ready", "/metrics", "/debug/syncz", *self._routes))
        return 404, _TEXT, f"{known}\n".encode()

    async def _syncz(self) -> bytes:
        """A mesh is large: the streams have their turn after each proxy."""
        found = []
        for one in self._board.each():
            found.append(json.dumps(proxy(one), indent=1))
            await asyncio.sleep(0)
        return f"[{','.join(found)}]\n".encode()


async def _routed(route: Route, query: str, reader: asyncio.StreamReader) -> tuple[int, str, bytes]:
    """Raises TimeoutError, and ConnectionError when the client has gone."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        return 400, _TEXT, b"not a query: write ?NAME=VALUE&...\n"
    working = asyncio.ensure_future(route.answer(dict(pairs)))
    gone = asyncio.ensure_future(reader.read(1))
    try:
        done, _ = await asyncio.wait(
            {working, gone}, timeout=route.seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if working not in done:
            raise ConnectionError if done else TimeoutError
        return 200, _JSON, _json(working.result())
    except BadQuery as error:
        return 400, _TEXT, f"{error}\n".encode()
    except Busy as error:
        return 503, _TEXT, f"{error}\n".encode()
    finally:
        for task in (working, gone):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, BadQuery, Busy):
                await task


def _json(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return json.dumps(value, indent=1).encode() + b"\n"


#: istiod's prefixes in `/debug/syncz`.
_PREFIXES = {
    type_urls.CLUSTER: "cluster",
    type_urls.LISTENER: "listener",
    type_urls.ROUTE: "route",
    type_urls.ENDPOINT: "endpoint",
    type_urls.EXTENSION: "extensionconfig",
}


def proxy(one: ProxyStatus) -> dict[str, Any]:
    """istiod's keys, and ours under `types`."""
    held = one.proxy
    found: dict[str, Any] = {
        "cluster_id": held.cluster,
        "proxy": held.id,
        "proxy_type": held.type,
        "istio_version": held.meta("ISTIO_VERSION"),
        "identity": one.identity,
        "protocol": "delta" if one.delta else "sotw",
        "connected_seconds": round(one.connected_age, 3),
    }
    for status in one.types:
        if prefix := _PREFIXES.get(status.type_url):
            found[f"{prefix}_sent"] = str(status.sent or "")
            found[f"{prefix}_acked"] = str(status.acked or "")
    found["types"] = {type_urls.short(status.type_url): _type(status) for status in one.types}
    return found


def _type(status: TypeStatus) -> dict[str, Any]:
    return {
        "state": str(status.state),
        "text": status.text,
        "sent": status.sent,
        "acked": status.acked,
        "sent_seconds_ago": _age(status.sent_age),
        "answered_seconds_ago": _age(status.answered_age),
        "refused": dict(status.refused),
        "resources": status.resources,
        "subscribed": status.subscribed,
    }


def _age(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
