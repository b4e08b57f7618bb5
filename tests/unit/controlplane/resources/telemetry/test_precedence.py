"""What several Telemetries make of spans, against the rule written once more: each setting is what
the narrowest says that says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.common.target import PolicyTargetReference
from controlplane.resources.mesh_config import apply
from controlplane.resources.resource import Key, Resource
from controlplane.resources.telemetry.schema import (
    ModeSelector,
    ProviderRef,
    Telemetry,
    Tracing,
)
from controlplane.resources.telemetry.select import reporting, spans
from controlplane.world.world import World

_SPACES = ("ns", "other", "istio-system")
_LABELS = (("app", "x"), ("gateway.networking.k8s.io/gateway-name", "edge"))
Mode = Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"]


@dataclass(frozen=True)
class Made:
    """A Telemetry with one entry about spans."""

    namespace: str
    created: int
    #: Labels, the name of a gateway, or None: for all.
    chosen: tuple[tuple[str, str], ...] | str | None
    mode: Mode
    provider: str
    sampling: float | None
    disabled: bool | None

    def resource(self, name: str) -> Resource[Telemetry]:
        tracing = Tracing(
            match=ModeSelector(self.mode),
            providers=(ProviderRef(self.provider),) if self.provider else (),
            random_sampling_percentage=self.sampling,
            disable_span_reporting=self.disabled,
        )
        selector = PolicySelector(dict(self.chosen)) if isinstance(self.chosen, tuple) else None
        references = (
            (PolicyTargetReference("Gateway", self.chosen, "gateway.networking.k8s.io"),)
            if isinstance(self.chosen, str)
            else ()
        )
        spec = Telemetry(selector=selector, target_refs=references, tracing=(tracing,))
        return Resource(Key("Telemetry", self.namespace, name), spec, created=float(self.created))

    def selects(self) -> bool:
        if isinstance(self.chosen, str):
            return self.chosen == "edge"
        return self.chosen is not None and set(self.chosen) <= set(_LABELS)


_MADE = st.builds(
    Made,
    st.sampled_from(_SPACES),
    st.integers(0, 2),
    st.sampled_from([None, None, (("app", "x"),), (("app", "y"),), "edge", "inner"]),
    st.sampled_from(["CLIENT_AND_SERVER", "CLIENT", "SERVER"]),
    st.sampled_from(["", "one", "two"]),
    st.sampled_from([None, 1.0, 50.0]),
    st.sampled_from([None, None, True, False]),
)
_CONFIG, _ = apply(
    {
        "extensionProviders": [
            {"name": "one", "datadog": {"service": "d.example", "port": 1}},
            {"name": "two", "datadog": {"service": "d.example", "port": 2}},
        ]
    }
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(_MADE, max_size=6),
    st.sampled_from(_SPACES),
    st.sampled_from(["CLIENT", "SERVER"]),
)
def test_the_narrowest_that_says_it(
    made: list[Made], namespace: str, side: Literal["CLIENT", "SERVER"]
) -> None:
    world = World()
    resources = sorted(
        ((one, one.resource(f"t{index}")) for index, one in enumerate(made)),
        key=lambda pair: (pair[0].created, pair[0].namespace, pair[1].name),
    )
    world.change([resource for _, resource in resources], facts={"mesh-config": _CONFIG})
    in_order = [one for one, _ in resources]
    levels = [
        [one for one in in_order if one.namespace == place and one.chosen is None][:1]
        for place in dict.fromkeys(("istio-system", namespace))
    ]
    levels.append([one for one in in_order if one.namespace == namespace and one.selects()])
    said = [one for level in levels for one in level if one.mode in {"CLIENT_AND_SERVER", side}]
    provider = ([one.provider for one in said if one.provider] or [""])[-1]
    disabled = ([one.disabled for one in said if one.disabled is not None] or [False])[-1]
    sampling = ([one.sampling for one in said if one.sampling is not None] or [None])[-1]
    view = world.view()
    found = spans(view, reporting(view, namespace, _LABELS, side))
    if disabled or not provider:
        assert found is None
    else:
        assert found is not None
        assert (found.provider.name, found.sampling) == (provider, sampling)
