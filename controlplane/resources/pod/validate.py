"""Rules of Kubernetes' Pod."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.pod.schema import Pod
from controlplane.resources.proxy_config import annotation
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import addresses, kubernetes


def validate(pod: Pod, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    yield from kubernetes.containers(pod.spec.containers, "spec.containers")
    yield from kubernetes.containers(pod.spec.init_containers, "spec.initContainers")
    for path, address in (
        ("status.podIP", pod.status.pod_ip),
        ("status.hostIP", pod.status.host_ip),
        *((f"status.podIPs[{index}].ip", one.ip) for index, one in enumerate(pod.status.pod_ips)),
    ):
        if address:
            yield from addresses.ip(address, path)
    yield from annotation.problems(meta.annotations)
