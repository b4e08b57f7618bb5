"""Which WorkloadGroup a workload belongs to."""

from __future__ import annotations

from typing import Any

from controlplane.registry import workloads
from controlplane.registry.canonical import canonical
from controlplane.registry.workloads import Labels
from controlplane.resources.resource import Resource
from controlplane.world.view import View

_DEFAULT_ACCOUNT = "default"


class NoGroup(ValueError):
    """A workload names a group that it cannot belong to; `str()` says which and why."""


def named(view: View, namespace: str, account: str, name: str) -> Resource[Any]:
    """The group that a workload names. Raises NoGroup."""
    # By the list: what somebody asks for is not to be kept.
    groups = view.resources("WorkloadGroup", namespace)
    found = next((one for one in groups if one.name == name), None)
    if found is None:
        raise NoGroup(
            f"there is no WorkloadGroup {namespace}/{name[:253]}: apply it, or name another"
            " (--group)"
        )
    own = found.spec.template.service_account or _DEFAULT_ACCOUNT
    if own != account:
        raise NoGroup(
            f"WorkloadGroup {namespace}/{name} is for service account {own}, not {account}"
        )
    return found


def group_of(view: View, namespace: str, account: str, labels: Labels) -> Resource[Any] | None:
    """The group of a workload that names none: the oldest of its namespace and service account
    whose labels it has all, or which has all of its; None if it is in no group. No query: labels
    are many."""
    said = claimed(labels)
    for one in view.resources("WorkloadGroup", namespace):
        template = one.spec.template
        if (template.service_account or _DEFAULT_ACCOUNT) != account:
            continue
        made = one.spec.metadata.labels if one.spec.metadata is not None else {}
        own = workloads.pairs({**made, **template.labels})
        if workloads.matches(own, labels) or workloads.matches(said, own):
            return one
    return None


def claimed(labels: Labels) -> Labels:
    """Labels without those that only say again what others say."""
    again = canonical(dict(labels))
    return tuple(pair for pair in labels if again.get(pair[0]) != pair[1])
