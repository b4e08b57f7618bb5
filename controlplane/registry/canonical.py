"""The labels by which Istio tells services and their revisions apart in telemetry."""

from __future__ import annotations

from collections.abc import Mapping

_NAME, _REVISION = "service.istio.io/canonical-name", "service.istio.io/canonical-revision"


def canonical(labels: Mapping[str, str]) -> dict[str, str]:
    """As Istio's injector makes them of the other labels, and of nothing else."""
    name = labels.get("app.kubernetes.io/name") or labels.get("app")
    revision = labels.get("app.kubernetes.io/version") or labels.get("version") or "latest"
    return {**({_NAME: name} if name else {}), _REVISION: revision}
