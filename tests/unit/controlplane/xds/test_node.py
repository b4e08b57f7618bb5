"""Nodes become proxies, as far as they prove what they claim."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.core.v3 import base_pb2

from controlplane.world.proxy import FORWARDERS, REPORTERS, Locality
from controlplane.xds.identity import Identity
from controlplane.xds.node import Impostor, proxy
from controlplane.xds.request import BadRequest

REVIEWS = Identity("cluster.local", "shop", "reviews")
ID = "sidecar~10.0.0.1~reviews-v1.shop~shop.svc.cluster.local"
LIMIT = 10_000


def node(id: str = ID, **metadata: Any) -> base_pb2.Node:
    made = base_pb2.Node(id=id)
    made.metadata.update(metadata)
    return made


def test_a_node_of_istios() -> None:
    made = node(
        NAMESPACE="shop", SERVICE_ACCOUNT="reviews", CLUSTER_ID="one", NETWORK="net",
        LABELS={"app": "reviews", "version": "v1"}, INSTANCE_IPS="10.0.0.1,fd00::1",
        INTERCEPTION_MODE="REDIRECT", ENVOY_PORT=15001, PROXY_CONFIG={"concurrency": 2},
        ANNOTATIONS={"a": "b"},
    )  # fmt: skip
    made.locality.region, made.locality.zone = "eu", "eu-1"
    found = proxy(made, REVIEWS, LIMIT)
    assert (found.type, found.id) == ("sidecar", "reviews-v1.shop")
    assert (found.namespace, found.service_account) == ("shop", "reviews")
    assert found.addresses == ("10.0.0.1", "fd00::1")
    assert found.labels == (("app", "reviews"), ("version", "v1"))
    assert found.locality == Locality("eu", "eu-1")
    assert (found.network, found.cluster) == ("net", "one")
    assert found.dns_domain == "cluster.local"
    assert found.metadata == (
        ("ENVOY_PORT", "15001"),
        ("INTERCEPTION_MODE", "REDIRECT"),
        ("PROXY_CONFIG", '{"concurrency":2.0}'),
    )


def test_the_program_says_what_it_runs_of_what_not_all_do() -> None:
    made = node()
    for name, disabled in (
        ("stats.PluginConfig", False),
        ("envoy.config.trace.v3.ZipkinConfig", False),
        ("io.istio.http.peer_metadata.Config", True),
        ("envoy.extensions.filters.http.cors.v3.Cors", False),
    ):
        one = made.extensions.add(name="any", disabled=disabled)
        one.type_urls.append(f"type.googleapis.com/{name}")
    found = proxy(made, REVIEWS, LIMIT).runs
    assert found == ("envoy.config.trace.v3.ZipkinConfig", "stats.PluginConfig")
    # Who does not say is taken for an Envoy, which has all but the filters of Istio.
    assert set(proxy(node(), REVIEWS, LIMIT).runs) == REPORTERS | FORWARDERS


def test_the_program_says_what_it_is() -> None:
    made = node()
    assert proxy(made, REVIEWS, LIMIT).agent == ""
    made.user_agent_name = "envoy"
    assert proxy(made, REVIEWS, LIMIT).agent == "envoy"
    build = made.user_agent_build_version.version
    build.major_number, build.minor_number = 1, 40
    found = proxy(made, REVIEWS, LIMIT)
    assert found.agent == "envoy/1.40.0"
    # Two versions of a program are sent the same.
    assert found == proxy(node(), REVIEWS, LIMIT)
    made.user_agent_version = "x\x1b" * 100
    assert proxy(made, REVIEWS, LIMIT).agent.isprintable()


@pytest.mark.parametrize("label", ["eu.eu-1.rack", "eu/eu-1/rack"])
def test_the_locality_may_be_a_label(label: str) -> None:
    found = proxy(node(LABELS={"istio-locality": label}), REVIEWS, LIMIT)
    assert found.locality == Locality("eu", "eu-1", "rack")


def test_what_is_proved_counts_where_nothing_is_claimed() -> None:
    found = proxy(node("router~~gateway~x"), REVIEWS, LIMIT)
    assert (found.type, found.namespace, found.service_account) == ("router", "shop", "reviews")
    assert found.addresses == ()


@pytest.mark.parametrize(
    ("made", "claim"),
    [
        (node(NAMESPACE="bank"), "bank"),
        (node("sidecar~10.0.0.1~reviews-v1.bank~shop.svc.cluster.local"), "bank"),
        (node("sidecar~10.0.0.1~reviews-v1.shop~bank.svc.cluster.local"), "bank"),
        (node(SERVICE_ACCOUNT="teller"), "teller"),
    ],
    ids=["metadata", "name", "domain", "account"],
)
def test_a_node_cannot_be_what_it_has_not_proved(made: base_pb2.Node, claim: str) -> None:
    with pytest.raises(Impostor) as caught:
        proxy(made, REVIEWS, LIMIT)
    assert claim in str(caught.value)
    assert "spiffe://cluster.local/ns/shop/sa/reviews" in str(caught.value)


def test_on_a_trusted_port_claims_count() -> None:
    found = proxy(node(NAMESPACE="shop", SERVICE_ACCOUNT="anybody"), None, LIMIT)
    assert (found.namespace, found.service_account) == ("shop", "anybody")
    found = proxy(node(), None, LIMIT)
    assert (found.namespace, found.service_account) == ("shop", "default")
    with pytest.raises(Impostor, match="bank"):
        proxy(node(NAMESPACE="bank"), None, LIMIT)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (node("envoy-1"), "TYPE~IP~NAME.NAMESPACE~DOMAIN"),
        (node("waypoint~10.0.0.1~a.shop~shop.svc.cluster.local"), "waypoint"),
        (node("sidecar~here~a.shop~shop.svc.cluster.local"), "no IP address"),
        (node(INSTANCE_IPS="10.0.0.1,x"), "no IP address"),
        (node(INSTANCE_IPS="10.0.0.1,fe80::1%eth0"), "has a zone"),
        (node(INSTANCE_IPS=["10.0.0.1"]), "INSTANCE_IPS must be a string"),
        (node(LABELS="app"), "LABELS must be"),
        (node(LABELS={"app": 1}), "LABELS must be"),
        (node(FILL="x" * LIMIT), "more than 10000"),
        (node(NAMESPACE=None), "NAMESPACE must be a string"),
        (node(WEIGHT=float("inf")), "node.metadata cannot be read: .*Infinity"),
        (node(WEIGHT=[{"a": float("nan")}]), "node.metadata cannot be read: .*NaN"),
    ],
    ids=[
        "id",
        "type",
        "address",
        "addresses",
        "zone",
        "list",
        "labels",
        "label",
        "large",
        "null",
        "infinity",
        "no number",
    ],
)
def test_a_node_that_cannot_be_understood_is_refused(made: base_pb2.Node, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        proxy(made, REVIEWS, LIMIT)
