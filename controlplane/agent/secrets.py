"""The workload's secrets over SDS, on a unix socket that is the sidecar's alone.

The same discovery server as the control plane's, with a world of two facts.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

from controlplane.agent.identity import Credentials
from controlplane.world.graph import Node
from controlplane.world.proxy import Proxy
from controlplane.world.view import View, query
from controlplane.world.world import World
from controlplane.xds.identity import Identity, Peer, Unauthenticated
from controlplane.xds.options import Debounce, Options
from controlplane.xds.server import DiscoveryServer
from controlplane.xds.translator import Encoded, encoded
from mesh import api

#: The names under which sidecars ask for them.
CERTIFICATE, ROOTS = "default", "ROOTCA"


class SecretServer:
    """Serves what it was given last. As a context it has its directory, with the socket in it."""

    def __init__(self) -> None:
        self._world = World()
        self._directory = tempfile.TemporaryDirectory(prefix="mesh-agent-")
        # The directory is for its owner alone, so whoever reaches the socket may have the key.
        self.path = Path(self._directory.name) / "sds"
        options = Options(
            plaintext=f"unix:{self.path}",
            trust_plaintext=True,
            debounce=Debounce(quiet=0.0, cap=0.0),
        )
        self._server = DiscoveryServer(self._world, _Translator(), _Nobody(), options)

    async def __aenter__(self) -> Self:
        await self._server.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._server.stop(0.0)
        self._directory.cleanup()

    async def give(self, held: Credentials) -> None:
        """From now on these are the workload's."""
        self._world.change(facts={"credentials": held})
        await self._server.changed()


class _Translator:
    """Two secrets, for whoever asks."""

    def everything(self, view: View, type_url: str, proxy: Proxy) -> Node:
        del type_url, proxy
        return view.node(_nothing, ())

    def named(self, view: View, type_url: str, proxy: Proxy, name: str) -> Node:
        del proxy
        return view.node(_secret, (name if type_url == api.SECRET else "",))


class _Nobody:
    """There is no port that asks."""

    async def authenticate(self, peer: Peer) -> Identity:
        raise Unauthenticated("the agent serves its own sidecar only")


@query
def _secret(view: View, name: str) -> Encoded | None:
    held: Credentials | None = view.fact("credentials", None)
    if held is None:
        return None
    built = Secret(name=name)
    if name == CERTIFICATE:
        built.tls_certificate.certificate_chain.inline_bytes = held.chain
        built.tls_certificate.private_key.inline_bytes = held.key
    elif name == ROOTS:
        built.validation_context.trusted_ca.inline_bytes = held.roots
    else:
        return None
    return encoded(name, built.SerializeToString(deterministic=True))


@query
def _nothing(view: View) -> tuple[Encoded, ...]:
    del view
    return ()
