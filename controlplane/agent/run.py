"""`mesh run`: a program with a sidecar beside it, in the mesh from its first to its last request.

certificate -> sidecar, ready -> program -> it accepts connections -> others may call it
told to end -> others are told not to call -> what is under way ends -> program, sidecar end
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import grpc
import grpc.aio

from controlplane.agent.bootstrap import Proxy, bootstrap
from controlplane.agent.identity import Credentials, Identity, Refused
from controlplane.agent.join import Join
from controlplane.agent.ports import free_address, free_port
from controlplane.agent.processes import Child, accepts
from controlplane.agent.secrets import SecretServer
from mesh.api import registration

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 0.02
_RPC_SECONDS = 5.0
_AGAIN_SECONDS = 15.0
_FIRST_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    join: Join
    #: Where `join` was read.
    join_path: Path
    #: Of the workload: `reviews-v1`.
    name: str
    #: `sidecar`, or `router`: a gateway, which has no program.
    type: str
    labels: dict[str, str]
    #: On which the mesh reaches the program; () for one that only calls.
    ports: tuple[int, ...]
    #: On which the program listens, in the same order.
    application_ports: tuple[int, ...]
    command: tuple[str, ...]
    #: The sidecar: `mesh proxy`, or an Envoy.
    proxy: tuple[str, ...]
    #: `LOCAL PORT -> host:port`, for programs that know no HTTP proxy.
    egress: tuple[tuple[int, str], ...] = ()
    #: Hold those of the program's ports that were chosen for it, until it starts.
    reserved: tuple[socket.socket, ...] = ()
    address: str = ""
    http_proxy_port: int = 0
    admin_port: int = 0
    #: How long others have to hear that it leaves, before it takes no more.
    leave_seconds: float = 1.0
    #: How long what is under way may take at the end.
    drain_seconds: float = 10.0
    #: How long the program may take to accept connections.
    start_seconds: float = 60.0


class Failed(Exception):
    """It cannot run; `str()` says why."""


async def run(plan: Plan) -> int:
    """Returns the program's exit code. Raises Failed."""
    told: asyncio.Queue[Credentials] = asyncio.Queue()
    identity = Identity(plan.join, told.put_nowait, plan.join_path)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGUSR2, identity.renew)
    async with SecretServer() as secrets, contextlib.AsyncExitStack() as stack:
        try:
            await _unless(ended, identity.obtain())
        except Refused as error:
            raise Failed(str(error)) from None
        if ended.is_set():
            return 0
        await _may_be(plan, identity.held)
        await secrets.give(await told.get())
        tasks = [
            loop.create_task(identity.keep()),
            loop.create_task(_hand_on(told, secrets)),
        ]
        for task in tasks:
            task.add_done_callback(_complain)
        stack.callback(lambda: [task.cancel() for task in tasks])
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mesh-run-")))
        return await _Workload(plan, secrets.path, directory, identity).live(ended)


async def _hand_on(told: asyncio.Queue[Credentials], secrets: SecretServer) -> None:
    while True:
        held = await told.get()
        await secrets.give(held)
        _LOG.info("a new certificate, good until %s", held.not_after.isoformat())


def _complain(task: asyncio.Task[None]) -> None:
    """Certificates are renewed for as long as this lives; an end is a mistake of ours."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOG.error("certificates are renewed no more: restart this soon", exc_info=error)


async def _may_be(plan: Plan, held: Credentials) -> None:
    """Asks the control plane whether the workload may have its labels, so that who starts it is
    told; the sidecar would be told the same. Raises Failed."""
    labels = ",".join(f"{key}={value}" for key, value in plan.labels.items())
    try:
        await _register(plan.join.control, held, registration.CLAIM, labels)
    except grpc.aio.AioRpcError as error:
        if error.code() in {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT}:
            raise Failed(str(error.details())) from None
        # The sidecar waits for a control plane that is away.
        _LOG.warning("whether it may be %s is not known yet: %s", labels, error.details())


async def _register(control: str, held: Credentials, what: str, text: str) -> None:
    """A call of `fastmesh.v1.Registration`. Raises AioRpcError."""
    credentials = grpc.ssl_channel_credentials(held.roots, held.key, held.chain)
    async with grpc.aio.secure_channel(control, credentials) as channel:
        call = channel.unary_unary(
            f"/{registration.SERVICE}/{what}",
            request_serializer=registration.StringValue.SerializeToString,
            response_deserializer=registration.Empty.FromString,
        )
        await call(registration.StringValue(value=text), timeout=_RPC_SECONDS)


class _Workload:
    """One life of the sidecar and its program."""

    def __init__(self, plan: Plan, secrets: Path, directory: Path, identity: Identity) -> None:
        self._plan = plan
        self._secrets = secrets
        self._directory = directory
        self._identity = identity
        self._address = plan.address or free_address(plan.name, plan.ports)
        self._http_proxy = plan.http_proxy_port or free_port()
        self._admin = plan.admin_port or free_port()

    async def live(self, ended: asyncio.Event) -> int:
        plan = self._plan
        sidecar = await self._start_sidecar()
        program: Child | None = None
        try:
            if not await self._until(ended, sidecar, self._sidecar_is_ready, "the sidecar"):
                return 0
            if not plan.command:
                return await self._serve(ended, sidecar, None)
            for one in plan.reserved:
                one.close()
            program = await Child.start(plan.command[0], list(plan.command), self._environment())
            if not await self._until(ended, program, self._program_is_ready, plan.command[0]):
                return await program.wait() if not program.running else 0
            return await self._serve(ended, sidecar, program)
        finally:
            if program is not None:
                await program.end(plan.drain_seconds)
            await sidecar.end(plan.drain_seconds)

    async def _serve(self, ended: asyncio.Event, sidecar: Child, program: Child | None) -> int:
        loop = asyncio.get_running_loop()
        saying = loop.create_task(self._say_ready())
        waiting: dict[asyncio.Task[Any], Child | None] = {
            loop.create_task(ended.wait()): None,
            loop.create_task(sidecar.wait()): sidecar,
            saying: None,
        }
        if program is not None:
            waiting[loop.create_task(program.wait())] = program
        done, others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in others:
            task.cancel()
        if saying in done:
            saying.result()
        if self._plan.ports:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self._say(registration.LEAVING)
        if any(waiting[task] is sidecar for task in done):
            raise Failed(f"the sidecar has ended by itself, with {await sidecar.wait()}")
        if program is not None and not program.running:
            return await program.wait()
        await asyncio.sleep(self._plan.leave_seconds)
        return 0

    async def _say_ready(self) -> NoReturn:
        """For ever: a control plane that was away, or has lost its state, must hear it again.
        Raises Failed when it will not hear of it."""
        in_mesh, pause = False, _FIRST_PAUSE
        while True:
            wait = _AGAIN_SECONDS
            try:
                if self._plan.ports:
                    await self._say(registration.READY)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.PERMISSION_DENIED and not in_mesh:
                    raise Failed(str(error.details())) from None
                _LOG.warning(
                    "the control plane does not know that it is ready: %s", error.details()
                )
                wait, pause = pause, min(pause * 2, _AGAIN_SECONDS)
            else:
                pause = _FIRST_PAUSE
                if not in_mesh:
                    _LOG.info("%s is in the mesh at %s", self._plan.name, self._address)
                in_mesh = True
            await asyncio.sleep(wait)

    async def _start_sidecar(self) -> Child:
        plan, join = self._plan, self._plan.join
        pairs = zip(plan.ports, plan.application_ports, strict=True)
        metadata = {
            "INTERCEPTION_MODE": "NONE",
            "AUTO_REGISTER": "on-ready",
            "FASTMESH_ADMIN": f"127.0.0.1:{self._admin}",
            "FASTMESH_HTTP_PROXY": f"127.0.0.1:{self._http_proxy}",
            "FASTMESH_APP_PORTS": ",".join(f"{outer}={inner}" for outer, inner in pairs),
            "FASTMESH_EGRESS": ",".join(f"127.0.0.1:{port}={to}" for port, to in plan.egress),
        }
        proxy = Proxy(
            plan.type, plan.name, join.namespace, join.service_account, self._address,
            plan.labels, metadata,
        )  # fmt: skip
        config = bootstrap(proxy, join.control, join.trust_domain, self._secrets, self._admin)
        path = self._directory / "bootstrap.json"
        path.write_text(json.dumps(config, indent=1))
        return await Child.start("the sidecar", [*plan.proxy, "-c", str(path)])

    async def _until(
        self, ended: asyncio.Event, child: Child, ready: Callable[[], Awaitable[bool]], what: str
    ) -> bool:
        """Waits for `ready`; False if the end came first. Raises Failed."""
        deadline = asyncio.get_running_loop().time() + self._plan.start_seconds
        while not await ready():
            if ended.is_set() or (not child.running and what != "the sidecar"):
                return False
            if not child.running:
                raise Failed(f"{what} has ended, with {await child.wait()}")
            if asyncio.get_running_loop().time() > deadline:
                raise Failed(f"{what} was not ready within {self._plan.start_seconds:g} s")
            await asyncio.sleep(_LOOK_SECONDS)
        return not ended.is_set()

    async def _sidecar_is_ready(self) -> bool:
        """LIVE, by the admin port."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._admin)
            writer.write(b"GET /ready HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")
            status = await asyncio.wait_for(reader.readline(), _RPC_SECONDS)
            writer.close()
        except (OSError, TimeoutError):
            return False
        return b" 200 " in status

    async def _program_is_ready(self) -> bool:
        answers = [await accepts("127.0.0.1", port) for port in self._plan.application_ports]
        return all(answers)

    def _environment(self) -> dict[str, str]:
        proxy = f"http://127.0.0.1:{self._http_proxy}"
        found = {"http_proxy": proxy, "HTTP_PROXY": proxy, "no_proxy": "", "NO_PROXY": ""}
        if self._plan.application_ports:
            found["PORT"] = str(self._plan.application_ports[0])
        return found

    async def _say(self, what: str) -> None:
        await _register(self._plan.join.control, self._identity.held, what, self._plan.name)


async def _unless(ended: asyncio.Event, work: Coroutine[Any, Any, object]) -> None:
    """Waits for either."""
    loop = asyncio.get_running_loop()
    waiting = loop.create_task(ended.wait())
    working = loop.create_task(work)
    await asyncio.wait({waiting, working}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if working.done():
        working.result()
    else:
        working.cancel()


def default_proxy() -> tuple[str, ...]:
    """Our sidecar, of this installation."""
    # Istio's drain time: how long connections of before a change may live on.
    return (sys.executable, "-m", "mesh.cli", "proxy", "--drain-time-s", "45")
