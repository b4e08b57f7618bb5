"""The fixture that tests of HTTP/2 share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartMesh
from tests.integration.http2.bridge import Bridge


@pytest.fixture
def bridge(start: StartMesh, tmp_path: Path) -> Iterator[Bridge]:
    """Not started yet."""
    bridge = Bridge(start, tmp_path)
    yield bridge
    bridge.stop()
