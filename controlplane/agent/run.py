"""`mesh run`: a program with a sidecar beside it, in the mesh from its first to its last request.

certificate -> how it is to run -> sidecar, ready -> program -> it takes requests -> others may call
told to end -> others are told not to call -> what is under way ends -> program, sidecar end
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import grpc
import grpc.aio

from controlplane.agent.identity import Credentials, Identity, Refused
from controlplane.agent.plan import Ending, Failed, Plan, check_ports
from controlplane.agent.processes import first
from controlplane.agent.registrar import Configuration, Registrar
from controlplane.agent.secrets import SecretServer
from controlplane.agent.workload import Workload

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 0.2
#: How long the name of a workload that is gone may still be held by its connection: a sidecar
#: whose machine is gone without a word is noticed after 35 s.
_NAME_SECONDS = 40.0
#: Replicas that are started under one name are numbered, up to here.
_MOST_REPLICAS = 100


async def run(plan: Plan) -> int:
    """Returns the program's exit code. Raises Failed."""
    # Before the join file's token is used up.
    check_ports(plan, plan.address, plan.http_proxy_port, plan.admin_port)
    told: asyncio.Queue[Credentials] = asyncio.Queue()
    identity = Identity(plan.join, told.put_nowait, plan.join_path)
    ending = Ending()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # nohup has it go on without its terminal.
        if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP:
            loop.add_signal_handler(number, ending.ask)
    loop.add_signal_handler(signal.SIGUSR2, identity.renew)
    async with SecretServer() as secrets, contextlib.AsyncExitStack() as stack:
        try:
            if not await first(identity.obtain(), ending.asked.wait()):
                return 0
        except Refused as error:
            raise Failed(str(error)) from None
        chosen = await _welcome(plan, identity, ending)
        if chosen is None:
            return 0
        plan, registrar, configuration = chosen
        await secrets.give(await told.get())
        tasks = [
            loop.create_task(identity.keep()),
            loop.create_task(_hand_on(told, secrets)),
        ]
        for task in tasks:
            task.add_done_callback(_complain)
        stack.callback(lambda: [task.cancel() for task in tasks])
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mesh-run-")))
        workload = Workload(plan, configuration, registrar, secrets.path, directory)
        return await workload.live(ending)


async def _hand_on(told: asyncio.Queue[Credentials], secrets: SecretServer) -> None:
    while True:
        held = await told.get()
        await secrets.give(held)
        _LOG.info("a new certificate, good until %s", held.not_after.isoformat())


def _complain(task: asyncio.Task[None]) -> None:
    """Certificates are renewed for as long as this lives; an end is a mistake of ours."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOG.error("certificates are renewed no more: restart this soon", exc_info=error)


async def _welcome(
    plan: Plan, identity: Identity, ending: Ending
) -> tuple[Plan, Registrar, Configuration] | None:
    """The plan under a name that is free, and how the control plane wants it run; None if the end
    came first. Raises Failed."""
    registrar = Registrar(plan.join.control, lambda: identity.held, plan.name, plan.group)
    deadline = asyncio.get_running_loop().time() + _NAME_SECONDS
    number, waits = 1, False
    while True:
        configuration = await _configuration(plan, registrar)
        if not configuration.taken:
            return plan, registrar, configuration
        if plan.name_is_fixed:
            if asyncio.get_running_loop().time() > deadline:
                raise Failed(
                    f"{plan.name} is in the mesh already, and stays there: end it, or give this"
                    " one another --name (without --name replicas are numbered)"
                )
            if not waits:
                _LOG.warning("%s is still in the mesh; this waits for it to leave", plan.name)
            waits = True
            if await first(ending.asked.wait(), seconds=_LOOK_SECONDS):
                return None
            continue
        number += 1
        if number > _MOST_REPLICAS:
            raise Failed(f"{_MOST_REPLICAS} replicas of {plan.name} are in the mesh; give --name")
        workload = plan.workload or plan.name
        plan = replace(plan, name=f"{workload}-{number}", workload=workload)
        registrar = registrar.named(plan.name)


async def _configuration(plan: Plan, registrar: Registrar) -> Configuration:
    """Asks the control plane, which also says whether the workload may have its labels, so that who
    starts it is told; the sidecar would be told the same. Raises Failed."""
    try:
        return await registrar.configuration(plan.labels)
    except grpc.aio.AioRpcError as error:
        if error.code() in {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT}:
            raise Failed(str(error.details())) from None
        # The sidecar waits for a control plane that is away.
        _LOG.warning(
            "the control plane does not say how %s is to be run; Istio's defaults hold until this"
            " is started again: %s", plan.name, error.details(),
        )  # fmt: skip
    except ValueError as error:
        _LOG.warning(
            "what the control plane says of how %s is to be run cannot be understood; Istio's"
            " defaults hold: %s", plan.name, error,
        )  # fmt: skip
    return Configuration()
