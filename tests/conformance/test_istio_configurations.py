"""Istio's own test configurations and samples: each is translated for the proxies that it names,
and the stock Envoy takes what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.resources.kinds import KINDS
from tests.support import meshes, translated
from tests.support.documents import read
from tests.support.gomodules import ISTIO, go_module
from tests.support.proxies import envoy_binary

#: Folders, and how many of their files have something of Istio's that is right by our rules.
_FOLDERS = {
    "tests/testdata/config": 30,
    "samples": 37,
    "pkg/config/analysis/analyzers/testdata": 69,
}
#: What Envoy says of certificates that gateways have in files, which are not here.
_NOT_HERE = ".pem"
_CHOOSING = frozenset(
    {"Sidecar", "EnvoyFilter", "AuthorizationPolicy", "RequestAuthentication", "Telemetry"}
)
#: Of each sort in a file: more say nothing new.
_PROXIES = 2


@pytest.mark.parametrize("folder", _FOLDERS)
def test_what_comes_out_is_taken(folder: str, tmp_path: Path) -> None:
    refused: dict[str, str] = {}
    compared = 0
    for path in sorted((go_module(ISTIO) / folder).rglob("*.yaml")):
        documents = list(_documents(path.read_text()))
        if not any("istio.io" in one["apiVersion"] for one in documents):
            continue
        compared += 1
        world = meshes.world("---\n".join(yaml.safe_dump(one) for one in documents))
        for proxy in _proxies(documents):
            sent = translated.everything(world, meshes.proxy(yaml.safe_dump(proxy)))
            problems = translated.envoy_validates(envoy_binary(), sent, tmp_path)
            if problems and _NOT_HERE not in problems:
                refused[f"{path.name} for {proxy}"] = problems
    assert refused == {}
    assert compared == _FOLDERS[folder]


def _documents(text: str) -> Iterator[dict[str, Any]]:
    """Those that our rules take."""
    try:
        documents = list(yaml.load_all(text, yaml.CSafeLoader))
    except yaml.YAMLError:
        # A template.
        return
    for one in documents:
        known = isinstance(one, dict) and (one.get("apiVersion"), one.get("kind")) in KINDS
        if known and "name" in one.get("metadata", {}):
            spec, problems = read(one)
            if spec is not None and all(problem.warning for problem in problems):
                yield one


def _proxies(documents: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Sidecars without labels and with those that are asked for, and the gateways."""
    own = next(one for one in documents if "istio.io" in one["apiVersion"])
    namespace = own["metadata"].get("namespace", "default")
    plain = {"id": f"a.{namespace}", "namespace": namespace, "service_account": "a"}
    specs = [(one["kind"], one.get("spec") or {}) for one in documents]
    chosen = [
        (spec.get("workloadSelector") or {}).get("labels")
        or (spec.get("selector") or {}).get("matchLabels")
        for kind, spec in specs
        if kind in _CHOOSING
    ]
    gates = [
        spec.get("selector") for kind, spec in specs if kind == "Gateway" and "servers" in spec
    ]
    for labels in ({}, *[one for one in chosen if one][:_PROXIES]):
        yield {**plain, "addresses": ["10.1.0.1"], "labels": labels}
    for labels in [one for one in gates if one][:_PROXIES]:
        yield {**plain, "type": "router", "addresses": ["10.2.0.1"], "labels": labels}
