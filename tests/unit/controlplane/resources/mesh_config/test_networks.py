"""MeshNetworks."""

import pytest
import yaml

from controlplane.resources.mesh_config.networks import (
    MeshNetworks,
    Network,
    NetworkEndpoints,
    NetworkGateway,
    read,
)


def test_networks() -> None:
    value = yaml.safe_load(
        """
        networks:
          network1:
            endpoints: [{fromRegistry: cluster1}, {fromCidr: 10.0.0.0/8}]
            gateways:
            - {address: 192.0.2.1, port: 15443, locality: us-east/a}
            - {registryServiceName: gw.istio-system.svc.cluster.local, port: 15443}
            - {address: gw.example.com, port: 443}
        """
    )
    assert read(value) == (
        MeshNetworks(
            {
                "network1": Network(
                    endpoints=(
                        NetworkEndpoints(from_registry="cluster1"),
                        NetworkEndpoints(from_cidr="10.0.0.0/8"),
                    ),
                    gateways=(
                        NetworkGateway(15443, address="192.0.2.1", locality="us-east/a"),
                        NetworkGateway(
                            15443, registry_service_name="gw.istio-system.svc.cluster.local"
                        ),
                        NetworkGateway(443, address="gw.example.com"),
                    ),
                )
            }
        ),
        [],
    )
    assert read({}) == (MeshNetworks(), [])


@pytest.mark.parametrize(
    ("network", "path", "reason"),
    [
        ("endpoints: [{}]", "endpoints[0]", "selects nothing"),
        ("endpoints: [{fromCidr: a/8}]", "endpoints[0].fromCidr", "'a/8' is no network"),
        ("endpoints: [{fromRegistry: a_b}]", "endpoints[0].fromRegistry", "'a_b' cannot be"),
        (
            "endpoints: [{fromRegistry: a, fromCidr: 10.0.0.0/8}]",
            "endpoints[0]",
            "fromCidr, fromRegistry exclude each other",
        ),
        ("gateways: [{port: 1}]", "gateways[0]", "leads nowhere"),
        ("gateways: [{address: a}]", "gateways[0].port", "is required"),
        ("gateways: [{address: a, port: 0}]", "gateways[0].port", "must be from 1 to 65535"),
        ("gateways: [{address: 'a b', port: 1}]", "gateways[0].address", "'a b' is no host"),
        (
            "gateways: [{registryServiceName: '*.a', port: 1}]",
            "gateways[0].registryServiceName",
            "'*.a' is no host",
        ),
    ],
)
def test_refused(network: str, path: str, reason: str) -> None:
    result, (problem,) = read({"networks": {"a": yaml.safe_load(network)}}, "data.meshNetworks")
    assert result is None
    assert problem.path == f"data.meshNetworks.networks.a.{path}"
    assert problem.reason.startswith(reason)
