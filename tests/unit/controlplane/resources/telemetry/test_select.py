"""Which Telemetry says what: mesh, namespace, workload; the later over the earlier."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.resources.telemetry.select import Side, logs, reporting, spans
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
    - {name: one, envoyFileAccessLog: {path: /one}}
    - {name: two, envoyFileAccessLog: {path: /two}}
    - {name: spans, zipkin: {service: z.example, port: 9411}}
    DEFAULTS
"""


def _world(*telemetries: str, defaults: str = "") -> World:
    found = [_MESH.replace("DEFAULTS", defaults)]
    for index, text in enumerate(telemetries):
        namespace, selector, spec = text.split("|")
        metadata = f"{{name: t{index}, namespace: {namespace}}}"
        chosen = f"selector: {{matchLabels: {{{selector}}}}}, " if selector else ""
        found.append(
            "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\n"
            f"metadata: {metadata}\nspec: {{{chosen}{spec}}}\n"
        )
    return meshes.world("\n---\n".join(found))


def _logged(world: World, side: Side = "SERVER") -> Any:
    view = world.view()
    found = logs(view, reporting(view, "ns", _APP, side))
    return None if found is None else [one.provider.name for one in found if not one.disabled]


_ONE = "accessLogging: [{providers: [{name: one}]}]"
_TWO = "accessLogging: [{providers: [{name: TWO}]}]"
_OFF = "accessLogging: [{disabled: true}]"
_DEFAULT = "defaultProviders: {accessLogging: [one]}"


@pytest.mark.parametrize(
    ("telemetries", "defaults", "expected"),
    [
        ([], "", None),
        ([], _DEFAULT, ["one"]),
        (["istio-system||" + _ONE], "", ["one"]),
        # The narrower names providers, so those of the wider no longer count.
        (["istio-system||" + _ONE, "ns||" + _TWO], "", ["two"]),
        (["istio-system||" + _ONE, "ns||" + _OFF], "", []),
        (["istio-system||" + _OFF], _DEFAULT, []),
        (["istio-system||" + _ONE, "ns||" + _OFF, "ns|app: a|" + _TWO], "", ["two"]),
        (["istio-system||" + _ONE, "ns|app: b|" + _OFF], "", ["one"]),
        # Only the oldest of those that are for all.
        (["ns||" + _ONE, "ns||" + _TWO], "", ["one"]),
        # Selectors of the root namespace choose there only; other namespaces are not ours.
        (["istio-system|app: a|" + _ONE], "", None),
        (["other||" + _ONE], "", None),
        (["ns||accessLogging: [{providers: [{name: nobody}]}]"], "", None),
    ],
)
def test_which_log(telemetries: list[str], defaults: str, expected: Any) -> None:
    found = _logged(_world(*telemetries, defaults=defaults))
    assert found == expected or (expected == ["two"] and found == ["two"])


def test_by_side() -> None:
    world = _world(
        "ns||accessLogging: [{providers: [{name: one}], match: {mode: CLIENT}}, "
        "{providers: [{name: two}], match: {mode: SERVER}}]"
    )
    assert (_logged(world, "CLIENT"), _logged(world, "SERVER")) == (["one"], ["two"])


_SPANS = "tracing: [{providers: [{name: spans}]}]"


@pytest.mark.parametrize(
    ("telemetries", "expected"),
    [
        ([], None),
        (["istio-system||" + _SPANS], None),
        (
            ["istio-system||" + _SPANS, "ns||tracing: [{randomSamplingPercentage: 5}]"],
            5.0,
        ),
        (
            [
                "istio-system||" + _SPANS,
                "ns||tracing: [{randomSamplingPercentage: 5}]",
                "ns|app: a|tracing: [{randomSamplingPercentage: 0}]",
            ],
            0.0,
        ),
    ],
)
def test_sampling(telemetries: list[str], expected: float | None) -> None:
    view = _world(*telemetries).view()
    found = spans(view, reporting(view, "ns", _APP, "SERVER"))
    assert (found and found.sampling) == expected


def test_spans_can_be_switched_off_for_one_side() -> None:
    world = _world(
        "istio-system||" + _SPANS,
        "ns||tracing: [{match: {mode: CLIENT}, disableSpanReporting: true}]",
    )
    view = world.view()
    assert spans(view, reporting(view, "ns", _APP, "CLIENT")) is None
    assert spans(view, reporting(view, "ns", _APP, "SERVER")) is not None


def test_workloads_that_report_alike_share_their_listeners() -> None:
    view = _world("istio-system||" + _ONE).view()
    assert reporting(view, "a", _APP, "CLIENT") == reporting(view, "b", (), "CLIENT")
