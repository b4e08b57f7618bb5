"""What a compromised sidecar gets over the other methods: status, certificates, registration."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography import x509
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.status.v3 import csds_pb2
from google.protobuf.struct_pb2 import Struct

from controlplane.registry import proxies, workloads
from controlplane.resources.workload_entry import naming
from controlplane.xds import type_urls
from mesh.api import certificates, registration
from tests.integration.three_identities.bank import (
    ADS_DELTA,
    CALLERS,
    CLERK,
    CSDS,
    NAMES,
    TELLER,
    Bank,
    Caller,
    bank,
    refused,
)
from tests.support.control import CREATE, create, register
from tests.support.playing import played
from tests.support.requests import key, request


@pytest.mark.parametrize("operator", [False, True])
@pytest.mark.parametrize("who", ["teller", "thief", "gate"])
@played
async def test_the_status_of_others_is_the_operators(
    tmp_path: Path, who: str, operator: bool
) -> None:
    """Nobody's, unless `mesh control --operator` names somebody; and no secret is in it."""
    operators = frozenset({"spiffe://cluster.local/ns/bank/sa/auditor"})
    if operator:
        namespace, account = CALLERS[who].namespace, CALLERS[who].account
        operators |= {f"spiffe://cluster.local/ns/{namespace}/sa/{account}"}
    asked = csds_pb2.ClientStatusRequest().SerializeToString()
    async with bank(tmp_path, operators=operators) as made, made.channel(who) as channel:
        call: Any = channel.stream_stream(ADS_DELTA)()
        for url in (type_urls.CLUSTER, type_urls.SECRET):
            first = discovery_pb2.DeltaDiscoveryRequest(
                node=CALLERS[who].node(), type_url=url, resource_names_subscribe=NAMES[url]
            )
            await call.write(first.SerializeToString())
            await call.read()
        for method in ("FetchClientStatus", "StreamClientStatus"):
            status = channel.unary_unary(CSDS + method)(asked)
            if not operator:
                code, why = await refused(status)
                assert code is grpc.StatusCode.PERMISSION_DENIED
                assert "is no operator" in why
                continue
            body = await status
            (config,) = csds_pb2.ClientStatusResponse.FromString(body).config
            assert f"{CALLERS[who].account}-1.{CALLERS[who].namespace}" in config.node.id
            assert not any(one in body for one in (*made.keys, b"PRIVATE KEY"))


@pytest.mark.parametrize("who", ["teller", "thief", "gate"])
@played
async def test_a_certificate_is_for_who_asks(tmp_path: Path, who: str) -> None:
    """Whatever the request names; and nobody asks for somebody else."""
    async with bank(tmp_path) as made, made.channel(who) as channel:
        member = made.members[CALLERS[who].account]
        # A token that lies about does not change who has a certificate.
        token = made.running.control.tokens.new_join("bank", "auditor")
        for shown in ("", token):
            chain = await create(channel, request(key()), shown)
            leaf = x509.load_pem_x509_certificate(chain[0].encode())
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert [one.value for one in names] == [member.identity]
        for field, why in (
            ("ImpersonatedIdentity", "ImpersonatedIdentity is not supported"),
            ("CertSigner", "CertSigner is not supported"),
        ):
            asked = certificates.Request(csr=request(key()).decode())
            asked.metadata.CopyFrom(Struct())
            asked.metadata.update({field: "spiffe://cluster.local/ns/bank/sa/auditor"})
            code, told = await refused(channel.unary_unary(CREATE)(asked.SerializeToString()))
            assert (code, why in told) == (grpc.StatusCode.INVALID_ARGUMENT, True)
            # As Istio's agents send it.
            asked.metadata.update({field: ""})
            assert await channel.unary_unary(CREATE)(asked.SerializeToString())


@pytest.mark.parametrize(
    "method", [registration.READY, registration.LEAVING, registration.UNHEALTHY]
)
@played
async def test_nobody_speaks_for_the_workload_of_another(tmp_path: Path, method: str) -> None:
    """Of its own namespace: those of others it cannot even name."""
    async with (
        bank(tmp_path) as made,
        made.channel("teller") as channel,
        made.channel("clerk") as other,
    ):
        view = made.running.control.world.view()
        await register(other, method, "teller-1")
        await registered(made, channel, TELLER)
        assert view.resources("WorkloadEntry") == ()
        await register(channel, registration.READY, "teller-1")
        assert await entries(made, 1) == {"teller-1": "teller"}
        await register(other, method, "teller-1")
        await register(other, registration.LEAVING, "teller-1")
        assert await entries(made, 1) == {"teller-1": "teller"}


@played
async def test_nobody_takes_another_out_by_taking_its_name(tmp_path: Path) -> None:
    """Before it comes: both are there then, each with the labels and the account it has proved."""
    async with (
        bank(tmp_path) as made,
        made.channel("teller") as channel,
        made.channel("clerk") as other,
    ):
        clerk = CLERK.node()
        clerk.id = TELLER.node().id
        await registered(made, other, CLERK, clerk)
        await register(other, registration.READY, "teller-1")
        assert await entries(made, 1) == {"teller-1": "clerk"}
        call = await registered(made, channel, TELLER)
        await register(channel, registration.READY, "teller-1")
        beside = naming.apart("teller-1", "teller")
        assert await entries(made, 2) == {"teller-1": "clerk", beside: "teller"}
        # The service has the teller's endpoint, and the teller its port; the clerk is none of it.
        listeners = discovery_pb2.DeltaDiscoveryRequest(
            type_url=type_urls.ENDPOINT,
            resource_names_subscribe=["outbound|9100||desk.bank.svc.cluster.local"],
        )
        await call.write(listeners.SerializeToString())
        body = await call.read()
        assert b"sa/clerk" not in body
        view = made.running.control.world.view()
        found = workloads.selected(view, "bank", (("app", "teller"),))
        assert [one.name for one in found] == [beside]
        names = naming.candidates("teller-1", "teller")
        (offer,) = proxies.offers(view, "bank", names, (("app", "teller"),), ("127.64.0.1",))
        assert (offer.service.host, offer.target) == ("desk.bank.svc.cluster.local", 9100)


async def registered(
    made: Bank, channel: grpc.aio.Channel, who: Caller, node: Any = None
) -> grpc.aio.StreamStreamCall[bytes, bytes]:
    """A sidecar's stream that asks to be registered when its application is ready."""
    node = node or who.node()
    node.metadata.update({"AUTO_REGISTER": "on-ready"})
    call: Any = channel.stream_stream(ADS_DELTA)()
    asked = discovery_pb2.DeltaDiscoveryRequest(node=node, type_url=type_urls.CLUSTER)
    await call.write(asked.SerializeToString())
    await call.read()
    return call


async def entries(made: Bank, count: int) -> dict[str, str]:
    """The service accounts of so many workloads, once the world has them."""
    view = made.running.control.world.view()
    while len(found := view.resources("WorkloadEntry", "bank")) != count:
        await asyncio.sleep(0.001)
    return {one.name: one.spec.service_account for one in found}


@played
async def test_nobody_is_granted_what_is_anothers(tmp_path: Path) -> None:
    async with bank(tmp_path) as made:
        for who, one in CALLERS.items():
            async with made.channel(who) as channel:
                await register(channel, registration.CONFIGURATION, f"a {one.labels}")
                for labels in {"app=teller", "app=clerk", "istio=bank-gate"} - {one.labels}:
                    asked = register(channel, registration.CONFIGURATION, f"a {labels}")
                    code, why = await refused(asked)
                    assert code is grpc.StatusCode.PERMISSION_DENIED, (who, labels)
                    assert f"may not be {labels}" in why
