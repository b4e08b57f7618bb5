"""Fixtures: a sidecar that ends TLS, one that begins it, and the authority of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartMesh
from tests.integration.tls.sidecars import Originator, Terminator
from tests.support.certs import Authority
from tests.support.upstream import Upstream


@pytest.fixture
def terminate(start: StartMesh, tmp_path: Path) -> Terminator:
    return Terminator(start, tmp_path)


@pytest.fixture
def ca(terminate: Terminator) -> Authority:
    return terminate.ca


@pytest.fixture
def originate(terminate: Terminator) -> Originator:
    return Originator(terminate)


@pytest.fixture
def secure(ca: Authority) -> Iterator[Upstream]:
    """A TLS upstream that wants a client certificate; it is host.test and localhost."""
    credential = ca.server("host")
    with Upstream(tls=credential.server_context(client_ca=ca.cert)) as up:
        yield up
