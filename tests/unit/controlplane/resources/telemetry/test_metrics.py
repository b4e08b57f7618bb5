"""What Telemetries change of metrics, by provider and side."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.resources.telemetry.metrics import Change, Changes, metrics
from controlplane.resources.telemetry.select import Side, reporting
from controlplane.world.world import World
from tests.support import meshes

_APP = (("app", "a"),)
_MESH = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders:
    - {name: prometheus, prometheus: {}}
    - {name: other, prometheus: {}}
    - {name: file, envoyFileAccessLog: {path: /one}}
    DEFAULTS
"""


def _world(*telemetries: str, defaults: str = "") -> World:
    found = [_MESH.replace("DEFAULTS", defaults)]
    for index, text in enumerate(telemetries):
        namespace, selector, spec = text.split("|")
        chosen = f"selector: {{matchLabels: {{{selector}}}}}, " if selector else ""
        found.append(
            "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\n"
            f"metadata: {{name: t{index}, namespace: {namespace}}}\n"
            f"spec: {{{chosen}metrics: [{spec}]}}\n"
        )
    return meshes.world("\n---\n".join(found))


def _changes(world: World, side: Side = "SERVER") -> Any:
    view = world.view()
    return metrics(view, reporting(view, "ns", _APP, side))


_ON = "{providers: [{name: prometheus}]}"
_ALL_OFF = "{overrides: [{disabled: true}]}"
_SERVER_OFF = "{overrides: [{match: {mode: SERVER}, disabled: true}]}"
_SIZE_OFF = "{overrides: [{match: {metric: REQUEST_SIZE}, disabled: true}]}"
_SIZE_ON = "{overrides: [{match: {metric: REQUEST_SIZE}, disabled: false}]}"


@pytest.mark.parametrize(
    ("telemetries", "defaults", "expected"),
    [
        # As Istio is installed.
        ([], "", (Changes(),)),
        ([], "defaultProviders: {accessLogging: [file]}", ()),
        ([], "defaultProviders: {metrics: [other, prometheus]}", (Changes(), Changes())),
        # A provider that is no Prometheus, or nobody, has no metrics.
        (["istio-system||{providers: [{name: file}]}"], "", ()),
        (["istio-system||{providers: [{name: nobody}]}"], "", ()),
        (["ns||" + _ALL_OFF], "", ()),
        (["ns||" + _SERVER_OFF], "", ()),
        (["istio-system||" + _ON, "ns|app: a|" + _ALL_OFF], "", ()),
        (["istio-system||" + _ON, "ns|app: b|" + _ALL_OFF], "", (Changes(),)),
        (
            ["ns||{reportingInterval: 7s}"],
            "",
            (Changes(interval=7.0),),
        ),
        (
            ["istio-system||" + _SIZE_OFF],
            "",
            (Changes(of=(("REQUEST_SIZE", Change(disabled=True)),)),),
        ),
        # The narrower has the last word.
        (["istio-system||" + _SIZE_OFF, "ns||" + _SIZE_ON], "", (Changes(),)),
    ],
)
def test_which_metrics_there_are(telemetries: list[str], defaults: str, expected: Any) -> None:
    assert _changes(_world(*telemetries, defaults=defaults)) == expected


def test_sides_are_told_apart() -> None:
    world = _world("ns||" + _SERVER_OFF)
    assert _changes(world, "SERVER") == ()
    assert _changes(world, "CLIENT") == (Changes(),)


_TAGS = """{overrides: [
  {match: {metric: REQUEST_COUNT}, tagOverrides: {
    response_flags: {operation: REMOVE},
    no_standard_tag: {operation: REMOVE},
    tenant: {value: "request.headers['x-tenant']"},
    where: {value: "'here'"},
    odd: {value: "request.duration + duration('1s')"}}},
  {tagOverrides: {source_cluster: {operation: REMOVE}}}]}"""


def test_tags_are_set_and_removed_as_far_as_that_needs_no_cel() -> None:
    [found] = _changes(_world("ns||" + _TAGS.replace("\n", " ")))
    changed = dict(found.of)
    assert len(changed) == 10
    assert changed["TCP_SENT_BYTES"] == Change(tags=(("source_cluster", None),))
    assert dict(changed["REQUEST_COUNT"].tags) == {
        "response_flags": None,
        "source_cluster": None,
        "tenant": "request.headers['x-tenant']",
        "where": "'here'",
    }
