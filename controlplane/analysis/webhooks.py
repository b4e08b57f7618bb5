"""Webhooks that inject sidecars, and what they select."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from controlplane.analysis.collection import Collection
from controlplane.analysis.raw import items, labels, text
from controlplane.resources.resource import Resource

REVISION = "istio.io/rev"


class Webhook(NamedTuple):
    resource: Resource[Any]
    number: int
    name: str
    value: Mapping[str, Any]


def webhooks(collection: Collection) -> Iterator[Webhook]:
    """All of the MutatingWebhookConfigurations."""
    for one in collection.of("MutatingWebhookConfiguration"):
        for index, hook in enumerate(items(one.spec.get("webhooks"))):
            yield Webhook(one, index, text(hook.get("name")), hook)


def selects(hook: Webhook, namespace: Mapping[str, str], pod: Mapping[str, str]) -> bool:
    """Whether it is called for such a pod in such a namespace."""
    return _matches(hook.value.get("namespaceSelector"), namespace) and _matches(
        hook.value.get("objectSelector"), pod
    )


def revisions(hook: Webhook) -> set[str]:
    """The revisions that its selectors name."""
    found: set[str] = set()
    for name in ("namespaceSelector", "objectSelector"):
        selector = hook.value.get(name)
        if not isinstance(selector, dict):
            continue
        revision = labels(selector.get("matchLabels")).get(REVISION)
        if revision is not None:
            found.add(revision)
        for one in items(selector.get("matchExpressions")):
            if one.get("key") == REVISION:
                found |= {value for value in one.get("values") or () if isinstance(value, str)}
    return found


def _matches(selector: Any, given: Mapping[str, str]) -> bool:
    """Kubernetes' selector; none selects everything."""
    if not isinstance(selector, dict):
        return True
    if not labels(selector.get("matchLabels")).items() <= given.items():
        return False
    return all(_holds(one, given) for one in items(selector.get("matchExpressions")))


def _holds(expression: Mapping[str, Any], given: Mapping[str, str]) -> bool:
    key, values = text(expression.get("key")), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return given.get(key) in values
        case "NotIn":
            return key not in given or given[key] not in values
        case "Exists":
            return key in given
        case "DoesNotExist":
            return key not in given
    return False
