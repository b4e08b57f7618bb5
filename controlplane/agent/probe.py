"""Whether a program is well, by the probe that its WorkloadGroup gives it (or `readinessProbe`).

As Istio's agent does it: the first probe after the initial delay, then one each period; so many
successes in a row make it healthy, so many failures unhealthy.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NoReturn
from urllib.parse import quote

import grpc
import grpc.aio
from google.protobuf.wrappers_pb2 import StringValue, UInt32Value

from controlplane.agent.identity import DIRECTLY
from controlplane.agent.processes import Child
from controlplane.resources.common.probe import (
    ExecHealthCheckConfig,
    GrpcHealthCheckConfig,
    HTTPHealthCheckConfig,
    ReadinessProbe,
    TCPHealthCheckConfig,
)

_PERIOD, _TIMEOUT, _THRESHOLD = 10, 1, 1
_LOCAL: Final = "127.0.0.1"
_LONGEST_LINE: Final = 8192
#: What may stand in the target of a request as it is.
_TARGET = "/?&=%:;@!$'()*+,~#[]"
_SERVING = 1


class Unwell(Exception):
    """The program has failed a probe; `str()` says how."""


class Judge:
    """How many probes make a change."""

    def __init__(self, probe: ReadinessProbe) -> None:
        self._successes = probe.success_threshold or _THRESHOLD
        self._failures = probe.failure_threshold or _THRESHOLD
        self._row = 0
        self._well: bool | None = None
        self._last: bool | None = None

    def heard(self, well: bool) -> bool:
        """A probe's result. Whether the program's health has changed by it."""
        self._row = self._row + 1 if well is self._last else 1
        self._last = well
        if well is self._well or self._row < (self._successes if well else self._failures):
            return False
        self._well = well
        return True


class Prober:
    """Runs a probe."""

    def __init__(
        self,
        probe: ReadinessProbe,
        ports: Mapping[int, int],
        environment: Mapping[str, str],
        before: Callable[[], Awaitable[None]],
    ) -> None:
        """`ports`: where the program listens, by the ports of its service; `environment`: of
        commands; `before` raises Unwell when there is no need to ask the program."""
        self._probe = probe
        self._ports = ports
        self._environment = environment
        self._before = before

    def __str__(self) -> str:
        return f"{self._what()}, each {self._probe.period_seconds or _PERIOD} s"

    async def follow(self, told: Callable[[str | None], None]) -> NoReturn:
        """For ever. `told` gets each change: None for healthy, else what is wrong."""
        judge = Judge(self._probe)
        loop = asyncio.get_running_loop()
        due = loop.time() + self._probe.initial_delay_seconds
        while True:
            await asyncio.sleep(due - loop.time())
            reason = await self.once()
            if judge.heard(reason is None):
                told(reason)
            # A probe that took longer than a period is not made up for.
            due = max(due + (self._probe.period_seconds or _PERIOD), loop.time())

    async def once(self) -> str | None:
        """One probe: None, or what is wrong."""
        seconds = self._probe.timeout_seconds or _TIMEOUT
        try:
            async with asyncio.timeout(seconds):
                await self._before()
                await self._check()
        except Unwell as error:
            return str(error)
        except TimeoutError:
            return f"{self._what()} took longer than {seconds} s"
        except OSError as error:
            return f"{self._what()}: {error.strerror or error}"
        except (ValueError, OverflowError) as error:
            # A host that is none, for one.
            return f"{self._what()} cannot be asked for: {error}"
        return None

    async def _check(self) -> None:
        probe = self._probe
        if probe.http_get is not None:
            await self._http(probe.http_get)
        elif probe.tcp_socket is not None:
            await self._tcp(probe.tcp_socket)
        elif probe.exec is not None:
            await self._exec(probe.exec)
        elif probe.grpc is not None:
            await self._grpc(probe.grpc)

    def _what(self) -> str:
        """For people: `GET http://127.0.0.1:8080/healthy`."""
        probe = self._probe
        if probe.http_get is not None:
            one = probe.http_get
            host, port = self._place(one.host, one.port)
            return f"GET {(one.scheme or 'HTTP').lower()}://{host}:{port}{_target(one)}"
        if probe.tcp_socket is not None:
            host, port = self._place(probe.tcp_socket.host, probe.tcp_socket.port)
            return f"a connection to {host}:{port}"
        if probe.exec is not None:
            return f"the command {probe.exec.command[0]}"
        port = probe.grpc.port if probe.grpc is not None else 0
        return f"gRPC's health service at {_LOCAL}:{self._ports.get(port, port)}"

    def _place(self, host: str, port: int) -> tuple[str, int]:
        """A probe names ports of the service; here the program may have others."""
        if host in {"", "localhost", _LOCAL}:
            return _LOCAL, self._ports.get(port, port)
        return host, port

    async def _http(self, one: HTTPHealthCheckConfig) -> None:
        host, port = self._place(one.host, one.port)
        reader, writer = await asyncio.open_connection(
            host, port, ssl=_anybody() if one.scheme == "HTTPS" else None, limit=_LONGEST_LINE
        )
        try:
            writer.write(_request(one, host, port))
            line = await reader.readline()
        except ValueError:
            raise Unwell(f"{self._what()} was answered with a line that does not end") from None
        finally:
            writer.transport.abort()
        version, _, rest = line.partition(b" ")
        status = rest[:3]
        if not (version.startswith(b"HTTP/1.") and status.isdigit()):
            raise Unwell(f"{self._what()} was not answered in HTTP")
        if not 200 <= int(status) < 400:
            raise Unwell(f"{self._what()} was answered with {int(status)}")

    async def _tcp(self, one: TCPHealthCheckConfig) -> None:
        _, writer = await asyncio.open_connection(*self._place(one.host, one.port))
        writer.close()

    async def _exec(self, one: ExecHealthCheckConfig) -> None:
        child = await Child.start(
            one.command[0], list(one.command), self._environment, group=True, quiet=True
        )
        try:
            code = await child.wait()
        finally:
            # What it has started as well.
            child.kill()
            await child.wait()
        if code:
            raise Unwell(f"{self._what()} ended with {code}")

    async def _grpc(self, one: GrpcHealthCheckConfig) -> None:
        """`grpc.health.v1.Health/Check`. Its request and its answer are on the wire what these
        two messages are: one field, with the number 1."""
        target = f"{_LOCAL}:{self._ports.get(one.port, one.port)}"
        async with grpc.aio.insecure_channel(target, DIRECTLY) as channel:
            call = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=StringValue.SerializeToString,
                response_deserializer=UInt32Value.FromString,
            )
            try:
                answer = await call(StringValue(value=one.service))
            except grpc.aio.AioRpcError as error:
                details = error.details() or error.code().name
                raise Unwell(f"{self._what()}: {details}") from None
        if answer.value != _SERVING:
            raise Unwell(f"{self._what()} says that it does not serve ({answer.value})")


def _target(one: HTTPHealthCheckConfig) -> str:
    path = one.path or "/"
    return quote(path if path.startswith("/") else f"/{path}", safe=_TARGET)


def _request(one: HTTPHealthCheckConfig, host: str, port: int) -> bytes:
    """What it says is not ours: nothing of it ends a line."""
    headers = {"Host": f"{host}:{port}", "User-Agent": "fastmesh-probe/1.0"}
    names = {name.lower(): name for name in headers}
    for header in one.http_headers:
        headers[names.get(header.name.lower(), header.name)] = " ".join(header.value.split())
    headers["Connection"] = "close"
    lines = [f"GET {_target(one)} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "replace")


def _anybody() -> ssl.SSLContext:
    """Probes verify nobody, as those of Kubernetes."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
