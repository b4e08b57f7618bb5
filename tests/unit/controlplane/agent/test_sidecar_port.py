"""controlplane.agent.sidecar_port, against admin ports that answer as ours and as Envoy's."""

from __future__ import annotations

import asyncio

import pytest

from controlplane.agent.sidecar_port import SidecarPort

_STATS = (
    b"cluster.inbound|9080||.upstream_rq_active: 2\ncluster.outbound|1||a.upstream_rq_active: 16\n"
    b"http.admin.downstream_rq_active: 4\nhttp.inbound_0.0.0.0_9080.downstream_rq_active: 1\n"
    b"http.outbound_0.0.0.0_80.downstream_rq_active: 8\n"
)


async def asked(answer: bytes, *, gateway: bool = False) -> tuple[bool, int, list[bytes]]:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readuntil(b"\r\n\r\n")).splitlines()[0])
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = SidecarPort(server.sockets[0].getsockname()[1], gateway=gateway)
        await port.drain()
        return await port.is_ready(), await port.under_way(), heard


@pytest.mark.parametrize(("gateway", "count"), [(False, 3), (True, 24)])
def test_requests_of_others_count(gateway: bool, count: int) -> None:
    plain = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n" + _STATS
    chunked = (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        + b"%x\r\n%s\r\n0\r\n\r\n" % (len(_STATS), _STATS)
    )
    for answer in (plain, chunked):
        ready, found, heard = asyncio.run(asked(answer, gateway=gateway))
        assert (ready, found) == (True, count)
        assert heard[0] == b"POST /drain_listeners?graceful&inboundonly HTTP/1.1"


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 503 No\r\n\r\nLIVE\n", b"nonsense", b"\r\n\r\n"]
)
def test_who_is_not_ready(answer: bytes) -> None:
    ready, found, _ = asyncio.run(asked(answer))
    assert (ready, found) == (False, 0)


def test_who_is_not_there() -> None:
    assert not asyncio.run(SidecarPort(1, gateway=False).is_ready())
