"""`mesh demo`: three upstreams, a proxy, real traffic; says what happened and where to look.

Everything runs in a directory of its own under /tmp, with copies of `examples/`.
"""

from __future__ import annotations

import argparse
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import TextIO

UPSTREAMS = {"users": 18081, "orders-v1": 18082, "orders-v2": 18083}
PROXY_PORT = 10000
ADMIN_PORT = 9901
#: For the proxy to become ready, or for a change to show.
PATIENCE = 30.0


class Failed(Exception):
    """The demo cannot go on; `str()` says why."""


class Upstream(http.server.ThreadingHTTPServer):
    """An HTTP/1.1 service that says who it is and what it was asked."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        super().__init__(("127.0.0.1", port), UpstreamHandler)


class UpstreamHandler(http.server.BaseHTTPRequestHandler):
    """Answers every GET with JSON."""

    protocol_version = "HTTP/1.1"
    #: Buffered: head and body leave in one packet.
    wbufsize = -1
    server: Upstream

    def do_GET(self) -> None:
        seen = {"service": self.server.name, "path": self.path, "x-demo": self.headers["x-demo"]}
        body = json.dumps(seen).encode() + b"\n"
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """The proxy's access log is the one to look at."""


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def get(self, path: str, method: str = "GET") -> tuple[int, dict[str, str], str]:
        """(status, headers, body)"""
        self._connection.request(method, path)
        response = self._connection.getresponse()
        body = response.read().decode()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, body

    def close(self) -> None:
        self._connection.close()


class Load:
    """Requests without a pause on a few connections, each answer looked at, until `stop`."""

    def __init__(self, port: int, path: str, connections: int = 4) -> None:
        self.answers: Counter[str] = Counter()
        self.lost: list[str] = []
        self._port = port
        self._path = path
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(connections)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        client = Client(self._port)
        while not self._stop.is_set():
            try:
                status, _, body = client.get(self._path)
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                client.close()
                continue
            if status == 200:
                self.answers[json.loads(body)["service"]] += 1
            else:
                self.lost.append(f"status {status}")
        client.close()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


class Demo:
    """The proxy under show, and the score."""

    def __init__(self, directory: Path, proxy: list[str], out: TextIO) -> None:
        self.directory = directory
        self.failures = 0
        self.port = PROXY_PORT
        self.admin = ADMIN_PORT
        self._out = out
        self._proxy = proxy
        self._process: subprocess.Popen[bytes] | None = None
        self._upstreams: list[Upstream] = []
        self._step = 0

    # -- what is printed --

    def step(self, title: str) -> None:
        self._step += 1
        self.say(f"\n{self._step}. {title}")

    def say(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def check(self, good: bool, text: str) -> None:
        self.failures += not good
        self.say(f"   {'ok    ' if good else 'FAILED'} {text}")

    def show(self, lines: list[str]) -> None:
        for line in lines:
            self.say(f"   | {line}")

    # -- its life --

    def start(self, examples: Path) -> None:
        """Upstreams, then the proxy, then wait until it is live. Raises Failed."""
        own = self.directory / "examples"
        shutil.copytree(examples, own)
        ports = self._choose_ports()
        for name in UPSTREAMS:
            upstream = Upstream(name, ports[UPSTREAMS[name]])
            self._upstreams.append(upstream)
            threading.Thread(target=upstream.serve_forever, daemon=True).start()
            self.say(f"   {name:<10} http://127.0.0.1:{upstream.server_port}")
        config = own / "envoy.yaml"
        text = config.read_text()
        for default, chosen in ports.items():
            text = text.replace(f"port_value: {default}}}", f"port_value: {chosen}}}")
        config.write_text(text)
        self.port, self.admin = ports[PROXY_PORT], ports[ADMIN_PORT]
        command = [*self._proxy, "-c", "examples/envoy.yaml", "--drain-time-s", "10"]
        self.say(f"   $ cd {self.directory} && {' '.join(command)}")
        with self._log("stdout").open("wb") as out, self._log("stderr").open("wb") as err:
            # A session of its own: Ctrl-C is for the demo, which then ends the proxy.
            self._process = subprocess.Popen(
                command, cwd=self.directory, stdout=out, stderr=err, start_new_session=True
            )
        self.wait_for("the proxy to be ready", self._ready)

    def _choose_ports(self) -> dict[int, int]:
        """The ports that examples/ names, or free ones where they are taken."""
        chosen = {}
        for default in (*UPSTREAMS.values(), PROXY_PORT, ADMIN_PORT):
            chosen[default] = default if _is_free(default) else _free_port()
            if chosen[default] != default:
                self.say(f"   port {default} is taken: using {chosen[default]}")
        return chosen

    def _log(self, name: str) -> Path:
        return self.directory / f"proxy.{name}"

    def _ready(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        if code is not None:
            said = self._log("stderr").read_text(errors="replace")[-2000:]
            raise Failed(f"the proxy ended with exit code {code}:\n{said}")
        try:
            return self.ask_admin("/ready").startswith("LIVE")
        except OSError:
            return False

    def wait_for(self, what: str, happened: object) -> None:
        """Asks until it has happened. Raises Failed."""
        assert callable(happened)
        deadline = time.monotonic() + PATIENCE
        while not happened():
            if time.monotonic() > deadline:
                raise Failed(f"waited {PATIENCE:.0f} s for {what}; see {self._log('stderr')}")
            time.sleep(0.02)

    def ask_admin(self, path: str) -> str:
        client = Client(self.admin)
        try:
            return client.get(path)[2]
        finally:
            client.close()

    def stat(self, name: str) -> str:
        for line in self.ask_admin(f"/stats?filter={name}").splitlines():
            if line.startswith(f"{name}: "):
                return line.partition(": ")[2].strip('"')
        return ""

    def move_into_place(self, example: str) -> None:
        """What a configuration tool does: write beside, then rename."""
        folder = self.directory / "examples"
        shutil.copy(folder / example, folder / "next.yaml")
        os.replace(folder / "next.yaml", folder / "routes.yaml")

    def log_lines(self, name: str, containing: str) -> list[str]:
        lines = self._log(name).read_text(errors="replace").splitlines()
        return [line for line in lines if containing in line]

    def stop_proxy(self) -> int:
        """SIGTERM, and SIGKILL if it takes too long. Returns the exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def clean_up(self) -> None:
        self.stop_proxy()
        for upstream in self._upstreams:
            upstream.shutdown()
            upstream.server_close()


def routing(demo: Demo) -> None:
    client = Client(demo.port)
    demo.step("Routing by path, path rewrite, headers added")
    status, headers, body = client.get("/users/42")
    demo.show([f"GET /users/42 -> {status} {body.strip()}"])
    seen = json.loads(body) if status == 200 else {}
    demo.check(seen.get("service") == "users", "/users/ goes to the service `users`")
    demo.check(seen.get("path") == "/42", "which sees the path /42")
    demo.check(seen.get("x-demo") == "added-by-the-proxy", "and the header x-demo")
    demo.check(headers.get("x-answered") == "yes", "the answer carries x-answered")

    demo.step("Redirect, direct response, no route")
    status, headers, _ = client.get("/old-orders")
    location = headers.get("location", "")
    demo.check(status == 301 and location.endswith("/orders"), f"301 to {location}")
    status, _, body = client.get("/hello")
    demo.check((status, body) == (200, "hello from the proxy itself\n"), f"200 {body.strip()}")
    status, _, _ = client.get("/nowhere")
    demo.check(status == 404, f"{status} for what no route matches")

    demo.step("A weighted split, 90 to 10")
    count: Counter[str] = Counter()
    for _ in range(1000):
        count[json.loads(client.get("/orders")[2])["service"]] += 1
    shares = ", ".join(f"{name} {number}" for name, number in sorted(count.items()))
    demo.check(850 <= count["orders-v1"] <= 950, f"of 1,000 requests: {shares}")
    client.close()


def changes(demo: Demo) -> None:
    scope = "http.ingress_http.rds.demo"
    demo.step("The routes change under load: all orders to v2, by moving a file into place")
    load = Load(demo.port, "/orders")
    try:
        demo.wait_for("some traffic", lambda: load.answers.total() > 200)
        demo.move_into_place("routes-2.yaml")
        demo.wait_for("version 2", lambda: demo.stat(f"{scope}.version_text").startswith("2"))
        before = load.answers["orders-v1"]
        after = load.answers.total()
        demo.wait_for("traffic on version 2", lambda: load.answers.total() > after + 200)
    finally:
        load.stop()
    late = load.answers["orders-v1"] - before
    demo.check(not load.lost, f"{load.answers.total()} requests, {len(load.lost)} lost")
    demo.show(load.lost[:3])
    demo.check(late <= 4, "orders-v1 got nothing more once version 2 was in use")

    demo.step("A broken configuration is refused, and what served before keeps serving")
    demo.move_into_place("routes-bad.yaml")
    demo.wait_for("the refusal", lambda: demo.stat(f"{scope}.update_rejected") == "1")
    demo.show(demo.log_lines("stderr", "rejected")[-1:])
    demo.check(bool(demo.log_lines("stderr", "rejected")), "the log says what is wrong and where")
    version = demo.stat(f"{scope}.version_text")
    demo.check(version.startswith("2"), f"in use: version '{version}'")
    client = Client(demo.port)
    demo.check(client.get("/orders")[0] == 200, "and it answers")
    client.close()


def where_to_look(demo: Demo) -> None:
    demo.step("Access log, statistics, clusters")
    demo.wait_for("the access log", lambda: demo.log_lines("stdout", "/users/42"))
    demo.show(demo.log_lines("stdout", "/users/42")[:1])
    demo.check(True, f"one line per request in {demo.directory}/proxy.stdout")
    names = "downstream_rq_2xx|downstream_rq_3xx|downstream_rq_4xx|downstream_rq_total"
    lines = demo.ask_admin(f"/stats?filter=^http.ingress_http.({names})$").splitlines()
    demo.show(lines)
    demo.check(len(lines) == 4, f"http://127.0.0.1:{demo.admin}/stats")
    lines = demo.ask_admin("/clusters").splitlines()
    lines = [line for line in lines if "::rq_success::" in line]
    demo.show(lines)
    demo.check(len(lines) == 3, f"http://127.0.0.1:{demo.admin}/clusters")


def tour(demo: Demo, examples: Path) -> None:
    """All steps. Raises Failed."""
    demo.step("Three services, and a proxy with an ordinary Envoy configuration")
    demo.start(examples)
    demo.check(True, f"live; it listens on http://127.0.0.1:{demo.port}")
    routing(demo)
    changes(demo)
    where_to_look(demo)


def stay(demo: Demo) -> None:
    base, admin = f"http://127.0.0.1:{demo.port}", f"http://127.0.0.1:{demo.admin}"
    demo.say(
        f"\nIt stays up until Ctrl-C. Try:\n"
        f"   curl -i {base}/users/42\n"
        f"   curl -i {base}/hello\n"
        f"   curl {admin}/help\n"
        f"   curl {admin}/config_dump?resource=dynamic_route_configs\n"
        f"Change the routes, under load if you like (a move, not a write in place, as in Envoy):\n"
        f"   cd {demo.directory}/examples && cp routes-2.yaml next && mv next routes.yaml\n"
        f"Log: {demo.directory}/proxy.stderr, access log: {demo.directory}/proxy.stdout"
    )
    while demo.is_running():
        time.sleep(0.2)
    raise Failed(f"the proxy has ended; see {demo.directory}/proxy.stderr")


def main(argv: list[str]) -> int:
    """Exit code 0 if every check was good."""
    parser = argparse.ArgumentParser(prog="mesh demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the last check")
    parser.add_argument(
        "--examples", type=Path, default=Path("examples"), help="the folder (default: ./examples)"
    )
    parser.add_argument(
        "--proxy",
        help="another proxy to show, e.g. the stock Envoy: it takes the same configuration",
    )
    options = parser.parse_args(argv)
    if not (options.examples / "envoy.yaml").is_file():
        print(
            f"mesh demo: there is no {options.examples}/envoy.yaml. Run it at the root of the "
            "repository, or say where that folder is: --examples DIRECTORY",
            file=sys.stderr,
        )
        return 1
    proxy = [options.proxy] if options.proxy else [sys.executable, "-m", "mesh.cli", "proxy"]
    signal.signal(signal.SIGTERM, _interrupt)
    with tempfile.TemporaryDirectory(prefix="mesh-demo-") as directory:
        demo = Demo(Path(directory), proxy, sys.stdout)
        try:
            tour(demo, options.examples)
            if not options.once:
                stay(demo)
            demo.step("SIGTERM: drain, then end")
            code = demo.stop_proxy()
            demo.check(code == 0, f"exit code {code}")
        except Failed as error:
            demo.check(False, str(error))
        except KeyboardInterrupt:
            demo.say("\nStopping.")
            demo.failures += options.once
        finally:
            demo.clean_up()
    if demo.failures:
        demo.say(f"\nNot everything worked: {demo.failures} FAILED or not reached.")
        return 1
    demo.say("\nAll checks passed." if options.once else "Cleaned up.")
    return 0


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
