"""Injection webhooks that overlap, or call a service that there is not."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.analysis.raw import text
from controlplane.analysis.webhooks import REVISION, Webhook, revisions, selects, webhooks

_INJECTION = "istio-injection"
_INJECT = "sidecar.istio.io/inject"


def _run(collection: Collection) -> Iterator[Finding]:
    every = list(webhooks(collection))
    # A configuration is Istio's if one of its webhooks is.
    istios = {
        one.resource.key
        for one in every
        if one.name.endswith("istio.io") or revisions(one) or REVISION in one.resource.labels
    }
    hooks = [one for one in every if one.resource.key in istios]
    yield from _overlaps(hooks)
    if collection.knows("Service"):
        yield from _services(hooks, collection)


def _overlaps(hooks: list[Webhook]) -> Iterator[Finding]:
    known: set[str] = {
        one.resource.labels[REVISION] for one in hooks if REVISION in one.resource.labels
    }
    known = known.union(*(revisions(one) for one in hooks))
    namespaces = list(_labels(_INJECTION, ("enabled", "disabled"), known))
    pods = list(_labels(_INJECT, ("true", "false"), known))
    told: set[tuple[int, frozenset[int]]] = set()
    for namespace, pod in product(namespaces, pods):
        called = [index for index, one in enumerate(hooks) if selects(one, namespace, pod)]
        for index in called if len(called) > 1 else ():
            others = frozenset(called) - {index}
            if (index, others) in told:
                continue
            told.add((index, others))
            names = sorted(_name(hooks[other]) for other in others)
            problem = f"The webhook overlaps with {', '.join(names)}; pods may be injected twice."
            one = hooks[index]
            path = f"webhooks[{one.number}]"
            yield found(codes.INVALID_WEBHOOK, one.resource.key, path, problem=problem)


def _labels(name: str, values: tuple[str, ...], known: set[str]) -> Iterator[dict[str, str]]:
    """All that a namespace or a pod may say of injection."""
    for value, revision in product(("", *values), ("", *sorted(known))):
        labels = {name: value} if value else {}
        yield {**labels, REVISION: revision} if revision else labels


def _services(hooks: list[Webhook], collection: Collection) -> Iterator[Finding]:
    for one in hooks:
        client = one.value.get("clientConfig")
        service = client.get("service") if isinstance(client, dict) else None
        if not isinstance(service, dict):
            continue
        namespace, name = text(service.get("namespace")), text(service.get("name"))
        if not collection.exists("Service", namespace, name):
            problem = f"The injector calls the service {namespace}/{name}, which does not exist."
            path = f"webhooks[{one.number}].clientConfig.service"
            yield found(codes.INVALID_WEBHOOK, one.resource.key, path, problem=problem)


def _name(hook: Webhook) -> str:
    return f"{hook.resource.name}/{hook.name}"


ANALYZER = Analyzer(
    name="webhook.Analyzer",
    description="Injection webhooks that overlap, or call an unknown service",
    codes=(codes.INVALID_WEBHOOK,),
    run=_run,
)
