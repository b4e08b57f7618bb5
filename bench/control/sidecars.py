"""Simulated sidecars: real delta ADS streams that ask as Envoy does and acknowledge everything.

    python -m bench.control.sidecars PORT STREAMS CONNECTIONS tls|plaintext

Clusters and listeners by wildcard, then the endpoints and routes that those name. Says a line of
JSON when all have their state; on a line of input, ends. Bytes are looked at as little as can be:
the generator must not be what is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
from time import monotonic
from typing import Any

import grpc
import grpc.aio
from envoy.service.discovery.v3 import discovery_pb2

from bench import certificates

PREFIX = "type.googleapis.com/envoy.config."
CLUSTER = PREFIX + "cluster.v3.Cluster"
ENDPOINT = PREFIX + "endpoint.v3.ClusterLoadAssignment"
LISTENER = PREFIX + "listener.v3.Listener"
ROUTE = PREFIX + "route.v3.RouteConfiguration"
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]

Request = discovery_pb2.DeltaDiscoveryRequest


class Sidecar:
    """One stream."""

    def __init__(self, call: Any, number: int) -> None:
        self._call = call
        self._number = number
        #: When the state of all four types was there.
        self.synced: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        address = f"10.{self._number >> 16}.{self._number >> 8 & 255}.{self._number & 255}"
        first = Request(type_url=CLUSTER)
        first.node.id = f"sidecar~{address}~pod-{self._number}.bench~bench.svc.cluster.local"
        first.node.metadata.update({"NAMESPACE": "bench", "LABELS": {"app": "bench"}})
        await self._call.write(first.SerializeToString())
        while (data := await self._call.read()) is not grpc.aio.EOF:
            for answer in self._answers(data):
                await self._call.write(answer)

    def _answers(self, data: bytes) -> list[bytes]:
        type_url, nonce, names = look(data, full=not self.synced.done())
        answers = [Request(type_url=type_url, response_nonce=nonce).SerializeToString()]
        if self.synced.done():
            return answers
        if type_url == CLUSTER:
            answers.append(_ask(ENDPOINT, names))
        elif type_url == ENDPOINT:
            answers.append(Request(type_url=LISTENER).SerializeToString())
        elif type_url == LISTENER:
            answers.append(_ask(ROUTE, [name.rpartition("_")[2] for name in names]))
        elif type_url == ROUTE:
            self.synced.set_result(monotonic())
        return answers


_asked: dict[tuple[str, int], bytes] = {}
_looked: dict[bytes, tuple[str, list[str]]] = {}


def _ask(type_url: str, names: list[str]) -> bytes:
    """All sidecars ask for the same: packed once."""
    found = _asked.get((type_url, len(names)))
    if found is None:
        message = Request(type_url=type_url, resource_names_subscribe=names)
        found = _asked[type_url, len(names)] = message.SerializeToString()
    return found


def look(data: bytes, *, full: bool) -> tuple[str, str, list[str]]:
    """Type, nonce and names. The nonce stands last, behind what all streams share."""
    end = data.rindex(b"\x2a")
    nonce = data[end + 2 :]
    shared = data[:end]
    found = _looked.get(shared) if data[end + 1] == len(nonce) else None
    if found is None:
        message = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
        if not full:
            return message.type_url, message.nonce, []
        found = _looked[shared] = (message.type_url, [one.name for one in message.resources])
        nonce = message.nonce.encode()
    return found[0], nonce.decode(), found[1]


def channel(port: int, security: str) -> grpc.aio.Channel:
    """A connection of its own."""
    address = f"127.0.0.1:{port}"
    if security != "tls":
        return grpc.aio.insecure_channel(address, options=_OPTIONS)
    mine = certificates.CLIENT
    credentials = grpc.ssl_channel_credentials(
        certificates.AUTHORITY.read_bytes(), mine.key.read_bytes(), mine.certificate.read_bytes()
    )
    name = ("grpc.ssl_target_name_override", certificates.SERVER_NAME)
    return grpc.aio.secure_channel(address, credentials, options=[*_OPTIONS, name])


async def main(port: int, streams: int, connections: int, security: str) -> None:
    began = monotonic()
    channels = [channel(port, security) for _ in range(connections)]
    sidecars = []
    for number in range(streams):
        call = channels[number % connections].stream_stream(METHOD)()
        sidecars.append(Sidecar(call, number))
    tasks = [asyncio.create_task(one.run()) for one in sidecars]
    times = sorted([await one.synced - began for one in sidecars])
    print(json.dumps({"median": times[len(times) // 2], "last": times[-1]}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for one in channels:
        await one.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
