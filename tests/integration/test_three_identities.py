"""What a compromised sidecar gets, over every RPC and every path that there is: what its workload
may see, and nothing else. Tables of callers, methods and what must not be seen; a method that is
new fails here until it has its row."""

from __future__ import annotations

import asyncio
import base64
import functools
import http.client
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography import x509
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.status.v3 import csds_pb2
from google.protobuf.struct_pb2 import Struct

from controlplane.ca.grants import parse
from controlplane.registry import proxies, workloads
from controlplane.resources.workload_entry import naming
from controlplane.xds import type_urls
from controlplane.xds.service import SERVICES
from mesh.api import certificates, registration
from tests.support.certs import Authority
from tests.support.control import CREATE, Member, Running, controlled, create, register
from tests.support.requests import key, request

BANK = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: vault, namespace: bank}
spec:
  exportTo: ["."]
  hosts: [vault.bank.internal]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 9000, name: http, protocol: HTTP}]
  endpoints: [{address: 10.66.0.1}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vault, namespace: bank}
spec:
  exportTo: ["."]
  hosts: [vault.bank.internal]
  http:
  - match: [{headers: {x-combination: {exact: "4711"}}}]
    route: [{destination: {host: vault.bank.internal}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: front, namespace: bank}
spec:
  hosts: [front.bank.internal]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 9000, name: http, protocol: HTTP}]
  endpoints: [{address: 10.66.0.2}]
---
apiVersion: v1
kind: Service
metadata: {name: desk, namespace: bank}
spec:
  ports: [{port: 9100, name: http}]
  selector: {app: teller}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: desk, namespace: bank}
spec:
  selector: {matchLabels: {app: teller}}
  rules: [{from: [{source: {principals: [cluster.local/ns/bank/sa/auditor]}}]}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: bank}
spec:
  selector: {istio: bank-gate}
  servers:
  - port: {number: 8443, name: https, protocol: HTTPS}
    tls: {mode: SIMPLE, credentialName: gate}
    hosts: [front.bank.internal]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: gate, namespace: bank}
spec:
  gateways: [gate]
  hosts: [front.bank.internal]
  http: [{route: [{destination: {host: front.bank.internal}}]}]
"""
SHOP = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shelf, namespace: shop}
spec:
  exportTo: ["."]
  hosts: [shelf.shop.internal]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 9000, name: http, protocol: HTTP}]
  endpoints: [{address: 10.77.0.1}]
"""
SECRET = """---
apiVersion: v1
kind: Secret
metadata: {{name: {name}, namespace: {namespace}}}
type: kubernetes.io/tls
data: {{tls.crt: {certificate}, tls.key: {private}}}
"""


# -- who calls --


@dataclass(frozen=True)
class Caller:
    """Somebody with a certificate, and what it says that it is."""

    namespace: str
    account: str
    labels: str
    type: str = "sidecar"
    #: `grpc`: a client of xDS without a sidecar.
    generator: str = ""

    def node(self, namespace: str = "", labels: str = "", account: str = "") -> Any:
        made = discovery_pb2.DiscoveryRequest().node
        namespace = namespace or self.namespace
        name = f"{self.account}-1.{namespace}"
        made.id = f"{self.type}~127.64.0.1~{name}~{namespace}.svc.cluster.local"
        pairs = dict(parse(labels or self.labels).pairs)
        made.metadata.update({"LABELS": pairs, "NAMESPACE": namespace})
        if account:
            made.metadata.update({"SERVICE_ACCOUNT": account})
        if self.generator:
            made.metadata.update({"GENERATOR": self.generator})
        return made


TELLER = Caller("bank", "teller", "app=teller")
CLERK = Caller("bank", "clerk", "app=clerk")
THIEF = Caller("shop", "thief", "app=thief")
GATE = Caller("bank", "gate", "istio=bank-gate", "router")
#: They lie about what kind of proxy they are: nobody can prove that.
CLERK_AS_GATE = Caller("bank", "clerk", "app=clerk", "router")
THIEF_AS_GATE = Caller("shop", "thief", "app=thief", "router")
TELLER_BY_GRPC = Caller("bank", "teller", "app=teller", generator="grpc")
THIEF_BY_GRPC = Caller("shop", "thief", "app=thief", generator="grpc")
CALLERS = {
    "teller": TELLER,
    "clerk": CLERK,
    "thief": THIEF,
    "gate": GATE,
    "clerk as gate": CLERK_AS_GATE,
    "thief as gate": THIEF_AS_GATE,
    "teller by gRPC": TELLER_BY_GRPC,
    "thief by gRPC": THIEF_BY_GRPC,
}

# -- what there is to see, and who does --


@dataclass(frozen=True)
class Sight:
    """Bytes that show it, and who must get them (nobody else may)."""

    text: str
    seen_by: frozenset[str]


ALL = frozenset(CALLERS)
THIEVES = frozenset({"thief", "thief as gate", "thief by gRPC"})
IN_BANK = ALL - THIEVES
SIGHTS = {
    "endpoints for all": Sight("10.66.0.2", ALL),
    "endpoints of the bank alone": Sight("10.66.0.1", IN_BANK),
    "routes of the bank alone": Sight(
        "x-combination", frozenset({"teller", "clerk", "teller by gRPC"})
    ),
    "names of the bank alone": Sight("vault.bank.internal", IN_BANK),
    "endpoints of the shop alone": Sight("10.77.0.1", THIEVES),
    "who may call the teller": Sight("ns/bank/sa/auditor", frozenset({"teller"})),
    "the gate's key": Sight("{gate}", frozenset({"gate"})),
    "a key that nothing names": Sight("{spare}", frozenset()),
    "a key of the shop": Sight("{shop}", frozenset()),
}
_HOSTS = ("front.bank.internal", "vault.bank.internal", "shelf.shop.internal")
_CLUSTERS = (
    *(f"outbound|9000||{host}" for host in _HOSTS),
    "outbound|9100||desk.bank.svc.cluster.local",
)
#: By type, what is asked for by name: all that one could guess. Sidecars ask for all clusters and
#: listeners.
NAMES = {
    type_urls.CLUSTER: (),
    type_urls.LISTENER: (),
    type_urls.ENDPOINT: (*_CLUSTERS, "inbound|9100||"),
    type_urls.ROUTE: (
        *_CLUSTERS,
        "9000",
        "9100",
        "http_proxy",
        "http.8443",
        "https.8443.https.gate.bank",
    ),
    type_urls.SECRET: (
        "default",
        "ROOTCA",
        *(
            f"kubernetes://{place}{name}{suffix}"
            for place in ("", "bank/", "shop/", "../bank/")
            for name in ("gate", "spare", "shop")
            for suffix in ("", "-cacert")
        ),
    ),
    type_urls.EXTENSION: ("bank.gate",),
    type_urls.NAMES: (),
}
#: Of gRPC's own clients, which have no wildcard.
NAMES_OF_GRPC = {
    **NAMES,
    type_urls.CLUSTER: _CLUSTERS,
    type_urls.LISTENER: (
        *(f"{host}:9000" for host in _HOSTS),
        "desk.bank:9100",
        "xds.istio.io/grpc/lds/inbound/0.0.0.0:9100",
    ),
}
#: Every method of xDS with the types that it serves.
STREAMS = [
    (f"/envoy.service.{service}/{method}", url)
    for service, sotw, delta, only in SERVICES
    for method in (sotw, delta)
    for url in ([only] if only else NAMES)
]
ADS_DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
CSDS = "/envoy.service.status.v3.ClientStatusDiscoveryService/"
#: All other methods of gRPC.
REGISTRATION = tuple(f"/{registration.SERVICE}/{one}" for one in registration.METHODS)
OTHERS = (CREATE, CSDS + "StreamClientStatus", CSDS + "FetchClientStatus", *REGISTRATION)
#: The debug port's paths, which know of no identity: loopback is the proof.
PATHS = (
    "/ready",
    "/metrics",
    "/debug/syncz",
    "/api/v1/version",
    "/api/v1/refused",
    "/api/v1/proxies",
    "/api/v1/proxies?name=gate-1.bank",
    "/api/v1/wait?key=Secret/bank/gate&timeout=0",
)


@dataclass(frozen=True)
class Bank:
    """A control plane with all that is above."""

    running: Running
    members: dict[str, Member]
    sights: dict[str, bytes]
    #: All methods that the server was given.
    methods: set[str]
    keys: tuple[bytes, ...]

    def channel(self, who: str) -> grpc.aio.Channel:
        return self.running.channel(self.members[CALLERS[who].account])


def played(play: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @functools.wraps(play)
    def test(**fixtures: Any) -> None:
        asyncio.run(asyncio.wait_for(play(**fixtures), 120))

    return test


@contextmanager
def recorded() -> Iterator[set[str]]:
    """The names of all methods that a server is given meanwhile."""
    found: set[str] = set()
    real = grpc.aio.server

    def server(*given: Any, **named: Any) -> Any:
        made = real(*given, **named)
        add = made.add_generic_rpc_handlers

        def adding(handlers: Any) -> None:
            for one in handlers:
                found.update(one._method_handlers)
            add(handlers)

        made.add_generic_rpc_handlers = adding
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grpc.aio, "server", server)
        yield found


@asynccontextmanager
async def bank(directory: Path, **settings: Any) -> AsyncIterator[Bank]:
    folder = directory / "config"
    folder.mkdir()
    authority = Authority(directory)
    (folder / "bank.yaml").write_text(BANK)
    (folder / "shop.yaml").write_text(SHOP)
    keys = {}
    text = ""
    for name, namespace in (("gate", "bank"), ("spare", "bank"), ("shop", "shop")):
        one = authority.server(f"{name}.example")
        keys[name] = one.key_pem
        text += SECRET.format(
            name=name,
            namespace=namespace,
            certificate=base64.b64encode(one.cert.read_bytes()).decode(),
            private=base64.b64encode(one.key.read_bytes()).decode(),
        )
    (folder / "secrets.yaml").write_text(text)
    with recorded() as methods:
        async with controlled(directory, debug="127.0.0.1:0", **settings) as running:
            assert running.control.refused == ()
            members = {
                one.account: await running.join(one.namespace, one.account, parse(one.labels))
                for one in (TELLER, CLERK, THIEF, GATE)
            }
            sights = {
                name: (keys[one.text[1:-1]] if one.text.startswith("{") else one.text).encode()
                for name, one in SIGHTS.items()
            }
            secrets = tuple(one.encode() for one in keys.values())
            yield Bank(running, members, sights, methods, secrets)


async def received(channel: grpc.aio.Channel, method: str, url: str, who: Caller) -> bytes:
    """All that comes when it asks for a type, by all names."""
    delta = method.rpartition("/")[2].startswith("Delta")
    names = (NAMES_OF_GRPC if who.generator else NAMES)[url]
    found: list[bytes] = []
    call: Any = channel.stream_stream(method)()

    async def collect() -> None:
        while (data := await call.read()) is not grpc.aio.EOF:
            kind = "Delta" if delta else ""
            response = getattr(discovery_pb2, f"{kind}DiscoveryResponse").FromString(data)
            found.append(b"".join(one.SerializeToString() for one in response.resources))

    if delta:
        asked: Any = discovery_pb2.DeltaDiscoveryRequest(
            node=who.node(), type_url=url, resource_names_subscribe=names
        )
    else:
        asked = discovery_pb2.DiscoveryRequest(node=who.node(), type_url=url, resource_names=names)
    await call.write(asked.SerializeToString())
    if delta or not names:
        # What is not there is told as well.
        await _first(call, collect, found)
        return b"".join(found)
    # Of the state of the world nothing is told where there is nothing: another stream, whose
    # answer comes behind it on the same connection, says when all is worked out.
    collecting = asyncio.create_task(collect())
    for _ in range(2):
        await received(channel, ADS_DELTA, url, who)
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    call.cancel()
    return b"".join(found)


async def _first(call: Any, collect: Callable[[], Awaitable[None]], found: list[bytes]) -> None:
    collecting = asyncio.ensure_future(collect())
    while not found:
        assert not collecting.done(), (await call.code(), await call.details())
        await asyncio.sleep(0.001)
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    call.cancel()


async def refused(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    """How a call ends; nothing may come before that. Streams are called with one message: on the
    wire there is no difference."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code(), str(raised.value.details())


# -- xDS --


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


# -- who proves nothing, or the wrong thing --


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


# -- the other methods --


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


# -- the port for people --


def fetch(made: Bank, method: str, path: str, host: str = "") -> tuple[int, bytes]:
    port = made.running.control.server.debug_port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers={"host": host} if host else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@played
async def test_the_debug_port_shows_no_secret_and_changes_nothing(tmp_path: Path) -> None:
    async with bank(tmp_path) as made, made.channel("gate") as channel:
        # With a stream that holds the key.
        call: Any = channel.stream_stream(ADS_DELTA)()
        for url in (type_urls.CLUSTER, type_urls.SECRET):
            asked = discovery_pb2.DeltaDiscoveryRequest(
                node=GATE.node(), type_url=url, resource_names_subscribe=NAMES[url]
            )
            await call.write(asked.SerializeToString())
            await call.read()
        token = made.running.control.tokens.new_join("bank", "teller")
        before = made.running.control.world.revision
        for path in PATHS:
            status, body = await asyncio.to_thread(fetch, made, "GET", path)
            assert status == 200, path
            for one in (*made.keys, token.encode(), b"PRIVATE KEY", b"x-combination"):
                assert one not in body, path
                assert json.dumps(one.decode())[1:-1].encode() not in body, path
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                status, _ = await asyncio.to_thread(fetch, made, method, path)
                assert status == 405, (method, path)
            # A web page that points its own name here.
            status, _ = await asyncio.to_thread(fetch, made, "GET", path, "evil.example")
            assert status == 403, path
        assert made.running.control.world.revision == before


@pytest.mark.parametrize("port", ["secure_port", "join_port"])
@played
async def test_the_debug_paths_are_on_no_port_of_sidecars(tmp_path: Path, port: str) -> None:
    async with bank(tmp_path) as made:
        member = made.members["thief"] if port == "secure_port" else None
        async with made.running.channel(member) as channel:
            for path in PATHS:
                code, _ = await refused(channel.unary_unary(path.partition("?")[0])(b""))
                assert code is grpc.StatusCode.UNIMPLEMENTED, path


@played
async def test_who_writes_configuration_or_reads_keys_must_own_the_files(tmp_path: Path) -> None:
    """`mesh apply`, `get` and `delete` have no port: their proof is the folder."""
    async with bank(tmp_path) as made:
        assert made.members
        for path in (tmp_path / "state").rglob("*"):
            mode = path.stat().st_mode & 0o777
            if path.is_dir() or "key" in path.name or "token" in path.name:
                assert mode & 0o077 == 0, path
        assert (tmp_path / "state").stat().st_mode & 0o077 == 0
