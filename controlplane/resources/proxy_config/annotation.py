"""The annotation `proxy.istio.io/config` of pods and WorkloadGroups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from controlplane.problem import Problem
from controlplane.resources.mesh_config import (
    NOT_YET_OF_PROXY,
    PROXY_CONFIG_ANNOTATION,
    MeshProxyConfig,
    apply_proxy_config,
)
from controlplane.resources.not_yet import told
from controlplane.sources import text


def read(annotations: Mapping[str, str]) -> dict[str, Any]:
    """What it says; what cannot be read says nothing."""
    value = _value(annotations)
    return {} if isinstance(value, str) else value


def problems(
    annotations: Mapping[str, str], path: str = "metadata.annotations"
) -> Iterator[Problem]:
    """What is to be said of it. All are warnings: its object is taken without it."""
    at = f"{path}['{PROXY_CONFIG_ANNOTATION}']"
    value = _value(annotations)
    if isinstance(value, str):
        yield Problem(at, f"{value}; it is left out", warning=True)
        return
    chosen, found = apply_proxy_config(value, MeshProxyConfig(), at)
    for one in found:
        left_out = "; all of it is left out" if chosen is None and not one.warning else ""
        yield replace(one, reason=one.reason + left_out, warning=True)
    yield from told(NOT_YET_OF_PROXY, value, at)


def _value(annotations: Mapping[str, str]) -> dict[str, Any] | str:
    given = annotations.get(PROXY_CONFIG_ANNOTATION, "")
    return text.value(given, PROXY_CONFIG_ANNOTATION) if given else {}
