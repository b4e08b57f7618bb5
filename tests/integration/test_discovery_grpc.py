"""gRPC's own xDS client against the discovery server: `xds:///` resolves and balances."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from controlplane.resources.resource import Resource
from controlplane.xds import type_urls
from tests.support.grpc_xds_client import Greeter, GrpcXdsClient
from tests.support.xds_resources import api_listener, cluster, endpoints, route
from tests.support.xds_server import XdsServer

NODE = {"id": "sidecar~127.0.0.1~caller.default~default.svc.cluster.local"}


@pytest.fixture
def greeters() -> Iterator[list[Greeter]]:
    with Greeter("one") as one, Greeter("two") as two, Greeter("three") as three:
        yield [one, two, three]


def load(*greeters: Greeter) -> Resource[Any]:
    return endpoints("greeter", *(("127.0.0.1", one.port) for one in greeters))


def test_it_resolves_balances_and_follows(greeters: list[Greeter]) -> None:
    one, two, three = greeters
    server = XdsServer(
        api_listener("greeter", "greeter-route"), route("greeter-route", "greeter"),
        cluster("greeter"), load(one, two),
    )  # fmt: skip
    with server, GrpcXdsClient(server.port, NODE, "xds:///greeter") as client:
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
