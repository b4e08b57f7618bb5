"""One life of a sidecar and its program: how they start, live and end together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import grpc
import grpc.aio

from controlplane.agent import settings
from controlplane.agent.announcer import Announcer, Unwelcome
from controlplane.agent.bootstrap import Proxy, bootstrap
from controlplane.agent.plan import Ending, Failed, Plan, check_ports
from controlplane.agent.ports import free_address, free_port, is_free
from controlplane.agent.probe import Prober, Unwell
from controlplane.agent.processes import Child, Orphans, accepts
from controlplane.agent.registrar import Configuration, Registrar
from controlplane.agent.sidecar_port import SidecarPort
from controlplane.agent.status_port import StatusPort
from controlplane.resources.common.probe import ReadinessProbe

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 0.02
#: What a program asks directly: itself, and what it has beside it.
_OWN = "localhost,127.0.0.1,::1"
#: How often the control plane is asked whether the program is to be probed in another way, and
#: whether one that is not is to be.
_ASK_SECONDS, _SELDOM_SECONDS = 15.0, 60.0


class Workload:
    """As a plan says, and as the control plane has said."""

    def __init__(
        self,
        plan: Plan,
        configuration: Configuration,
        registrar: Registrar,
        secrets: Path,
        directory: Path,
    ) -> None:
        """`secrets`: the agent's socket; `directory`: for files. Raises Failed."""
        self._plan = plan
        self._held = configuration
        self._registrar = registrar
        self._secrets = secrets
        self._directory = directory
        config = configuration.config
        self._environment = settings.environment(config, dict(os.environ))
        self._drain_seconds = plan.drain_seconds or 0.0
        if plan.drain_seconds is None:
            idle = settings.waits_for_idle(self._environment)
            self._drain_seconds = float(
                config.drain_duration if idle else config.termination_drain_duration
            )
        self._address = plan.address or free_address(
            plan.name, plan.ports, wish=settings.status_ports(config)
        )
        self._http_proxy = plan.http_proxy_port or free_port()
        self._admin = plan.admin_port or settings.admin_port(config) or free_port()
        self._sidecar_port = SidecarPort(self._admin, gateway=plan.type == "router")
        self._announcer = Announcer(registrar, plan.name, self._address, reached=bool(plan.ports))
        self._ending = False

    async def live(self, ending: Ending) -> int:
        """Until the program has ended, or this is to; the exit code. Raises Failed."""
        check_ports(self._plan, self._address, self._http_proxy, self._admin)
        plan, config, orphans = self._plan, self._held.config, Orphans()
        _warn_of_services(plan, self._held.services)
        async with self._status_port():
            sidecar = await self._start_sidecar()
            program: Child | None = None
            try:
                if plan.command and config.hold_application_until_proxy_starts is False:
                    program = await self._start_program()
                if not await self._sidecar_has_started(ending, sidecar):
                    return 0
                if plan.command and program is None:
                    program = await self._start_program()
                if program is not None and not await self._program_has_started(ending, program):
                    return await program.wait() if not program.running else 0
                return await self._serve(ending, sidecar, program)
            finally:
                if program is not None:
                    await program.end(self._drain_seconds, ending.hurry)
                await orphans.end(self._drain_seconds, ending.hurry)
                await sidecar.end(self._drain_seconds, ending.hurry)

    def _status_port(self) -> StatusPort:
        """Istio's own numbers may be done without, where several share an address."""
        config, chosen = self._held.config, settings.status_port_is_chosen(self._held.config)
        ports = [config.status_port] if chosen else []
        for port in settings.status_ports(config):
            if port in (*ports, *self._plan.ports):
                continue
            if is_free(self._address, port):
                ports.append(port)
            else:
                _LOG.info("%s:%d is in use: no status port there", self._address, port)
        return StatusPort(self._address, ports, self._why_not_ready)

    async def _why_not_ready(self) -> str:
        if self._ending:
            return "the workload is leaving"
        return "" if await self._sidecar_port.is_ready() else "the sidecar is not ready"

    async def _start_sidecar(self) -> Child:
        plan, join, config = self._plan, self._plan.join, self._held.config
        pairs = zip(plan.ports, plan.application_ports, strict=True)
        metadata: dict[str, Any] = {
            **settings.metadata(self._environment),
            "INTERCEPTION_MODE": "NONE",
            "AUTO_REGISTER": "on-ready",
            "FASTMESH_ADMIN": f"127.0.0.1:{self._admin}",
            "FASTMESH_HTTP_PROXY": f"127.0.0.1:{self._http_proxy}",
            "FASTMESH_APP_PORTS": ",".join(f"{outer}={inner}" for outer, inner in pairs),
            "FASTMESH_EGRESS": ",".join(f"127.0.0.1:{port}={to}" for port, to in plan.egress),
        }
        if plan.group:
            metadata["AUTO_REGISTER_GROUP"] = plan.group
        if self._held.own:
            metadata["PROXY_CONFIG"] = json.loads(self._held.own)
        workload = plan.workload or plan.name
        proxy = Proxy(
            plan.type, plan.name, join.namespace, join.service_account, self._address,
            plan.labels, metadata, workload,
            settings.cluster(config, workload, join.namespace, plan.labels),
        )  # fmt: skip
        made = bootstrap(proxy, join.control, join.trust_domain, self._secrets, self._admin)
        path = self._directory / "bootstrap.json"
        path.write_text(json.dumps(made, indent=1))
        command = [*plan.proxy, *settings.flags(config, plan.proxy), "-c", str(path)]
        # Keys of a terminal are for the agent: it ends the sidecar when nobody needs it any more.
        return await Child.start("the sidecar", command, self._environment, group=True)

    async def _start_program(self) -> Child:
        plan = self._plan
        for one in plan.reserved:
            one.close()
        return await Child.start(plan.command[0], list(plan.command), self._of_program())

    async def _sidecar_has_started(self, ending: Ending, sidecar: Child) -> bool:
        """False if the end came first. Raises Failed."""
        seconds = self._plan.start_seconds
        if await self._until(ending, sidecar, self._sidecar_port.is_ready):
            return True
        if ending.asked.is_set():
            return False
        if not sidecar.running:
            raise Failed(
                f"the sidecar has ended, with {await sidecar.wait()}; what it has written says why"
            )
        raise Failed(
            f"the sidecar has no configuration after {seconds:g} s: either the control plane at"
            f" {self._plan.join.control} is away, or it refuses this workload (`mesh status`,"
            f" its log), or the sidecar refuses what it was sent (http://127.0.0.1:{self._admin})"
        )

    async def _program_has_started(self, ending: Ending, program: Child) -> bool:
        """False if the end came first. A program that is probed may take its time. Raises
        Failed."""
        if self._probe() is not None:
            return not ending.asked.is_set()
        if await self._until(ending, program, self._program_accepts):
            self._announcer.say(None)
            return True
        if ending.asked.is_set():
            return False
        if not program.running:
            code = await program.wait()
            _LOG.warning("%s has ended, with %d, before it took requests", program.name, code)
            return False
        ports = self._plan.application_ports
        deaf = [f"127.0.0.1:{one}" for one in ports if not await accepts("127.0.0.1", one)]
        raise Failed(
            f"{shlex.join(self._plan.command)[:200]} takes no TCP connections on"
            f" {', '.join(deaf)} after"
            f" {self._plan.start_seconds:g} s: have it listen there (its environment has PORT, its"
            " arguments {port}), or say where it listens: --port SERVICE_PORT:PROGRAM_PORT"
        )

    async def _until(
        self, ending: Ending, child: Child, ready: Callable[[], Awaitable[bool]]
    ) -> bool:
        """Whether it became ready in time, before it or this ended."""
        deadline = asyncio.get_running_loop().time() + self._plan.start_seconds
        while not await ready():
            late = asyncio.get_running_loop().time() > deadline
            if late or ending.asked.is_set() or not child.running:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return not ending.asked.is_set()

    async def _serve(self, ending: Ending, sidecar: Child, program: Child | None) -> int:
        loop = asyncio.get_running_loop()
        if program is None:
            self._announcer.say(None)
        told = loop.create_task(self._announcer.follow())
        probed = loop.create_task(self._follow_probe())
        ends: dict[asyncio.Task[Any], Child | None] = {
            loop.create_task(ending.asked.wait()): None,
            loop.create_task(sidecar.wait()): sidecar,
            told: None,
            probed: None,
        }
        if program is not None:
            ends[loop.create_task(program.wait())] = program
        done, others = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        self._ending = True
        for task in others:
            task.cancel()
        if told in done:
            try:
                told.result()
            except Unwelcome as error:
                raise Failed(str(error)) from None
        if probed in done:
            probed.result()
        await self._announcer.leave()
        if any(ends[task] is sidecar for task in done):
            raise Failed(f"the sidecar has ended by itself, with {await sidecar.wait()}")
        if program is not None and not program.running:
            return await program.wait()
        await self._leave(ending)
        return 0

    async def _leave(self, ending: Ending) -> None:
        """Others hear that it leaves; what they have sent meanwhile is answered."""
        _LOG.info("%s is leaving", self._plan.name)
        await _sleep(self._plan.leave_seconds, ending)
        await self._sidecar_port.drain()
        deadline = asyncio.get_running_loop().time() + self._drain_seconds
        while await self._sidecar_port.under_way():
            if ending.hurry.is_set() or asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(_LOOK_SECONDS)

    # -- health --

    def _probe(self) -> ReadinessProbe | None:
        return self._held.config.readiness_probe if self._plan.command else None

    async def _follow_probe(self) -> NoReturn:
        """Probes the program as the control plane says, which may say something else later."""
        loop = asyncio.get_running_loop()
        while True:
            probe = self._probe()
            following = loop.create_task(self._probe_by(probe))
            try:
                while self._probe() == probe:
                    seconds = _ASK_SECONDS if probe is not None else _SELDOM_SECONDS
                    done, _ = await asyncio.wait({following}, timeout=seconds)
                    for task in done:
                        task.result()
                    await self._ask_again()
            finally:
                following.cancel()
            if self._probe() is None:
                _LOG.info("the program is no longer probed, and taken to be healthy")
                self._announcer.say(None)

    async def _probe_by(self, probe: ReadinessProbe | None) -> NoReturn:
        if probe is None:
            while True:
                await asyncio.sleep(_ASK_SECONDS)
        ports = dict(zip(self._plan.ports, self._plan.application_ports, strict=True))
        prober = Prober(probe, ports, self._of_program(), self._sidecar_is_well)
        _LOG.info("the program is probed: %s", prober)
        await prober.follow(self._announcer.say)

    async def _sidecar_is_well(self) -> None:
        if not await self._sidecar_port.is_ready():
            raise Unwell("the sidecar is not ready")

    async def _ask_again(self) -> None:
        try:
            now = await self._registrar.configuration(self._plan.labels)
        except (grpc.aio.AioRpcError, ValueError) as error:
            _LOG.debug("how the program is to be probed is not known anew: %s", error)
            return
        later = settings.needs_restart(self._held.config, now.config)
        if later:
            _LOG.info("the mesh says something else of %s: at the next start", ", ".join(later))
        self._held = replace(self._held, config=now.config)

    # -- the program --

    async def _program_accepts(self) -> bool:
        answers = [await accepts("127.0.0.1", port) for port in self._plan.application_ports]
        return all(answers)

    def _of_program(self) -> dict[str, str]:
        """Its environment, beside ours."""
        proxy = f"http://127.0.0.1:{self._http_proxy}"
        found = {"http_proxy": proxy, "HTTP_PROXY": proxy, "no_proxy": _OWN, "NO_PROXY": _OWN}
        if self._plan.application_ports:
            found["PORT"] = str(self._plan.application_ports[0])
        return found


def _warn_of_services(plan: Plan, services: tuple[tuple[str, tuple[int, ...]], ...] | None) -> None:
    """Nobody can call a workload without a service, or whose ports are none of the service's."""
    if services is None or not plan.command or not plan.ports:
        return
    said = ",".join(f"{key}={value}" for key, value in plan.labels.items())
    if not services:
        _LOG.warning(
            "no Service in %s selects %s: nobody can call it until one does"
            " (spec: {selector: {app: %s}, ports: [{port: %d, name: http}]})",
            plan.join.namespace, said, plan.labels["app"], plan.ports[0],
        )  # fmt: skip
    elif not any(port in ports for _, ports in services for port in plan.ports):
        known = "; ".join(f"{host}: {', '.join(map(str, ports))}" for host, ports in services)
        _LOG.warning(
            "its services have other ports than --port says (%s): nobody gets to it, unless a"
            " template says so", known,
        )  # fmt: skip


async def _sleep(seconds: float, ending: Ending) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ending.hurry.wait(), seconds)
