"""Fixtures: a recording upstream and a factory of our processes that never outlive a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import config
from tests.support.ports import free_port
from tests.support.proxies import OURS, Proxy
from tests.support.upstream import Upstream

StartMesh = Callable[..., Proxy]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """One recording upstream."""
    with Upstream() as up:
        yield up


@pytest.fixture
def upstream_b() -> Iterator[Upstream]:
    """Another one."""
    with Upstream() as up:
        yield up


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartMesh]:
    """Start `mesh proxy` on a bootstrap; all are stopped at the end."""
    running: list[Proxy] = []

    def run(bootstrap: str, admin_port: int, *flags: str, **more: Any) -> Proxy:
        proxy = Proxy(OURS, bootstrap, tmp_path / f"p{len(running)}", admin_port, *flags, **more)
        running.append(proxy)
        proxy.wait_ready()
        return proxy

    yield run
    for proxy in running:
        proxy.stop()


class Simple:
    """A process with one listener, everything to one upstream."""

    def __init__(self, start: StartMesh, upstream: Upstream) -> None:
        self._start = start
        self.upstream = upstream
        self.port = free_port()
        self.admin_port = free_port()

    def __call__(
        self,
        *flags: str,
        manager: dict[str, Any] | None = None,
        cluster: dict[str, Any] | None = None,
        route: dict[str, Any] | None = None,
        **more: Any,
    ) -> Proxy:
        """Start it, with further fields of the HCM, the cluster and the route's action."""
        routes = config.route_config("local", config.route("/", "up", **(route or {})))
        text = config.bootstrap(
            self.admin_port,
            [config.listener("web", self.port, config.hcm(routes, **(manager or {})))],
            [config.cluster("up", self.upstream.port, **(cluster or {}))],
        )
        return self._start(text, self.admin_port, *flags, **more)


@pytest.fixture
def simple(start: StartMesh, upstream: Upstream) -> Simple:
    """The simplest process; call it to start it."""
    return Simple(start, upstream)
