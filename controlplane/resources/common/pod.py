"""What a mesh reads of a pod, and of the template that pods are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controlplane.resources.schema import Port


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port that is documented; a service may name it as its target."""

    container_port: Port
    name: str = ""
    #: "" is TCP.
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class EnvVar:
    """A variable; what it takes from elsewhere (`valueFrom`) is not read."""

    name: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class SecurityContext:
    """Whose processes a container's are."""

    run_as_user: int | None = None


@dataclass(frozen=True, slots=True)
class Container:
    """A container's ports, and what analysis looks at."""

    name: str = ""
    image: str = ""
    ports: tuple[ContainerPort, ...] = ()
    env: tuple[EnvVar, ...] = ()
    security_context: SecurityContext | None = None


@dataclass(frozen=True, slots=True)
class PodSpec:
    """Identity and ports."""

    #: "" is `default`.
    service_account_name: str = ""
    node_name: str = ""
    host_network: bool = False
    hostname: str = ""
    subdomain: str = ""
    containers: tuple[Container, ...] = ()
    #: Native sidecars have ports as well.
    init_containers: tuple[Container, ...] = ()
    security_context: SecurityContext | None = None


@dataclass(frozen=True, slots=True)
class TemplateMetadata:
    """Labels and annotations of the pods."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PodTemplateSpec:
    """What pods are made from."""

    metadata: TemplateMetadata | None = None
    spec: PodSpec | None = None
