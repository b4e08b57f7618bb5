"""Options shared by all tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the differential tests."""
    parser.addoption(
        "--update-oracle",
        action="store_true",
        help="write what the stock Envoy does into tests/differential/oracle",
    )
