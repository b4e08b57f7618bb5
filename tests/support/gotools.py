"""Tools written in Go, built on first use into .cache/go/bin.

tests/conformance/tools/go.mod and go.sum pin them and all they are made of; small ones of our own
are beside these. An environment variable names a binary of yours instead: H2SPEC_BINARY,
INTEROP_CLIENT_BINARY, ...
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.support.proxies import REPO

_MODULE = REPO / "tests" / "conformance" / "tools"
_BIN = REPO / ".cache" / "go" / "bin"
_PACKAGES = {
    "go-control-plane": "github.com/envoyproxy/go-control-plane/pkg/test/main",
    "h2spec": "github.com/summerwind/h2spec/cmd/h2spec",
    "interop-client": "google.golang.org/grpc/interop/client",
    "interop-server": "google.golang.org/grpc/interop/server",
    "xds-client": "./xdsclient",
}


def go_tool(name: str) -> Path:
    """The binary of that tool; builds it if the pinned one is not there."""
    if given := os.environ.get(f"{name.upper().replace('-', '_')}_BINARY"):
        return Path(given)
    package = _PACKAGES[name]
    made_of = [_MODULE / "go.mod", _MODULE / "go.sum"]
    if package.startswith("."):
        made_of += sorted((_MODULE / package).glob("*.go"))
    pins = b"".join(file.read_bytes() for file in made_of)
    binary = _BIN / f"{name}-{hashlib.sha256(pins).hexdigest()[:12]}"
    if binary.exists():
        return binary
    go = shutil.which("go")
    if go is None:
        raise RuntimeError(f"{name} is built with Go, and there is no `go` on PATH: install Go")
    _BIN.mkdir(parents=True, exist_ok=True)
    with (_BIN.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            fresh = binary.with_suffix(".new")
            argv = [go, "build", "-trimpath", "-o", str(fresh), package]
            done = subprocess.run(argv, cwd=_MODULE, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{' '.join(argv)}: {done.stderr[-2000:]}")
            fresh.rename(binary)
    return binary
