"""Strangers at the ports of `mesh control`: what they can make it hold is bounded, they are gone in
time, and those who belong to the mesh are served meanwhile."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import grpc
import grpc.aio
import pytest
from envoy.service.discovery.v3 import discovery_pb2

from controlplane.ca.tokens import Tokens
from controlplane.xds import type_urls
from controlplane.xds.options import Limits
from mesh.api import registration
from tests.support import h2raw
from tests.support.control import ADS, CREATE, Running, Sidecar, controlled, create
from tests.support.mesh import Mesh
from tests.support.playing import played
from tests.support.proxies import OURS
from tests.support.requests import key, key_pem, request
from tests.support.strangers import Crowd, Stranger

CSDS = "/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus"
READY = f"/{registration.SERVICE}/{registration.READY}"
#: Connections of strangers, calls of each, bytes that each call would like to have held.
_STRANGERS, _CALLS, _BYTES = 120, 16, 256 * 1024
#: What all of that may cost; to hold what they send would be 480 MB.
_MOST_GROWTH = 48 << 20


def memory(pid: int, field: str) -> int:
    """Bytes: VmRSS, or VmHWM, the most since `forget_peak`."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"{field}:\s+(\d+) kB", text)
    assert found
    return int(found[1]) << 10


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@pytest.mark.parametrize("token", ["", "fmjoin_guess", "eyJhbGciOiJub25lIn0.e30.", "fmrejoin_x"])
def test_what_strangers_send_is_not_held(tmp_path: Path, token: str) -> None:
    with Mesh(tmp_path, OURS) as mesh:
        pid = mesh.control.pid

        async def play(crowd: Crowd) -> None:
            sidecar = await _member(mesh)
            assert (await sidecar.ask(type_urls.CLUSTER)).type_url == type_urls.CLUSTER
            strangers = [await crowd.knock(mesh.ports["join"]) for _ in range(_STRANGERS)]
            before = memory(pid, "VmRSS")
            forget_peak(pid)
            methods = (CREATE, READY, CSDS, ADS)
            filling = [
                asyncio.create_task(one.fill(methods[number % 4], _CALLS, _BYTES, token))
                for number, one in enumerate(strangers)
            ]
            # Whoever belongs to the mesh has its turn, and newcomers theirs.
            again = await _member(mesh)
            assert (await again.ask(type_urls.LISTENER)).type_url == type_urls.LISTENER
            await asyncio.gather(*filling)
            # UNAUTHENTICATED; some are reset before, when they come too fast.
            ends = {end for one in strangers for end in one.ends}
            assert {"16"} <= ends <= {"16", ""}
            # Who is slow to call at all finds the connection closed.
            assert sum(len(one.ends) for one in strangers) > _STRANGERS
            assert memory(pid, "VmHWM") - before < _MOST_GROWTH

        async def main() -> None:
            async with Crowd() as crowd:
                await asyncio.wait_for(play(crowd), 120)

        asyncio.run(main())


async def _member(mesh: Mesh) -> Sidecar:
    """Joins as any newcomer, then asks as any sidecar."""
    tokens = Tokens(mesh.state / "tokens", "cluster.local")
    token, private = tokens.new_join("default", "reviews"), key()
    roots = (mesh.state / "ca/root.pem").read_bytes()
    alone = (("grpc.use_local_subchannel_pool", 1),)
    credentials = grpc.ssl_channel_credentials(roots)
    join, secure = (f"localhost:{mesh.ports[one]}" for one in ("join", "secure"))
    async with grpc.aio.secure_channel(join, credentials, options=alone) as channel:
        chain = await create(channel, request(private), token)
    own = grpc.ssl_channel_credentials(roots, key_pem(private), "".join(chain[:-1]).encode())
    node = discovery_pb2.DeltaDiscoveryRequest().node
    node.id = "sidecar~127.64.0.1~reviews.default~default.svc.cluster.local"
    return Sidecar(grpc.aio.secure_channel(secure, own, options=alone), node)


LIMITS = replace(
    Limits(), connections=6, join_connections=4, join_idle_seconds=0.5, handshake_seconds=0.5
)


async def _mute(crowd: Crowd, port: int) -> Stranger:
    return await crowd.knock(port, tls=False)


async def _half_a_handshake(crowd: Crowd, port: int) -> Stranger:
    found = await crowd.knock(port, tls=False)
    await found.say(b"\x16\x03\x01\x02\x00\x01\x00")
    return found


async def _no_http2(crowd: Crowd, port: int) -> Stranger:
    return await crowd.knock(port)


async def _idle(crowd: Crowd, port: int) -> Stranger:
    found = await crowd.knock(port)
    await found.say(h2raw.PREFACE + h2raw.settings())
    return found


async def _half_a_head(crowd: Crowd, port: int) -> Stranger:
    found = await _idle(crowd, port)
    await found.say(h2raw.headers(1, b"\x83\x86", end_stream=False, end_headers=False))
    return found


async def _refused_call(crowd: Crowd, port: int) -> Stranger:
    found = await crowd.knock(port)
    await found.fill(CREATE, 1, 1000)
    assert found.ends == ["16"]
    return found


KINDS = {
    "says nothing": _mute,
    "half a handshake": _half_a_handshake,
    "no HTTP/2": _no_http2,
    "no call": _idle,
    "half a head": _half_a_head,
    "a call that was refused": _refused_call,
}


@pytest.mark.parametrize("kind", KINDS)
@played
async def test_who_proves_nothing_in_time_is_gone(tmp_path: Path, kind: str) -> None:
    """And those beyond the limit at once, so that newcomers have their turn again."""
    async with controlled(tmp_path, limits=LIMITS) as running, Crowd() as crowd:
        port = running.control.server.join_port
        strangers = [await KINDS[kind](crowd, port) for _ in range(4)]
        # One more is one too many; what TLS calls that depends on the moment.
        with pytest.raises((OSError, AssertionError)):
            await _refused_call(crowd, port)
        await asyncio.gather(*(one.closed() for one in strangers))
        assert await running.join("default", "reviews")


@pytest.mark.parametrize("kind", ["says nothing", "half a handshake"])
@played
async def test_the_port_of_members_is_free_again_in_time(tmp_path: Path, kind: str) -> None:
    async with controlled(tmp_path, limits=LIMITS) as running, Crowd() as crowd:
        member = await running.join("default", "reviews")
        async with running.channel(member) as channel:
            node = member.node("reviews", {})
            first = Sidecar(channel, node)
            await first.ask(type_urls.CLUSTER)
            port = running.control.server.secure_port
            strangers = [await KINDS[kind](crowd, port) for _ in range(5)]
            # The stream that is there goes on; a new connection comes when they are gone.
            await Sidecar(channel, node).ask(type_urls.LISTENER)
            await asyncio.gather(*(one.closed() for one in strangers))
            async with running.channel(member) as another:
                await Sidecar(another, node).ask(type_urls.CLUSTER)


@played
async def test_without_a_certificate_there_is_no_http2_on_the_port_of_members(
    tmp_path: Path,
) -> None:
    async with controlled(tmp_path, limits=LIMITS) as running, Crowd() as crowd:
        stranger = await crowd.knock(running.control.server.secure_port)
        # TLS 1.3 lets a client speak before it is told that its proof is missing.
        await stranger.fill(CREATE, 1, 1000)
        assert stranger.ends == []
        await stranger.closed()


@played
async def test_who_has_a_token_has_so_many_bytes_and_no_more(tmp_path: Path) -> None:
    """A join token that was used up and stolen is still one that was given out."""
    async with controlled(tmp_path) as running:
        token = running.control.tokens.new_join("default", "reviews")
        for size, code, why in (
            (70_000, grpc.StatusCode.INVALID_ARGUMENT, "has 70"),
            (300_000, grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"),
        ):
            found, text = await _refusal(running, bytes(size), token)
            assert (found, why in text) == (code, True), text


async def _refusal(running: Running, csr: bytes, token: str) -> tuple[grpc.StatusCode, str]:
    async with running.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await create(channel, csr, token)
    return raised.value.code(), str(raised.value.details())
