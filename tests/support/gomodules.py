"""Modules of Go as data: what others publish and our tests read, fetched on first use.

Nothing of it is committed. The checksum is Go's own (`go mod download -json` prints it as Sum).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class GoModule:
    """A version of a module, and what it must contain."""

    path: str
    version: str
    sum: str


#: Istio's API with its CRDs. `go list -m -versions istio.io/api` names newer ones.
ISTIO_API = GoModule("istio.io/api", "v1.32.0", "h1:37mJvg9I0biYZAEQF+MATs4FNeCpXEIVO3LFpVb6iNM=")
#: Istio itself, for its samples.
ISTIO = GoModule(
    "istio.io/istio",
    "v0.0.0-20260827124520-eed52ebb66ad",
    "h1:ui9TJjRMAV/hb5ehQaZDq7IUGxuQP6dra9lapT/VjHI=",
)


@cache
def go_module(module: GoModule) -> Path:
    """Its folder, read-only; downloads it if this machine has not got it."""
    go = shutil.which("go")
    if go is None:
        raise RuntimeError(f"{module.path} comes by Go's proxy, and there is no `go`: install Go")
    argv = [go, "mod", "download", "-json", f"{module.path}@{module.version}"]
    # Outside of any module, so that nobody's go.mod has a say.
    done = subprocess.run(
        argv,
        cwd="/",
        env={**os.environ, "GOFLAGS": "-mod=mod"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stdout[-1000:]} {done.stderr[-1000:]}")
    got = json.loads(done.stdout)
    if got["Sum"] != module.sum:
        raise RuntimeError(f"{module.path}@{module.version} has sum {got['Sum']}, not {module.sum}")
    return Path(got["Dir"])
