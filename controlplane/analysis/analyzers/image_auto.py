"""`image: auto`, which only an injection webhook replaces."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.analysis.webhooks import selects, webhooks
from controlplane.analysis.workloads import workloads


def _run(collection: Collection) -> Iterator[Finding]:
    hooks = [one for one in webhooks(collection) if one.name.endswith("istio.io")]
    for one in workloads(collection):
        place = -1
        for index, container in enumerate(one.pod.containers if one.pod is not None else ()):
            if (container.name, container.image) == ("istio-proxy", "auto"):
                place = index
        if place < 0:
            continue
        kind, path = one.resource.key.kind, f"{one.path}.containers[{place}].image"
        if kind == "Pod":
            # It is there already: nothing will replace its image any more.
            yield found(codes.IMAGE_AUTO_ERROR, one.resource.key, path, kind=kind, name=one.name)
            continue
        namespace = collection.find("Namespace", "", one.namespace)
        labels = namespace.labels if namespace is not None else {}
        if hooks and not any(selects(hook, labels, one.labels) for hook in hooks):
            yield found(codes.IMAGE_AUTO_WARNING, one.resource.key, path, kind=kind, name=one.name)


ANALYZER = Analyzer(
    name="injection.ImageAutoAnalyzer",
    description="`image: auto` that no injection webhook will replace",
    codes=(codes.IMAGE_AUTO_WARNING, codes.IMAGE_AUTO_ERROR),
    run=_run,
)
