"""Options shared by all tests."""

from __future__ import annotations

import os

import pytest

# Tests start proxies while a gRPC server runs here: gRPC's own handlers of fork() would run in the
# child, before it becomes the proxy, and fail there.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the differential tests."""
    parser.addoption(
        "--update-oracle",
        action="store_true",
        help="write what the stock Envoy does into tests/differential/oracle",
    )
