"""What a compromised sidecar gets over xDS: what its workload may see, and nothing else. What those
get who prove nothing, or the wrong thing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import pytest
from envoy.service.discovery.v3 import discovery_pb2

from controlplane.xds import type_urls
from tests.integration.three_identities.bank import (
    CALLERS,
    OTHERS,
    PATHS,
    SIGHTS,
    STREAMS,
    THIEVES,
    bank,
    fetch,
    received,
    refused,
)
from tests.support.certs import Authority
from tests.support.control import CREATE, Member, create
from tests.support.playing import played
from tests.support.requests import key, request


@played
async def test_no_method_and_no_path_is_left_out(tmp_path: Path) -> None:
    async with bank(tmp_path) as made:
        assert {url for _, url in STREAMS} == {*type_urls.ORDER, *type_urls.WHOLE}
        assert made.methods == {method for method, _ in STREAMS} | set(OTHERS)
        _, body = await asyncio.to_thread(fetch, made, "GET", "/nothing")
        assert set(body.decode().split()) == {path.partition("?")[0] for path in PATHS}


@pytest.mark.parametrize("who", CALLERS)
@played
async def test_each_sees_what_it_may_see(tmp_path: Path, who: str) -> None:
    async with bank(tmp_path) as made, made.channel(who) as channel:
        for kind in ("Stream", "Delta"):
            seen = set()
            for method, url in STREAMS:
                if method.rpartition("/")[2].startswith(kind):
                    body = await received(channel, method, url, CALLERS[who])
                    for name, text in made.sights.items():
                        if text in body:
                            seen.add(name)
                            assert who in SIGHTS[name].seen_by, (name, method, url)
            assert seen == {name for name, one in SIGHTS.items() if who in one.seen_by}, kind


@dataclass(frozen=True)
class Lie:
    """What the thief says of itself, and what it is told."""

    says: dict[str, str]
    told: str


LIES = {
    "namespace": Lie({"namespace": "bank"}, "claims namespace 'bank'"),
    "account": Lie({"account": "teller"}, "claims service account 'teller'"),
    "labels": Lie({"labels": "app=teller"}, "may not be app=teller"),
    "a gate": Lie({"labels": "istio=bank-gate"}, "may not be istio=bank-gate"),
}


@pytest.mark.parametrize("lie", LIES)
@played
async def test_who_lies_is_refused_by_every_stream(tmp_path: Path, lie: str) -> None:
    async with bank(tmp_path) as made:
        for who in sorted(THIEVES):
            async with made.channel(who) as channel:
                node = CALLERS[who].node(**LIES[lie].says)
                for method, url in STREAMS:
                    kind = "Delta" if method.rpartition("/")[2].startswith("Delta") else ""
                    asked = getattr(discovery_pb2, f"{kind}DiscoveryRequest")(
                        node=node, type_url=url
                    )
                    call = channel.unary_unary(method)(asked.SerializeToString())
                    code, why = await refused(call)
                    assert code is grpc.StatusCode.PERMISSION_DENIED, (method, why)
                    assert LIES[lie].told in why


@dataclass(frozen=True)
class Stranger:
    """A proof that is none, by the port where it is shown."""

    token: str
    told: str


STRANGERS = {
    "nothing": Stranger("", "none was shown"),
    "a guess": Stranger("fmjoin_guess", ""),
    "a JWT of somebody": Stranger("eyJhbGciOiJub25lIn0.e30.", "not valid"),
    "a proof of nothing": Stranger("fmrejoin_x", ""),
}


@pytest.mark.parametrize("who", [*STRANGERS, "a join token"])
@played
async def test_strangers_get_nothing_from_any_method(tmp_path: Path, who: str) -> None:
    async with bank(tmp_path) as made, made.running.channel() as channel:
        if who == "a join token":
            # Good for a certificate, of the one that it is for, and for nothing else.
            token = made.running.control.tokens.new_join("bank", "teller")
            shown = Stranger(token, "")
        else:
            shown = STRANGERS[who]
        metadata = (("authorization", f"Bearer {shown.token}"),) if shown.token else ()
        for method in sorted(made.methods - {CREATE}):
            code, why = await refused(channel.unary_unary(method)(b"", metadata=metadata))
            assert code is grpc.StatusCode.UNAUTHENTICATED, (method, why)
            assert shown.told in why
            assert not shown.token or shown.token not in why
        if who != "a join token":
            code, why = await refused(create(channel, request(key()), shown.token))
            assert code is grpc.StatusCode.UNAUTHENTICATED


@played
async def test_a_certificate_of_another_authority_opens_no_connection(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    forged = Authority(tmp_path / "other").workload("teller", "bank")
    async with bank(tmp_path) as made:
        member = Member("bank", "teller", forged.key.read_bytes(), forged.cert.read_bytes())
        async with made.running.channel(member) as channel:
            for method in sorted(made.methods):
                code, _ = await refused(channel.unary_unary(method)(b""))
                assert code is grpc.StatusCode.UNAVAILABLE, method
