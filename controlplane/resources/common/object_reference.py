"""References from one object of Kubernetes to another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """What an address belongs to, a pod as a rule."""

    kind: str = ""
    name: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class OwnerReference:
    """What made an object: the ReplicaSet of a pod, from which its workload's name comes."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    controller: bool = False
