"""What clusters ask of EDS."""

from __future__ import annotations

from envoy.config.cluster.v3 import cluster_pb2

from controlplane.xds.endpoints import EndpointNames
from controlplane.xds.translator import encoded

EDS, STATIC = cluster_pb2.Cluster.EDS, cluster_pb2.Cluster.STATIC


def test_names() -> None:
    names = EndpointNames(limit=1)
    plain = cluster_pb2.Cluster(name="a", type=EDS)
    other = cluster_pb2.Cluster(name="b", type=EDS)
    other.eds_cluster_config.service_name = "else"
    static = cluster_pb2.Cluster(name="c", type=STATIC)
    for message, name in ((plain, "a"), (other, "else"), (static, ""), (plain, "a")):
        assert names.of(encoded(message.name, message.SerializeToString())) == name


def test_what_is_no_cluster_asks_for_nothing() -> None:
    assert EndpointNames().of(encoded("a", b"\xff\xff")) == ""
