"""What is there in a mesh although no file says so: the ingress gateway of the installation."""

from __future__ import annotations

from typing import Any

from controlplane.resources.common.pod import Container, PodSpec
from controlplane.resources.pod.schema import Pod
from controlplane.resources.resource import Key, Resource
from controlplane.resources.service.schema import Service, ServicePort, ServiceSpec

_NAME = "istio-ingressgateway"
_LABELS = {"app": _NAME, "istio": "ingressgateway"}
#: Ports of the service and of its workloads.
_PORTS = {
    "status-port": (15021, 15021),
    "http2": (80, 8080),
    "https": (443, 8443),
    "tcp": (31400, 31400),
    "tls": (15443, 15443),
}


def ingress_gateway(namespace: str) -> tuple[Resource[Any], ...]:
    """Its workload and its service."""
    ports = tuple(
        ServicePort(port, name, "TCP", target_port=target)
        for name, (port, target) in _PORTS.items()
    )
    pod = Pod(spec=PodSpec(containers=(Container(name="istio-proxy"),)))
    service = Service(ServiceSpec(ports, _LABELS))
    return (
        Resource(Key("Pod", namespace, _NAME), pod, _LABELS),
        Resource(Key("Service", namespace, _NAME), service, _LABELS),
    )
