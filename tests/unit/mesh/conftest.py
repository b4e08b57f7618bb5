"""The Python side is tested against a fake core: nothing here needs Rust to be built."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from tests.unit.mesh import fake

if importlib.util.find_spec("mesh._fastpath") is None:
    sys.modules["mesh._fastpath"] = fake  # type: ignore[assignment]

from mesh import engine


@pytest.fixture(autouse=True)
def core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever core is installed, the tests see the fake."""
    for name in engine.__all__:
        monkeypatch.setattr(engine, name, getattr(fake, name))
    fake.LOG.clear()
    fake.set_log_level("", "info")
