"""A mesh whose two namespaces do not trust each other: who calls, every method and path, and what
there is to see. A method that is new fails `test_streams` until it has its row here."""

from __future__ import annotations

import asyncio
import base64
import http.client
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from envoy.service.discovery.v3 import discovery_pb2

from controlplane.ca.grants import parse
from controlplane.xds import type_urls
from controlplane.xds.service import SERVICES
from mesh.api import registration
from tests.support.certs import Authority
from tests.support.control import CREATE, Member, Running, controlled

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
#: listeners, and for each of them on demand.
NAMES = {
    type_urls.CLUSTER: ("*", *_CLUSTERS, "inbound|9100||"),
    type_urls.LISTENER: ("*", "virtualOutbound", "virtualInbound", "0.0.0.0_9000", "0.0.0.0_9100"),
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


def fetch(made: Bank, method: str, path: str, host: str = "") -> tuple[int, bytes]:
    port = made.running.control.server.debug_port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers={"host": host} if host else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
