"""controlplane.agent.status_port."""

from __future__ import annotations

import asyncio

import pytest

from controlplane.agent.status_port import StatusPort
from tests.support.ports import free_port


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


def test_it_says_whether_the_sidecar_serves() -> None:
    why = ["the sidecar is not ready"]

    async def why_not() -> str:
        return why[0]

    async def test() -> None:
        port, other = free_port(), free_port()
        ready = b"GET /healthz/ready HTTP/1.1\r\nhost: x\r\n\r\n"
        async with StatusPort("127.0.0.1", [port, other], why_not):
            assert (await ask(other, ready)).startswith(b"HTTP/1.1 503 ")
            answer = await ask(port, ready)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert answer.endswith(b"\r\n\r\nthe sidecar is not ready\n")
            why[0] = ""
            assert (await ask(port, ready)).startswith(b"HTTP/1.1 200 ")
            query = ready.replace(b"ready", b"ready?x=1")
            assert (await ask(port, query)).startswith(b"HTTP/1.1 200 ")
            for method, path, status in (
                (b"POST", b"/healthz/ready", b"405"),
                (b"GET", b"/quitquitquit", b"404"),
                (b"", b"", b"404"),
            ):
                answer = await ask(port, b"%s %s HTTP/1.1\r\n\r\n" % (method, path))
                assert answer.split()[1] == status
            long = b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 10_000 + b"\r\n"
            assert (await ask(port, long))[9:12] in {b"431", b""}
            # A line without an end is not kept.
            assert await ask(port, b"x" * 100_000) == b""
            assert (await ask(port, ready)).startswith(b"HTTP/1.1 200 ")
        with pytest.raises(OSError, match="Connect call failed"):
            await ask(port, ready)

    asyncio.run(test())


def test_a_port_that_is_taken_is_named() -> None:
    async def why_not() -> str:
        return ""

    async def test() -> None:
        port = free_port()
        async with StatusPort("127.0.0.1", [port], why_not):
            with pytest.raises(OSError, match=rf"127.0.0.1:{port}, the status port: "):
                async with StatusPort("127.0.0.1", [port], why_not):
                    pass

    asyncio.run(test())
