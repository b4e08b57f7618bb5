"""What an agent asks the control plane and tells it: `fastmesh.v1.Registration`, called with the
workload's own certificate."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.protobuf.json_format import MessageToDict

from controlplane.agent.identity import DIRECTLY, Credentials
from controlplane.resources.mesh_config import MeshProxyConfig
from controlplane.resources.schema import decode
from mesh.api import registration

_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Configuration:
    """How the workload is to be run, by what the control plane knows."""

    config: MeshProxyConfig = field(default_factory=MeshProxyConfig)
    #: What of it is not the whole mesh's: JSON, for the sidecar's node; "" is nothing.
    own: str = ""
    #: Whether another of this name is in the mesh.
    taken: bool = False
    #: Host and ports of the services that select it; None if nobody knows.
    services: tuple[tuple[str, tuple[int, ...]], ...] | None = None


class Registrar:
    """Of one workload."""

    def __init__(
        self, control: str, held: Callable[[], Credentials], name: str, group: str = ""
    ) -> None:
        """`control`: HOST:PORT; `held`: the newest certificate; `group`: its WorkloadGroup, if it
        names one."""
        #: Where it is asked, for people as well.
        self.control = control
        self._held = held
        self._name = name
        self._group = group

    def named(self, name: str) -> Registrar:
        """The same of another name."""
        return Registrar(self.control, self._held, name, self._group)

    async def configuration(self, labels: Mapping[str, str]) -> Configuration:
        """What holds for a workload of these labels, if it may have them. Raises AioRpcError, and
        ValueError for an answer that cannot be understood."""
        pairs = ",".join(f"{key}={value}" for key, value in labels.items())
        words = f"{self._name} {pairs} {self._group}".rstrip()
        answer = MessageToDict(
            await self._call(registration.CONFIGURATION, words, registration.Struct)
        )
        # Numbers of a Struct are all floating ones. A newer control plane may know more.
        config, problems = decode(
            MeshProxyConfig, _whole(answer.get("effective", {})), "", strict=False
        )
        if config is None:
            raise ValueError("; ".join(f"{one.path}: {one.reason}" for one in problems))
        own = answer.get("own", {})
        return Configuration(
            config,
            json.dumps(_whole(own), sort_keys=True) if own else "",
            bool(answer.get("taken")),
            _services(answer.get("services")),
        )

    async def ready(self) -> None:
        """The application takes requests. Raises AioRpcError, as all of these."""
        await self._call(registration.READY, self._name)

    async def unhealthy(self, reason: str) -> None:
        """It takes none now."""
        await self._call(registration.UNHEALTHY, f"{self._name} {reason}")

    async def leaving(self) -> None:
        """It soon takes no more."""
        await self._call(registration.LEAVING, self._name)

    async def _call(self, method: str, text: str, answer: Any = registration.Empty) -> Any:
        held = self._held()
        credentials = grpc.ssl_channel_credentials(held.roots, held.key, held.chain)
        async with grpc.aio.secure_channel(self.control, credentials, DIRECTLY) as channel:
            call = channel.unary_unary(
                f"/{registration.SERVICE}/{method}",
                request_serializer=registration.StringValue.SerializeToString,
                response_deserializer=answer.FromString,
            )
            return await call(registration.StringValue(value=text), timeout=_SECONDS)


def _services(given: Any) -> tuple[tuple[str, tuple[int, ...]], ...] | None:
    if given is None:
        return None
    return tuple((one["host"], tuple(map(int, one["ports"]))) for one in given)


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
