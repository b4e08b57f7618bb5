"""Fixtures: the proxy under test and the servers behind it.

FASTMESH_CONFORMANCE_PROXY=envoy runs the suites against the stock Envoy, to try the suites
themselves. What Envoy is known to fail is marked with `fails_on_envoy` and expected then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.certs import Authority
from tests.support.nginx import Nginx
from tests.support.proxies import ENVOY, OURS, Proxy

KIND = os.environ.get("FASTMESH_CONFORMANCE_PROXY", OURS)
StartProxy = Callable[..., Proxy]
Say = Callable[[str], None]


_lines: list[str] = []


@pytest.fixture
def say() -> Say:
    """Puts a line into the summary at the end: figures worth reading when all is well, too."""
    return _lines.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The lines that were said."""
    if _lines:
        terminalreporter.section("conformance figures")
        for line in _lines:
            terminalreporter.write_line(line)


def fails_on_envoy(reason: str) -> pytest.MarkDecorator:
    """A mark for what Envoy does otherwise, sometimes or always."""
    return pytest.mark.xfail(KIND == ENVOY, reason=f"Envoy: {reason}", strict=False)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartProxy]:
    """Start a proxy on a bootstrap; all are stopped at the end."""
    running: list[Proxy] = []

    def run(bootstrap: str, admin_port: int, *flags: str) -> Proxy:
        proxy = Proxy(KIND, bootstrap, tmp_path / f"p{len(running)}", admin_port, *flags)
        running.append(proxy)
        proxy.wait_ready()
        return proxy

    yield run
    for proxy in running:
        proxy.stop()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A CA of this test's own."""
    return Authority(tmp_path / "certs")


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    """An upstream."""
    with Nginx(tmp_path / "nginx") as up:
        yield up
