"""Workloads that would like to be others, against a control plane as it runs: whose requests one
gets and who stands behind a service is decided by tokens and sources alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.service.discovery.v3 import discovery_pb2

from controlplane.ca import grants as granted
from controlplane.ca.grants import parse
from controlplane.xds.service import SERVICES
from controlplane.xds.type_urls import CLUSTER, HEALTH
from mesh.api import registration
from tests.support.control import Member, Running, Sidecar, controlled, register
from tests.support.manifests import service
from tests.support.playing import played
from tests.support.requests import key

GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: machines}
spec:
  metadata: {labels: {app: reviews, version: v1}}
  template: {serviceAccount: intern}
"""
V1 = {"app": "reviews", "version": "v1"}
REVIEWS, INTERN = parse("app=reviews,version=*"), parse("app=intern,version=*")
NAME = "outbound|9080||reviews.default.svc.cluster.local"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/services.yaml").write_text(service("reviews"))
    return tmp_path


async def accounts(running: Running, member: Member, name: str, labels: Any) -> set[str]:
    """Whose certificates a client takes for those of the service."""
    async with running.channel(member) as channel:
        answer = await Sidecar(channel, member.node(name, labels)).ask(CLUSTER)
    (found,) = [one for one in answer.resources if one.name == NAME]
    cluster = Cluster()
    found.resource.Unpack(cluster)
    text = cluster.transport_socket_matches[0].transport_socket.typed_config.value.decode(
        errors="replace"
    )
    return {one for one in ("reviews", "intern") if f"/ns/default/sa/{one}" in text}


def entries(running: Running) -> dict[str, str]:
    """Registered workloads, and of which account they are."""
    found = running.control.world.view().resources("WorkloadEntry")
    return {one.name: one.spec.service_account for one in found}


async def registered(running: Running, name: str) -> None:
    while name not in entries(running):
        await asyncio.sleep(0.005)


async def denied(call: Awaitable[Any]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
    return str(raised.value.details())


@played
async def test_nobody_stands_behind_a_service_that_was_not_granted_to_it(folder: Path) -> None:
    async with controlled(folder) as running:
        owner = await running.join("default", "reviews", REVIEWS)
        thief = await running.join("default", "intern", INTERN)
        async with running.channel(owner) as channel, running.channel(thief) as stolen:
            await register(channel, registration.CONFIGURATION, "any app=reviews,version=v1")
            await register(channel, registration.READY, "reviews-v1")
            node = owner.node("reviews-v1", V1, AUTO_REGISTER="on-ready")
            await Sidecar(channel, node).ask(CLUSTER)
            await registered(running, "reviews-v1")

            claim = register(stolen, registration.CONFIGURATION, "any app=reviews,version=v1")
            why = await denied(claim)
            assert "service account default/intern may not be app=reviews" in why
            for name in ("reviews-v1", "reviews-v2", "intern-v1"):
                for labels in (V1, {"app": "reviews"}, {**V1, "app": "intern", "tier": "x"}):
                    node = thief.node(name, labels, AUTO_REGISTER="true")
                    code, why = await Sidecar(stolen, node).refusal(CLUSTER)
                    assert code is grpc.StatusCode.PERMISSION_DENIED, (name, labels)
                    assert "service account default/intern may not be" in why
            # Said of a workload of its own that has the same name.
            for said in (registration.READY, registration.LEAVING):
                await register(stolen, said, "reviews-v1")
            assert entries(running) == {"reviews-v1": "reviews"}
            own = {"app": "intern", "version": "v1"}
            assert await accounts(running, thief, "intern-v1", own) == {"reviews"}


@played
async def test_no_service_lets_it_in_by_another_door(folder: Path) -> None:
    async with controlled(folder) as running:
        thief = await running.join("default", "intern", INTERN)
        node = thief.node("reviews-v1", V1, AUTO_REGISTER="true")
        async with running.channel(thief) as channel:
            for service, sotw, delta, only in SERVICES:
                for method, message in (
                    (sotw, discovery_pb2.DiscoveryRequest(node=node, type_url=only or CLUSTER)),
                    (
                        delta,
                        discovery_pb2.DeltaDiscoveryRequest(node=node, type_url=only or CLUSTER),
                    ),
                ):
                    call = channel.stream_stream(f"/envoy.service.{service}/{method}")()
                    await call.write(message.SerializeToString())
                    assert await call.code() is grpc.StatusCode.PERMISSION_DENIED, method
        assert entries(running) == {}


@played
async def test_a_group_makes_the_entry_of_who_names_it(folder: Path) -> None:
    """`AUTO_REGISTER_GROUP`, as Istio's agents say it: the template says what they do not."""
    (folder / "config/group.yaml").write_text(
        GROUP.replace("{serviceAccount: intern}", "{serviceAccount: intern, ports: {http: 8080}}")
    )
    async with controlled(folder) as running:
        machine = await running.join("default", "intern")
        async with running.channel(machine) as channel:
            node = machine.node("machine-1", V1, AUTO_REGISTER_GROUP="machines")
            await Sidecar(channel, node).ask(CLUSTER)
            await registered(running, "machine-1")
            other = machine.node("machine-2", V1, AUTO_REGISTER_GROUP="others")
            await Sidecar(channel, other).ask(CLUSTER)
        (entry,) = running.control.world.view().resources("WorkloadEntry")
        assert (entry.name, dict(entry.spec.ports)) == ("machine-1", {"http": 8080})


@pytest.mark.parametrize("delta", [True, False])
def test_istios_agents_say_how_they_are(folder: Path, delta: bool) -> None:
    """`HealthInformation` on the stream of the sidecar, as istio-agent sends it."""
    request = discovery_pb2.DeltaDiscoveryRequest if delta else discovery_pb2.DiscoveryRequest
    method = "DeltaAggregatedResources" if delta else "StreamAggregatedResources"

    async def test() -> None:
        async with controlled(folder) as running:
            owner = await running.join("default", "reviews", REVIEWS)
            node = owner.node("reviews-v1", V1, AUTO_REGISTER="true")
            async with running.channel(owner) as channel:
                path = f"/envoy.service.discovery.v3.AggregatedDiscoveryService/{method}"
                call: Any = channel.stream_stream(path)()
                await call.write(request(node=node, type_url=CLUSTER).SerializeToString())
                await call.read()
                await registered(running, "reviews-v1")
                ill = request(type_url=HEALTH)
                ill.error_detail.code, ill.error_detail.message = 500, "status code was 500"
                await call.write(ill.SerializeToString())
                while entries(running):
                    await asyncio.sleep(0.005)
                (one,) = running.control.server.status()
                told = running.control._registered.why_unhealthy(one.proxy)
                assert told == "status code was 500"
                await call.write(request(type_url=HEALTH).SerializeToString())
                await registered(running, "reviews-v1")

    asyncio.run(asyncio.wait_for(test(), 60))


@played
async def test_a_certificate_that_is_renewed_grants_what_it_granted(folder: Path) -> None:
    """And nothing that its request asks for; over a restart of the control plane as well."""
    private = key()
    hostile = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(granted.extension(REVIEWS), critical=False)
        .sign(private, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    async with controlled(folder) as running:
        owner = await running.renewed(await running.join("default", "reviews", REVIEWS))
        thief = await running.join("default", "intern", INTERN)
        thief = await running.renewed(thief, hostile, private)
    async with controlled(folder) as running:
        owner, thief = await running.renewed(owner), await running.renewed(thief)
        async with running.channel(owner) as channel, running.channel(thief) as stolen:
            await register(channel, registration.CONFIGURATION, "any app=reviews,version=v2")
            await denied(register(stolen, registration.CONFIGURATION, "any app=reviews,version=v2"))
            await register(stolen, registration.CONFIGURATION, "any app=intern")


@played
async def test_the_sources_grant_and_take_back(folder: Path) -> None:
    async with controlled(folder) as running:
        machine = await running.join("default", "intern")
        node = machine.node("machine-1", V1, AUTO_REGISTER="true")
        async with running.channel(machine) as channel:
            code, why = await Sidecar(channel, node).refusal(CLUSTER)
            assert code is grpc.StatusCode.PERMISSION_DENIED
            assert "apply a WorkloadGroup" in why
            path = folder / "config/group.yaml"
            path.write_text(GROUP)
            while not running.control.world.view().resources("WorkloadGroup"):
                await asyncio.sleep(0.005)
            stream = Sidecar(channel, node)
            await stream.ask(CLUSTER)
            await registered(running, "machine-1")
            assert await accounts(running, machine, "machine-1", V1) == {"intern"}
            path.unlink()
            assert await stream.call.code() is grpc.StatusCode.UNAVAILABLE
            assert "may not be app=reviews" in await stream.call.details()
            code, _ = await Sidecar(channel, node).refusal(CLUSTER)
            assert code is grpc.StatusCode.PERMISSION_DENIED
