"""controlplane.descriptors: what is left for connections."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from controlplane import descriptors
from controlplane.xds.options import Limits


@pytest.mark.parametrize(
    ("files", "ports", "each", "join"),
    [
        (65_536, 1, 20_000, 1_000),
        (65_536, 2, 20_000, 1_000),
        (4_096, 1, 3_360, 480),
        (4_096, 2, 1_680, 480),
        (1_024, 1, 672, 96),
        (272, 1, 14, 2),
    ],
)
def test_what_files_allow(files: int, ports: int, each: int, join: int) -> None:
    found = descriptors.fitting(Limits(), files, ports)
    assert (found.connections, found.join_connections) == (each, join)
    assert found.connections * ports + found.join_connections < files


def test_too_few() -> None:
    with pytest.raises(ValueError, match="260 open files are too few for a control plane: raise"):
        descriptors.fitting(Limits(), 260, 1)


@pytest.mark.parametrize(("soft", "hard"), [(100, 400), (300, 300)])
def test_what_the_administrator_allows_is_taken(soft: int, hard: int) -> None:
    limits = (soft, hard)
    program = (
        "import resource; from controlplane import descriptors;"
        "print(descriptors.raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(hard)] * 3
