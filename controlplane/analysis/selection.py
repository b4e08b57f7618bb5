"""Resources of which a workload may have one only: Sidecars, Telemetries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from controlplane.analysis import codes
from controlplane.analysis.codes import Code
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.analysis.workloads import KINDS, Workload, indexed, written
from controlplane.resources.resource import Key, Resource

#: The labels by which a resource selects; nothing where it selects its namespace.
Selector = Callable[[Any], Mapping[str, str]]


def selected(
    collection: Collection, resources: list[Resource[Any]], selector: Selector
) -> Iterator[tuple[Workload, list[Resource[Any]]]]:
    """The workloads that are selected by labels, each with what selects it."""
    all_workloads = indexed(collection)
    found_by: dict[Key, tuple[Workload, list[Resource[Any]]]] = {}
    for each in resources:
        for one in all_workloads.selected(selector(each.spec), each.namespace):
            found_by.setdefault(one.resource.key, (one, []))[1].append(each)
    yield from found_by.values()


def without_workloads(
    collection: Collection, resources: list[Resource[Any]], selector: Selector, path: str
) -> Iterator[Finding]:
    """Those whose labels no workload has."""
    if not collection.knows(*KINDS):
        return
    having = {each.key for _, own in selected(collection, resources, selector) for each in own}
    for one in resources:
        if one.key not in having:
            yield found(
                codes.REFERENCED_RESOURCE_NOT_FOUND,
                one.key,
                path,
                what="selector",
                name=written(selector(one.spec)),
            )


def conflicting(
    code: Code, one: Workload, own: list[Resource[Any]], path: str
) -> Iterator[Finding]:
    """All of those that select a workload together."""
    names = sorted(each.name for each in own)
    for each in own if len(own) > 1 else ():
        yield found(code, each.key, path, names=names, namespace=one.namespace, workload=one.name)


def several(code: Code, resources: list[Resource[Any]]) -> Iterator[Finding]:
    """All of those that select the same namespace together."""
    by_namespace: dict[str, list[Resource[Any]]] = {}
    for one in resources:
        by_namespace.setdefault(one.namespace, []).append(one)
    for namespace, own in by_namespace.items():
        names = sorted(one.name for one in own)
        for one in own if len(own) > 1 else ():
            yield found(code, one.key, "metadata.name", names=names, namespace=namespace)
