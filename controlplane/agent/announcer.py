"""Tells the control plane whether the program takes requests, for as long as it lives."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import NoReturn

import grpc
import grpc.aio

from controlplane.agent.registrar import Registrar

_LOG = logging.getLogger(__name__)
_AGAIN_SECONDS = 15.0
_FIRST_PAUSE = 0.5


class Unwelcome(Exception):
    """The control plane will not have the workload; `str()` says why."""


class Announcer:
    """Of one workload."""

    def __init__(self, registrar: Registrar, name: str, address: str, *, reached: bool) -> None:
        """`reached`: whether the mesh calls the program at all."""
        self._registrar = registrar
        self._name = name
        self._address = address
        self._reached = reached
        self._changed = asyncio.Event()
        #: Why the program is unhealthy; "" if it is well, None if nobody knows yet.
        self._sick: str | None = None
        self._in_mesh = False
        self._told_away = False

    def say(self, sick: str | None) -> None:
        """The program is well (None), or why it is not."""
        if sick is not None:
            _LOG.warning("the program is unhealthy, and gets no requests: %s", sick)
        elif self._sick:
            _LOG.info("the program is healthy again")
        self._sick = sick or ""
        self._changed.set()

    async def follow(self) -> NoReturn:
        """For ever: a control plane that was away, or has lost its state, must hear it again.
        Raises Unwelcome."""
        pause = _FIRST_PAUSE
        while True:
            self._changed.clear()
            wait = _AGAIN_SECONDS
            try:
                await self._tell()
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.PERMISSION_DENIED and not self._in_mesh:
                    raise Unwelcome(str(error.details())) from None
                self._away(str(error.details()))
                wait, pause = pause, min(pause * 2, _AGAIN_SECONDS)
            else:
                if self._told_away:
                    _LOG.info("the control plane is there again")
                self._told_away = False
                pause = _FIRST_PAUSE
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), wait)

    async def leave(self) -> None:
        """Others are to send no more. A control plane that is away learns it by the end of the
        sidecar's connection."""
        if self._reached:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self._registrar.leaving()

    def _away(self, details: str) -> None:
        """Once, not each time."""
        if not self._told_away:
            _LOG.warning(
                "the control plane at %s is away; the sidecar serves on with what it has, and what"
                " changes is told later: %s", self._registrar.control, details,
            )  # fmt: skip
        self._told_away = True

    async def _tell(self) -> None:
        if self._sick is None:
            return
        if self._sick:
            if self._reached:
                await self._registrar.unhealthy(self._sick)
            return
        if self._reached:
            await self._registrar.ready()
        if not self._in_mesh:
            _LOG.info("%s is in the mesh at %s", self._name, self._address)
        self._in_mesh = True
