"""controlplane.commands.version: of this program, and of the mesh."""

from __future__ import annotations

import json

import pytest

from controlplane.commands import version
from mesh import __version__
from tests.support.status_port import StatusPort

PROXIES = [
    {"proxy": "a.default", "istio_version": "1.32.0", "agent": "envoy/1.40.0"},
    {"proxy": "b.default", "istio_version": "", "agent": "envoy/1.40.0"},
    {"proxy": "c.default", "istio_version": "", "agent": "envoy/1.40.0"},
    {"proxy": "d.default", "istio_version": "", "agent": ""},
]


def test_of_the_mesh(capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"control": {"version": "1.2.3"}, "proxies": PROXIES}
    with StatusPort({"/api/v1/proxies": answer}) as port:
        assert version.main(["--remote", "--control", port.url]) == 0
        assert capsys.readouterr().out.splitlines() == [
            f"client version: {__version__}",
            "control plane version: 1.2.3",
            "data plane version: - (1 proxies), 1.32.0 (1 proxies), envoy/1.40.0 (2 proxies)",
        ]
        assert version.main(["--remote", "-o", "json", "--control", port.url]) == 0
        assert json.loads(capsys.readouterr().out)["proxies"][0] == {
            "proxy": "a.default", "version": "1.32.0",
        }  # fmt: skip


def test_of_this_program_nobody_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert version.main(["--short"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"
    assert version.main(["-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"client": __version__}


def test_without_a_control_plane(capsys: pytest.CaptureFixture[str]) -> None:
    assert version.main(["--remote", "--control", "x"]) == 1
    assert "is no address of a control plane" in capsys.readouterr().err
