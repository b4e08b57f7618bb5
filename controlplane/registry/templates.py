"""What the sources say that workloads of a service account may be: the templates from which they
are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controlplane.registry import workloads
from controlplane.registry.workloads import Labels
from controlplane.resources.resource import Resource
from controlplane.world.view import View, query

#: Kinds that hold templates.
KINDS = ("WorkloadGroup", "Deployment", "Pod")
_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Template:
    """One of them."""

    #: `Deployment/reviews-v1`, for people.
    name: str
    labels: Labels


@query
def of_account(view: View, namespace: str, account: str) -> tuple[Template, ...]:
    """All of a service account."""
    return _by_account(view, namespace).get(account, ())


@query
def _by_account(view: View, namespace: str) -> dict[str, tuple[Template, ...]]:
    found: dict[str, list[Template]] = {}
    for kind in KINDS:
        for resource in view.resources(kind, namespace):
            account, labels = _READ[kind](resource)
            template = Template(f"{kind}/{resource.name}", workloads.pairs(labels))
            found.setdefault(account or _DEFAULT, []).append(template)
    return {account: tuple(ones) for account, ones in found.items()}


def _of_group(resource: Resource[Any]) -> tuple[str, dict[str, str]]:
    spec = resource.spec
    made = spec.metadata.labels if spec.metadata is not None else {}
    return spec.template.service_account, {**made, **spec.template.labels}


def _of_deployment(resource: Resource[Any]) -> tuple[str, dict[str, str]]:
    template = resource.spec.template
    labels = template.metadata.labels if template.metadata is not None else {}
    return template.spec.service_account_name if template.spec is not None else "", dict(labels)


def _of_pod(resource: Resource[Any]) -> tuple[str, dict[str, str]]:
    return resource.spec.spec.service_account_name, dict(resource.labels)


_READ = {"WorkloadGroup": _of_group, "Deployment": _of_deployment, "Pod": _of_pod}
