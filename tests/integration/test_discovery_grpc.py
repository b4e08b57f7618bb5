"""gRPC's own xDS client against the discovery server: `xds:///` resolves and balances."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from controlplane.resources.resource import Resource
from controlplane.xds import type_urls
from tests.support.grpc_xds_client import METHOD, GrpcXdsClient
from tests.support.xds_resources import api_listener, cluster, endpoints, route
from tests.support.xds_server import XdsServer

NODE = "sidecar~127.0.0.1~caller.default~default.svc.cluster.local"


@dataclass(frozen=True)
class Greeter:
    """A server that says its name."""

    name: str
    port: int


@pytest.fixture
def greeters() -> Iterator[list[Greeter]]:
    servers, greeters = [], []
    for name in ("one", "two", "three"):
        server = grpc.server(futures.ThreadPoolExecutor(2))
        _, service, method = METHOD.split("/")

        def greet(_: object, __: object, name: str = name) -> bytes:
            return name.encode()

        handlers = {method: grpc.unary_unary_rpc_method_handler(greet)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        greeters.append(Greeter(name, server.add_insecure_port("127.0.0.1:0")))
        server.start()
        servers.append(server)
    yield greeters
    for server in servers:
        server.stop(None)


def load(*greeters: Greeter) -> Resource[Any]:
    return endpoints("greeter", *(("127.0.0.1", one.port) for one in greeters))


def test_it_resolves_balances_and_follows(greeters: list[Greeter]) -> None:
    one, two, three = greeters
    server = XdsServer(
        api_listener("greeter", "greeter-route"), route("greeter-route", "greeter"),
        cluster("greeter"), load(one, two),
    )  # fmt: skip
    with server, GrpcXdsClient(server.port, NODE) as client:
        assert client.call(20).keys() == {"one", "two"}
        (verdict,) = server.apply(load(three))
        assert str(verdict.state) == "SYNCED", verdict
        while (answers := client.call(10)) != {"three": 10}:
            assert answers.keys() <= {"one", "two", "three"}
        # A route that goes elsewhere: the client asks for the new cluster by itself.
        new = cluster("other")
        alone = endpoints("other", ("127.0.0.1", one.port))
        server.apply(new, alone, route("greeter-route", "other"))
        while (answers := client.call(10)) != {"one": 10}:
            assert answers.keys() <= {"one", "three"}
        (verdict,) = server.wait()
        assert str(verdict.state) == "SYNCED", verdict
        states = {type_urls.short(one.type_url): str(one.state) for one in server.status()[0].types}
        assert {states[name] for name in ("lds", "rds", "cds", "eds")} == {"SYNCED"}
