"""A mesh on this machine: the control plane and programs in it, as a user would start them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.ports import free_port
from tests.support.proxies import ENVOY, die_with_parent, envoy_binary

_SECONDS = 60.0
#: A program that answers with its name and the headers that it got.
APPLICATION = """
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = json.dumps({"name": sys.argv[1], "path": self.path, "headers": dict(self.headers)})
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
    do_POST = do_DELETE = do_GET
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


class Mesh:
    """As a context. `kind` says whose sidecars."""

    def __init__(self, directory: Path, kind: str, *flags: str) -> None:
        self.directory = directory
        self.config = directory / "config"
        self.state = directory / "state"
        self.config.mkdir()
        self.kind = kind
        self.ports = {name: free_port() for name in ("secure", "join", "debug")}
        self._flags = flags
        self._processes: list[subprocess.Popen[bytes]] = []
        #: By name, those that were started.
        self.workloads: dict[str, Workload] = {}
        self.control: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        self.start_control()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Programs first: their agents say goodbye.
        for process in reversed(self._processes):
            process.terminate()
        for process in reversed(self._processes):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()

    def start_control(self) -> None:
        """Starts the control plane, again if it was stopped."""
        addresses = [
            part
            for name, port in self.ports.items()
            for part in (f"--{name}-address", f"127.0.0.1:{port}")
        ]
        self.control = self.start(
            "control", "control", "--config", str(self.config), "--state", str(self.state),
            *addresses, *self._flags,
        )  # fmt: skip
        until(lambda: self.debug("/ready") is not None, "the control plane is not ready", self.log)

    def write(self, name: str, text: str) -> None:
        """Moves a file of configuration into place."""
        beside = self.config / f".{name}.new"
        beside.write_text(text)
        beside.replace(self.config / name)

    def run(
        self, service: str, *flags: str, version: str = "v1", command: list[str] | None = None
    ) -> Workload:
        """A program in the mesh; ready when this returns."""
        workload = self.begin(service, *flags, version=version, command=command)
        self.wait(workload)
        return workload

    def begin(
        self,
        service: str,
        *flags: str,
        version: str = "v1",
        account: str = "",
        command: list[str] | None = None,
    ) -> Workload:
        """A program in the mesh; ready when `wait` says so."""
        name = f"{service}-{version}"
        program = command or [sys.executable, "-c", APPLICATION, name]
        who = ("default", account or service)
        labels = ["--service", service, "--version", version]
        return self._begin(name, who, labels, *flags, "--", *program)

    def begin_gateway(self, service: str, namespace: str, *labels: str) -> Workload:
        """A gateway; ready when `wait` says so. `labels`: flags."""
        own = ["--service", service, *labels]
        return self._begin(service, (namespace, service), own, "--gateway")

    def wait(self, workload: Workload) -> None:
        """Until it is in the mesh."""
        name = workload.name
        until(lambda: "is in the mesh" in self.log(name), f"{name} is not ready", self.log)

    def _begin(self, name: str, who: tuple[str, str], labels: list[str], *flags: str) -> Workload:
        """`who`: namespace and account. `labels`: what it may call itself, as flags."""
        namespace, account = who
        join = self.directory / f"{name}.join"
        self.mesh(
            "token", "create", "--state", str(self.state), "--service-account", account,
            "-n", namespace, *labels, "--control", f"127.0.0.1:{self.ports['secure']}",
            "--join", f"127.0.0.1:{self.ports['join']}", "-o", str(join),
        )  # fmt: skip
        workload = Workload(name, free_port(), free_port())
        if self.kind == ENVOY:
            flags_of_envoy = "-l warning --concurrency 1 --use-dynamic-base-id --drain-time-s 8"
            proxy = ["--proxy", f"{envoy_binary()} {flags_of_envoy}"]
        else:
            ours = f"{sys.executable} -m mesh.cli proxy --concurrency 1 --drain-time-s 8"
            proxy = ["--proxy", ours]
        workload.process = self.start(
            name, "run", "--join", str(join), *labels, "--name", name,
            "--http-proxy-port", str(workload.http_proxy), "--admin-port", str(workload.admin),
            *proxy, *flags,
        )  # fmt: skip
        self.workloads[name] = workload
        return workload

    def mesh(self, *arguments: str) -> str:
        """Runs `mesh`, to its end; its output."""
        done = self.command(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def command(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Runs `mesh` for this mesh, to its end."""
        control = f"http://127.0.0.1:{self.ports['debug']}"
        return subprocess.run(
            [sys.executable, "-m", "mesh.cli", *arguments],
            input=text, capture_output=True, text=True, timeout=_SECONDS, check=False,
            env={**os.environ, "MESH_CONFIG": str(self.config), "MESH_CONTROL": control},
        )  # fmt: skip

    def debug(self, path: str) -> Any:
        """What the status port answers; None if it does not."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["debug"], timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                return None
            return json.loads(body) if path.startswith(("/debug", "/api")) else body.decode()
        except OSError:
            return None
        finally:
            connection.close()

    def log(self, name: str = "") -> str:
        """What a process has said; of all without a name."""
        names = [name] if name else [one.stem for one in sorted(self.directory.glob("*.log"))]
        return "\n".join((self.directory / f"{one}.log").read_text() for one in names)

    def start(self, name: str, *arguments: str, group: bool = False) -> subprocess.Popen[bytes]:
        """Runs `mesh` beside the test; what it says is the log of this name. `group`: in a process
        group of its own."""
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "mesh.cli", *arguments],
                stdout=log, stderr=log, preexec_fn=die_with_parent, env=os.environ,
                process_group=0 if group else None,
            )  # fmt: skip
        self._processes.append(process)
        return process


class Workload:
    """One program in the mesh."""

    process: subprocess.Popen[bytes]

    def __init__(self, name: str, http_proxy: int, admin: int) -> None:
        self.name = name
        self.http_proxy = http_proxy
        self.admin = admin

    def get(
        self, host: str, path: str = "/", method: str = "GET", headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """A request by this program's HTTP proxy: (status, the body, as JSON if it is)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_proxy, timeout=10)
        try:
            connection.request(method, f"http://{host}{path}", headers=headers or {})
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        try:
            return response.status, json.loads(body)
        except ValueError:
            return response.status, body.decode(errors="replace")

    def stats(self, pattern: str) -> dict[str, int]:
        """The sidecar's counters and gauges whose names hold `pattern`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=5)
        connection.request("GET", "/stats")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        pairs = (line.rpartition(": ") for line in lines)
        return {
            name: int(value) for name, _, value in pairs if pattern in name and value.isdecimal()
        }


def until(true: Any, what: str, log: Any = None) -> Any:
    """Waits for a condition. What it was when it became true."""
    deadline = time.monotonic() + _SECONDS
    while True:
        with contextlib.suppress(OSError, AssertionError, http.client.HTTPException):
            found = true()
            if found:
                return found
        assert time.monotonic() < deadline, f"{what}\n{log()[-6000:] if log else ''}"
        time.sleep(0.02)
