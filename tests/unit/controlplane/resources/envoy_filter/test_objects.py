"""Values of patches as Envoy's messages."""

import subprocess
import sys
from typing import Any

import pytest
from google.protobuf import json_format

from controlplane.resources.envoy_filter.objects import MESSAGES, Unreadable, build
from controlplane.resources.envoy_filter.schema import ApplyTo

HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."


def test_every_object_that_can_be_patched_has_its_message() -> None:
    assert set(MESSAGES) == set(ApplyTo.__args__) - {"INVALID"}
    for apply_to, name in MESSAGES.items():
        assert build(apply_to, {}).DESCRIPTOR.full_name == name


def test_both_spellings_and_typed_configs() -> None:
    value = {
        "filterChains": [
            {
                "filters": [
                    {
                        "name": "hcm",
                        "typed_config": {
                            "@type": f"{HCM}HttpConnectionManager",
                            "statPrefix": "a",
                            "http_filters": [
                                {
                                    "name": "router",
                                    "typed_config": {
                                        "@type": "type.googleapis.com/"
                                        "envoy.extensions.filters.http.router.v3.Router"
                                    },
                                }
                            ],
                        },
                    }
                ]
            }
        ]
    }
    built: Any = build("LISTENER", value)
    (chain,) = built.filter_chains
    assert chain.filters[0].typed_config.type_url == f"{HCM}HttpConnectionManager"
    back = json_format.MessageToDict(chain)
    assert back["filters"][0]["typedConfig"]["statPrefix"] == "a"


def test_durations_as_people_write_them() -> None:
    http = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    value = {
        "connect_timeout": "250ms",
        "outlierDetection": {"interval": "1m"},
        "health_checks": [{"timeout": "1.5s"}],
        "typed_extension_protocol_options": {
            http: {
                "@type": f"type.googleapis.com/{http}",
                "common_http_protocol_options": {"idle_timeout": "1h"},
            }
        },
    }
    built: Any = build("CLUSTER", value)
    assert built.connect_timeout.ToMilliseconds() == 250
    assert built.outlier_detection.interval.seconds == 60
    assert built.health_checks[0].timeout.ToMilliseconds() == 1500
    options = json_format.MessageToDict(built)["typedExtensionProtocolOptions"][http]
    assert options["commonHttpProtocolOptions"]["idleTimeout"] == "3600s"


def test_typed_structs_hold_what_we_do_not_know() -> None:
    value = {
        "name": "x",
        "typed_config": {
            "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
            "type_url": "type.googleapis.com/vendor.Filter",
            "value": {"inner": {"@type": "type.googleapis.com/vendor.Other"}},
        },
    }
    built: Any = build("HTTP_FILTER", value)
    assert built.typed_config.type_url.endswith("udpa.type.v1.TypedStruct")


@pytest.mark.parametrize(
    ("apply_to", "value", "path", "reason"),
    [
        ("CLUSTER", {"nam": "a"}, "", "has no field named"),
        ("CLUSTER", {"name": 1}, ".name", "expected string"),
        ("CLUSTER", {"type": "DNS"}, ".type", "Invalid enum value DNS"),
        (
            "LISTENER",
            {"filterChains": [{"filters": [{"nam": "a"}]}]},
            ".filterChains[0].filters[0]",
            "has no field named",
        ),
        (
            "HTTP_FILTER",
            {"typed_config": {"@type": "type.googleapis.com/vendor.v1.Filter"}},
            ".typed_config['@type']",
            "the type 'type.googleapis.com/vendor.v1.Filter' is not among Envoy's protobufs",
        ),
        (
            "HTTP_FILTER",
            {
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.config.filter.http.lua.v2.Lua",
                }
            },
            ".typed_config['@type']",
            "is of version 2 of Envoy's API, which is gone; use the v3 type",
        ),
        (
            "HTTP_FILTER",
            {"typed_config": {"inline_code": "x"}},
            ".typed_config",
            "@type is missing",
        ),
    ],
)
def test_unreadable(apply_to: str, value: dict[str, Any], path: str, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        build(apply_to, value)
    assert caught.value.path == path
    assert reason in caught.value.reason
    assert "Available Fields" not in caught.value.reason


@pytest.mark.parametrize("name", ["os.path.Path", "antigravity.A", "envoy.no.such.A", "..A", ""])
def test_names_of_types_import_nothing_but_protobufs(name: str) -> None:
    value = {"typed_config": {"@type": f"type.googleapis.com/{name}"}}
    with pytest.raises(Unreadable):
        build("HTTP_FILTER", value)
    assert "antigravity" not in sys.modules


def test_types_are_imported_when_they_are_named() -> None:
    program = """
import sys
from controlplane.resources.envoy_filter.objects import build
build("CLUSTER", {})
assert not any(".lua." in name for name in sys.modules)
lua = {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"}
build("HTTP_FILTER", {"typed_config": lua})
assert any(".lua." in name for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
