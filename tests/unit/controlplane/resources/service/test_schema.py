"""Services of Kubernetes: abbreviations in names, targets by number or name, the rest left out."""

from controlplane.resources.schema import decode
from controlplane.resources.service.schema import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
)


def test_a_whole_one() -> None:
    value = {
        "apiVersion": "v1",
        "metadata": {"name": "a"},
        "spec": {
            "clusterIP": "None",
            "clusterIPs": ["None"],
            "externalIPs": ["1.2.3.4"],
            "loadBalancerIP": "5.6.7.8",
            "type": "NodePort",
            "ports": [
                {"port": 80, "targetPort": "web", "appProtocol": "http", "nodePort": 30000},
                {"port": 81, "targetPort": 8081, "name": "b"},
            ],
            "ipFamilies": ["IPv4"],
        },
        "status": {"loadBalancer": {"ingress": [{"hostname": "x"}]}, "conditions": []},
    }
    service, problems = decode(Service, value, "", strict=False)
    assert problems == []
    assert service == Service(
        ServiceSpec(
            cluster_ip="None",
            cluster_ips=("None",),
            external_ips=("1.2.3.4",),
            load_balancer_ip="5.6.7.8",
            type="NodePort",
            ports=(
                ServicePort(80, target_port="web", app_protocol="http", node_port=30000),
                ServicePort(81, target_port=8081, name="b"),
            ),
        ),
        ServiceStatus(LoadBalancerStatus((LoadBalancerIngress(hostname="x"),))),
    )
