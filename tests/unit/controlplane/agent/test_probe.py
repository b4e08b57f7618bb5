"""controlplane.agent.probe, against programs that are well, ill, slow and hostile."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio
import pytest
from google.protobuf.wrappers_pb2 import StringValue, UInt32Value

from controlplane.agent.probe import Judge, Prober, Unwell
from controlplane.resources.common.probe import ReadinessProbe
from controlplane.resources.schema import decode


def probe(**values: Any) -> ReadinessProbe:
    made, problems = decode(ReadinessProbe, values, "")
    assert not problems
    found: ReadinessProbe = made
    return found


async def _no_objection() -> None:
    pass


async def once(
    given: ReadinessProbe,
    ports: dict[int, int] | None = None,
    before: Callable[[], Awaitable[None]] = _no_objection,
) -> str | None:
    return await Prober(given, ports or {}, {}, before).once()


@pytest.mark.parametrize(
    ("successes", "failures", "results", "changes"),
    [
        (0, 0, "+-+-", "+-+-"),
        (1, 3, "+---+", "+  -+"),
        (1, 3, "+--+---", "+     -"),
        (2, 1, "++-+-++", " +-   +"),
        # Never well: said once, so that people see why.
        (1, 2, "-----", " -   "),
        (3, 2, "--+++", " -  +"),
    ],
)
def test_so_many_in_a_row_make_a_change(
    successes: int, failures: int, results: str, changes: str
) -> None:
    judge = Judge(probe(successThreshold=successes, failureThreshold=failures))
    said = "".join(one if judge.heard(one == "+") else " " for one in results)
    assert said == changes


class Server:
    """Answers each connection with the same bytes; keeps what it was sent."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.heard = b""

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heard = await reader.readuntil(b"\r\n\r\n")
            if self.answer is None:
                # Until the client has given up.
                await reader.read()
            writer.write(self.answer or b"")
        except asyncio.IncompleteReadError:
            # A client that only connects.
            pass
        finally:
            writer.close()


def http(port: int, **more: Any) -> ReadinessProbe:
    return probe(httpGet={"port": port, **more})


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", None),
        (b"HTTP/1.0 204 \r\n\r\n", None),
        (b"HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n", None),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "was answered with 404"),
        (b"HTTP/1.1 503 No\r\n\r\n", "was answered with 503"),
        (b"HTTP/1.1 199 No\r\n\r\n", "was answered with 199"),
        (b"SSH-2.0-OpenSSH\r\n", "was not answered in HTTP"),
        (b"", "was not answered in HTTP"),
        (b"x" * 100_000, "a line that does not end"),
    ],
)
def test_http(answer: bytes, wrong: str | None) -> None:
    async def test() -> None:
        async with Server(answer) as server:
            found = await once(http(server.port, path="/healthy"))
            if wrong is None:
                assert found is None
            else:
                assert found is not None
                assert wrong in found
                assert f"GET http://127.0.0.1:{server.port}/healthy" in found
            assert server.heard.startswith(b"GET /healthy HTTP/1.1\r\n")

    asyncio.run(test())


def test_what_is_configured_makes_one_request() -> None:
    async def test() -> None:
        async with Server(b"HTTP/1.1 200 OK\r\n\r\n") as server:
            given = http(
                9080,
                path="/a b\r\nx-more: 1",
                httpHeaders=[
                    {"name": "Host", "value": "shop"},
                    {"name": "x-one", "value": "1\r\nx-two: 2"},
                ],
            )
            # The port is the service's: here the program has another.
            assert await once(given, {9080: server.port}) is None
            lines = server.heard.decode().split("\r\n")
            assert lines == [
                "GET /a%20b%0D%0Ax-more:%201 HTTP/1.1",
                "Host: shop",
                "User-Agent: fastmesh-probe/1.0",
                "x-one: 1 x-two: 2",
                "Connection: close",
                "",
                "",
            ]

    asyncio.run(test())


def test_nobody_listens_and_nobody_answers() -> None:
    async def test() -> None:
        async with Server(None) as server:
            port = server.port
            found = await once(http(port))
            assert found == f"GET http://127.0.0.1:{port}/ took longer than 1 s"
            assert await once(probe(tcpSocket={"port": port})) is None
        found = await once(probe(tcpSocket={"port": port}))
        assert found is not None
        assert found.startswith(f"a connection to 127.0.0.1:{port}: ")

    asyncio.run(test())


@pytest.mark.parametrize("host", ["a..b", "x" * 300, "no.such.host.invalid", "a b"])
def test_a_host_that_is_none(host: str) -> None:
    """Is what is wrong with the program, and ends nothing."""
    found = asyncio.run(once(probe(timeoutSeconds=20, tcpSocket={"port": 80, "host": host})))
    assert found is not None
    assert host in found
    assert asyncio.run(once(http(99_999))) is not None


def test_a_command() -> None:
    def command(code: str) -> ReadinessProbe:
        return probe(exec={"command": [sys.executable, "-c", code]})

    async def test() -> None:
        assert await once(command("import sys; print('much'); sys.stdin.read()")) is None
        found = await once(command("raise SystemExit(3)"))
        assert found == f"the command {sys.executable} ended with 3"
        found = await once(command("import time; time.sleep(60)"))
        assert found == f"the command {sys.executable} took longer than 1 s"
        found = await once(probe(exec={"command": ["/no/such/program"]}))
        assert found is not None
        assert "cannot start /no/such/program: No such file or directory" in found

    asyncio.run(test())


@pytest.mark.parametrize(
    ("status", "wrong"), [(1, None), (2, "says that it does not serve (2)"), (None, "UNIMPL")]
)
def test_grpc(status: int | None, wrong: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    # As in a program that is in the mesh itself.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    asked = []

    async def check(request: Any, _: Any) -> Any:
        asked.append(request.value)
        return UInt32Value(value=status)

    async def test() -> None:
        server = grpc.aio.server()
        if status is not None:
            server.add_generic_rpc_handlers(
                (
                    grpc.method_handlers_generic_handler(
                        "grpc.health.v1.Health",
                        {
                            "Check": grpc.unary_unary_rpc_method_handler(
                                check,
                                request_deserializer=StringValue.FromString,
                                response_serializer=UInt32Value.SerializeToString,
                            )
                        },
                    ),
                )
            )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        found = await once(probe(timeoutSeconds=20, grpc={"port": port, "service": "shop"}))
        await server.stop(0)
        if wrong is None:
            assert (found, asked) == (None, ["shop"])
        else:
            assert found is not None
            assert f"gRPC's health service at 127.0.0.1:{port}" in found
            assert wrong in found or "Method not found" in found

    asyncio.run(test())


def test_who_is_not_reached_is_not_asked() -> None:
    async def before() -> None:
        raise Unwell("the sidecar is not ready")

    assert asyncio.run(once(http(1), before=before)) == "the sidecar is not ready"


def test_changes_are_told_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is well, then ill, then well: that is three words, however often it is asked."""
    real = asyncio.sleep

    async def at_once(seconds: float) -> None:
        del seconds
        await real(0)

    monkeypatch.setattr(asyncio, "sleep", at_once)
    answers = [b"200 OK"] * 3 + [b"500 No"] * 4 + [b"200 OK"] * 2
    said: list[str | None] = []

    async def test() -> None:
        async with Server(b"") as server:
            prober = Prober(probe(failureThreshold=3, httpGet={"port": server.port}), {}, {}, turn)
            turns = iter(answers)
            state["turn"] = lambda: setattr(server, "answer", b"HTTP/1.1 " + next(turns) + b"\r\n")
            with pytest.raises(RuntimeError):
                await prober.follow(said.append)

    state: dict[str, Callable[[], None]] = {}

    async def turn() -> None:
        state["turn"]()

    asyncio.run(test())
    assert [one is None for one in said] == [True, False, True]
