"""A control plane that is killed with -9 while it gives out certificates: none that somebody got is
missing in the audit log, no serial number comes twice, no join token lets a second one in, and
nobody whose answer was lost is locked out."""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.ca.authority import pem
from controlplane.ca.tokens import Tokens
from tests.support.control import create
from tests.support.mesh import Mesh
from tests.support.proxies import OURS
from tests.support.requests import key, key_pem, request

_AT_ONCE = 4
#: Certificates that somebody got before a kill.
_MOST = 12
#: Tokens of before, looked at after each start.
_LOOKED_AT = 3


@dataclass(frozen=True)
class _Use:
    """A join token, and the key for which it was shown."""

    token: str
    private: ec.EllipticCurvePrivateKey


class _Killed(Exception):
    """The control plane is no more: what was asked has no answer."""


class _Round:
    """One life of the control plane: newcomers join and renew until it is killed."""

    def __init__(self, mesh: Mesh, tokens: Tokens, root: x509.Certificate, left: int) -> None:
        self._mesh = mesh
        self._tokens = tokens
        self._root = root
        self._left = left
        #: Serial numbers of certificates that somebody got.
        self.got: list[int] = []
        self.used: list[_Use] = []
        #: Those that were under way.
        self.lost: list[_Use] = []

    async def look(self, used: list[_Use], lost: list[_Use]) -> None:
        """After a start: tokens of the lives before."""
        async with self._channel() as channel:
            for one in used:
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await create(channel, request(key()), one.token)
                assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
                assert "used before, for another key" in str(raised.value.details())
            for one in lost:
                self._note(await create(channel, request(one.private), one.token))

    async def play(self) -> None:
        """Until the kill, which comes in the middle of what others ask for."""
        await asyncio.gather(*(self._newcomers() for _ in range(_AT_ONCE)))

    async def _newcomers(self) -> None:
        while self._mesh.control.poll() is None:
            one = _Use(self._tokens.new_join("default", "reviews", life=600.0), key())
            try:
                async with self._channel() as channel:
                    chain = await self._ask(channel, one.private, one.token)
                self.used.append(one)
                async with self._channel(one.private, chain) as channel:
                    await self._ask(channel, key())
            except _Killed:
                if one not in self.used:
                    self.lost.append(one)
                return

    async def _ask(
        self, channel: grpc.aio.Channel, private: ec.EllipticCurvePrivateKey, token: str = ""
    ) -> list[str]:
        try:
            chain = await create(channel, request(private), token)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or self._left > 0:
                raise
            raise _Killed from None
        self._note(chain)
        self._left -= 1
        if self._left == 0:
            self._mesh.control.kill()
        return chain

    def _note(self, chain: list[str]) -> None:
        leaf = x509.load_pem_x509_certificate(chain[0].encode())
        leaf.verify_directly_issued_by(self._root)
        self.got.append(leaf.serial_number)

    def _channel(
        self, private: ec.EllipticCurvePrivateKey | None = None, chain: list[str] | None = None
    ) -> grpc.aio.Channel:
        own = (key_pem(private), "".join((chain or [])[:-1]).encode()) if private else ()
        roots = (self._mesh.state / "ca/root.pem").read_bytes()
        port = self._mesh.ports["secure" if own else "join"]
        # Channels of one target share connections, and one to the dead would be found again.
        alone = (("grpc.use_local_subchannel_pool", 1),)
        credentials = grpc.ssl_channel_credentials(roots, *own)
        return grpc.aio.secure_channel(f"localhost:{port}", credentials, options=alone)


class _AuditLog:
    """What it says, read on from where it was read before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.serials: set[int] = set()

    def read_on(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    # Cut off by the kill: nobody got that certificate.
                    break
                self._offset += len(line)
                serial = int(json.loads(line)["serial"], 16)
                assert serial not in self.serials
                self.serials.add(serial)


def kill_authorities(directory: Path, kills: int) -> None:
    dice, got = random.Random(7), 0
    used: deque[_Use] = deque(maxlen=100)
    lost: list[_Use] = []
    with Mesh(directory, OURS) as mesh:
        (root,) = x509.load_pem_x509_certificates((mesh.state / "ca/root.pem").read_bytes())
        tokens = Tokens(mesh.state / "tokens", "cluster.local")
        audit = _AuditLog(mesh.state / "audit.jsonl")
        for _ in range(kills):
            life = _Round(mesh, tokens, root, dice.randint(1, _MOST))
            looked_at = dice.sample(list(used), min(_LOOKED_AT, len(used)))
            asyncio.run(asyncio.wait_for(life.look(looked_at, lost), 60))
            asyncio.run(asyncio.wait_for(life.play(), 60))
            mesh.control.wait()
            audit.read_on()
            missing = set(life.got) - audit.serials
            assert not missing
            got += len(life.got)
            used.extend(life.used)
            lost = life.lost
            mesh.start_control()
        assert (mesh.state / "ca/root.pem").read_bytes() == pem(root)
        # What the killed have left is removed by the next start.
        assert list(mesh.state.rglob(".*.mesh-write")) == []
    print(f"{kills} kills, {got} certificates given out, {len(audit.serials)} in the audit log")


def test_what_was_given_out_survives_kill_9(tmp_path: Path) -> None:
    kill_authorities(tmp_path, 20)


@pytest.mark.slow
def test_what_was_given_out_survives_1000_kill_9(tmp_path: Path) -> None:
    kill_authorities(tmp_path, 1_000)
