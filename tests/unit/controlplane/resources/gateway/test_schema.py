"""Shape of Gateway: what is read into what, and what is refused before any rule."""

from typing import Any

import pytest

from controlplane.resources.common.port import ServerPort
from controlplane.resources.common.tls import ServerTLSSettings
from controlplane.resources.gateway.schema import Gateway, Server
from controlplane.resources.schema import decode


def test_a_whole_one() -> None:
    value = {
        "selector": {"istio": "ingressgateway"},
        "servers": [
            {
                "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
                "hosts": ["*"],
                "tls": {"mode": "SIMPLE", "credentialName": "c", "httpsRedirect": False},
            }
        ],
    }
    result, problems = decode(Gateway, value, "spec")
    assert problems == []
    assert result == Gateway(
        selector={"istio": "ingressgateway"},
        servers=(
            Server(
                port=ServerPort(443, "HTTPS", "https"),
                hosts=("*",),
                tls=ServerTLSSettings(mode="SIMPLE", credential_name="c"),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ({"servers": [{"hosts": ["*"]}]}, "spec.servers[0].port", "is required"),
        (
            {"servers": [{"port": {"number": 80, "name": "a", "protocol": "HTTP"}}]},
            "spec.servers[0].hosts",
            "is required",
        ),
        (
            {"servers": [{"port": {"number": 80, "protocol": "HTTP"}, "hosts": []}]},
            "spec.servers[0].port.name",
            "is required",
        ),
        (
            {"servers": [{"port": {"number": -1, "name": "a", "protocol": "HTTP"}, "hosts": []}]},
            "spec.servers[0].port.number",
            "must be from 0 to 4294967295, is -1",
        ),
        (
            {"servers": [{"port": {"number": "80", "name": "a", "protocol": "HTTP"}, "hosts": []}]},
            "spec.servers[0].port.number",
            "must be a whole number, is '80'",
        ),
    ],
)
def test_what_is_refused(value: dict[str, Any], path: str, reason: str) -> None:
    result, problems = decode(Gateway, value, "spec")
    assert result is None
    assert [(one.path, one.reason) for one in problems] == [(path, reason)]
