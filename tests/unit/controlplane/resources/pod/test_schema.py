"""Pods: what of them a mesh reads."""

from controlplane.resources.common.object_reference import OwnerReference
from controlplane.resources.common.pod import Container, ContainerPort, PodSpec
from controlplane.resources.pod.schema import Pod, PodCondition, PodIP, PodMetadata, PodStatus
from controlplane.resources.schema import decode


def test_a_whole_one() -> None:
    value = {
        "metadata": {
            "name": "a",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs"}],
        },
        "spec": {
            "serviceAccountName": "sa",
            "hostNetwork": True,
            "containers": [{"name": "c", "ports": [{"containerPort": 80, "name": "web"}]}],
            "volumes": [],
        },
        "status": {
            "podIP": "1.2.3.4",
            "podIPs": [{"ip": "1.2.3.4"}],
            "hostIP": "5.6.7.8",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    pod, problems = decode(Pod, value, "", strict=False)
    assert problems == []
    assert pod == Pod(
        PodMetadata(owner_references=(OwnerReference("apps/v1", "ReplicaSet", "rs"),)),
        PodSpec(
            service_account_name="sa",
            host_network=True,
            containers=(Container("c", ports=(ContainerPort(80, "web"),)),),
        ),
        PodStatus(
            pod_ip="1.2.3.4",
            pod_ips=(PodIP("1.2.3.4"),),
            host_ip="5.6.7.8",
            conditions=(PodCondition("Ready", "True"),),
        ),
    )
