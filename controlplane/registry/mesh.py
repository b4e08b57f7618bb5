"""What holds for the whole mesh: MeshConfig and the root namespace."""

from __future__ import annotations

from controlplane.resources.mesh_config.schema import MeshConfig
from controlplane.world.view import View, query

_DEFAULT = MeshConfig()


@query
def config(view: View) -> MeshConfig:
    """MeshConfig, with Istio's defaults for what is not given."""
    return view.fact("mesh-config", _DEFAULT)


@query
def root_namespace(view: View) -> str:
    """Where resources stand that hold for all namespaces."""
    return config(view).root_namespace or "istio-system"


@query
def domain(view: View) -> str:
    """What Kubernetes services' names end in, behind `svc.`."""
    return view.fact("domain", "cluster.local")


@query
def trust_domain(view: View) -> str:
    """The first part of SPIFFE identities."""
    return config(view).trust_domain or "cluster.local"


@query
def trust_domains(view: View) -> tuple[str, ...]:
    """The mesh's trust domain, then its aliases: identities of all of them are the mesh's own."""
    return tuple(dict.fromkeys((trust_domain(view), *config(view).trust_domain_aliases)))
