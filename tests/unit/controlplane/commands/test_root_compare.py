"""controlplane.commands.root_compare: roots in common, or none."""

from __future__ import annotations

import base64

import pytest

from controlplane.ca.authority import new_root, pem
from controlplane.commands import proxy_config
from tests.support.status_port import StatusPort

ONE, TWO = (pem(new_root(name)[0]) for name in ("one", "two"))


def dump(roots: bytes) -> dict[str, object]:
    trusted = {"inline_bytes": base64.b64encode(roots).decode()}
    secret = {"name": "ROOTCA", "validation_context": {"trusted_ca": trusted}}
    kind = "type.googleapis.com/envoy.admin.v3.SecretsConfigDump"
    return {"configs": [{"@type": kind, "dynamic_active_secrets": [{"secret": secret}]}]}


@pytest.mark.parametrize(
    ("first", "second", "code", "says"),
    [
        (ONE, ONE, 0, "a.default and b.default have the same roots: "),
        (ONE, ONE + TWO, 0, "a.default and b.default have a root in common: "),
        (ONE, TWO, 1, "a.default and b.default have no root in common: no connection between"),
        (ONE, b"", 1, "b.default has no roots: its secret ROOTCA is not there yet"),
    ],
)
def test_each(
    capsys: pytest.CaptureFixture[str], first: bytes, second: bytes, code: int, says: str
) -> None:
    with (
        StatusPort({"/config_dump": dump(first)}) as a,
        StatusPort({"/config_dump": dump(second)}) as b,
    ):
        proxies = [
            {"proxy": "a.default", "identity": "a", "admin": a.address},
            {"proxy": "b.default", "identity": "b", "admin": b.address},
        ]
        with StatusPort({"/api/v1/proxies": {"proxies": proxies}}) as control:
            words = ["rootca-compare", "a", "b", "--control", control.url]
            assert proxy_config.main(words) == code
    out, error = capsys.readouterr()
    assert (error if code else out).startswith(says)
