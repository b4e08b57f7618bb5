"""Shape of Sidecar: what is read into what, and what is refused before any rule."""

from typing import Any

import pytest

from controlplane.resources.common.destination import Destination
from controlplane.resources.common.port import SidecarPort
from controlplane.resources.schema import decode
from controlplane.resources.sidecar.schema import (
    IstioEgressListener,
    IstioIngressListener,
    OutboundTrafficPolicy,
    Sidecar,
)


def test_a_whole_one() -> None:
    value = {
        "ingress": [{"port": {"number": 80}, "captureMode": "IPTABLES"}],
        "egress": [{"hosts": ["./*"]}],
        "outboundTrafficPolicy": {"mode": "ALLOW_ANY", "egressProxy": {"host": "a"}},
    }
    result, problems = decode(Sidecar, value, "spec")
    assert problems == []
    assert result == Sidecar(
        ingress=(IstioIngressListener(SidecarPort(80), capture_mode="IPTABLES"),),
        egress=(IstioEgressListener(("./*",)),),
        outbound_traffic_policy=OutboundTrafficPolicy("ALLOW_ANY", Destination("a")),
    )


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ({"ingress": [{}]}, "spec.ingress[0].port", "is required"),
        ({"egress": [{}]}, "spec.egress[0].hosts", "is required"),
        (
            {"outboundTrafficPolicy": {"mode": "ALLOW_ANY_DYNAMIC_DNS"}},
            "spec.outboundTrafficPolicy.mode",
            "must be one of REGISTRY_ONLY, ALLOW_ANY; is 'ALLOW_ANY_DYNAMIC_DNS'",
        ),
        (
            {"egress": [{"hosts": [], "captureMode": "x"}]},
            "spec.egress[0].captureMode",
            "must be one of DEFAULT, IPTABLES, NONE; is 'x'",
        ),
    ],
)
def test_what_is_refused(value: dict[str, Any], path: str, reason: str) -> None:
    result, problems = decode(Sidecar, value, "spec")
    assert result is None
    assert [(one.path, one.reason) for one in problems] == [(path, reason)]
