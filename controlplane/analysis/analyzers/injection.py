"""Labels of namespaces about injection."""

from __future__ import annotations

import json
from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.control_plane import INJECTOR
from controlplane.analysis.finding import Finding, found

_INJECTION = "istio-injection"
_REVISION = "istio.io/rev"
_DATAPLANE_MODE = "istio.io/dataplane-mode"


def _run(collection: Collection) -> Iterator[Finding]:
    for one in collection.of("Namespace"):
        if one.name == collection.mesh.root_namespace:
            continue
        labels = one.labels
        said = [f"{_INJECTION}={labels[_INJECTION]}"] if _INJECTION in labels else []
        if labels.get(_INJECTION, "enabled") == "enabled":
            said += [
                f"{each}={labels[each]}" for each in (_REVISION, _DATAPLANE_MODE) if each in labels
            ]
        if len(said) > 1:
            path = "metadata.labels"
            yield found(codes.MULTIPLE_INJECTION_LABELS, one.key, path, labels=said)
        if labels.get(_DATAPLANE_MODE) == "ambient":
            continue
        if labels.get(_INJECTION) or _REVISION in labels:
            continue
        if _by_default(collection):
            yield found(codes.INJECTION_BY_DEFAULT, one.key, "metadata.name")
        else:
            path = "metadata.name"
            yield found(codes.NAMESPACE_NOT_INJECTED, one.key, path, namespace=one.name)


def _by_default(collection: Collection) -> bool:
    """What the injector's ConfigMap says of namespaces that say nothing."""
    for one in collection.of("ConfigMap"):
        if one.name != INJECTOR:
            continue
        try:
            values = json.loads(one.spec.data.get("values", "{}"))
        except (ValueError, RecursionError):
            return False
        webhook = values.get("sidecarInjectorWebhook") if isinstance(values, dict) else None
        return isinstance(webhook, dict) and webhook.get("enableNamespacesByDefault") is True
    return False


ANALYZER = Analyzer(
    name="injection.Analyzer",
    description="Labels of namespaces about injection",
    codes=(
        codes.NAMESPACE_NOT_INJECTED,
        codes.MULTIPLE_INJECTION_LABELS,
        codes.INJECTION_BY_DEFAULT,
    ),
    run=_run,
)
