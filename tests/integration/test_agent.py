"""`mesh run` and what configures it, with real processes: probes of WorkloadGroups, ProxyConfig,
the status port, replicas, and programs that do not do as they should."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.manifests import service
from tests.support.mesh import Mesh, Workload, until
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS

SERVICES = service("reviews") + service("probed") + service("slow")
GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {{name: probed}}
spec:
  template: {{serviceAccount: probed, labels: {{app: probed}}}}
  probe: {{periodSeconds: 1, failureThreshold: 2, {check}}}
"""
HTTP_GET = "httpGet: {port: 9080, path: /healthy}"
#: Is healthy while there is a file.
MOODY = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        well = os.path.exists(sys.argv[1]) or self.path != "/healthy"
        self.send_response(200 if well else 500)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
#: Holds a request until there is a file, and ends at once when it is told to.
SLOW = """
import http.server, os, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/slow":
            open(sys.argv[1] + ".begun", "w").close()
            while not os.path.exists(sys.argv[1]):
                time.sleep(0.01)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("mesh"), OURS) as running:
        running.write("services.yaml", SERVICES)
        running.write("group.yaml", GROUP.format(check=HTTP_GET))
        yield running


@pytest.fixture(scope="module")
def client(mesh: Mesh) -> Workload:
    return mesh.run("client", command=["sleep", "600"])


def entries(mesh: Mesh) -> dict[str, Any]:
    return {one["proxy"]: one for one in mesh.debug("/api/v1/proxies")["proxies"]}


def child_of(process: subprocess.Popen[bytes], word: str) -> int:
    """The child whose command line has a word."""
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if path.name.isdecimal():
                parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
                if int(parent) == process.pid and word in (path / "cmdline").read_text().split(
                    "\0"
                ):
                    return int(path.name)
    raise AssertionError(f"no child {word}")


def environment_of(process: subprocess.Popen[bytes], word: str) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of this child."""
    path = Path(f"/proc/{child_of(process, word)}")
    pairs = (path / "environ").read_text().split("\0")
    variables = dict(one.split("=", 1) for one in pairs if "=" in one)
    return (path / "cmdline").read_text().split("\0"), variables


def test_a_group_probes_its_workloads(mesh: Mesh, client: Workload, tmp_path: Path) -> None:
    """In the endpoints while it is well; `mesh status` says why it is not. The probe changes while
    it runs."""
    mood = tmp_path / "well"
    program = [sys.executable, "-c", MOODY, str(mood)]
    workload = mesh.begin("probed", "--port", "9080:auto", command=program)
    until(lambda: "probed-v1.default: GET " in mesh.mesh("status"), "not ill", mesh.log)
    assert "is in the mesh" not in mesh.log("probed-v1")
    assert "/healthy was answered with 500" in mesh.mesh("status", "probed-v1")
    assert client.get("probed:9080")[0] == 503

    mood.touch()
    mesh.wait(workload)
    until(lambda: client.get("probed:9080")[0] == 200, "it does not come", mesh.log)
    assert "Unhealthy" not in mesh.mesh("status")

    mood.unlink()
    until(lambda: client.get("probed:9080")[0] == 503, "it does not go", mesh.log)
    assert entries(mesh)["probed-v1.default"]["unhealthy"].endswith("was answered with 500")
    mood.touch()
    until(lambda: client.get("probed:9080")[0] == 200, "it does not come back", mesh.log)

    # The program listens as before; another probe finds something else.
    mood.unlink()
    until(lambda: client.get("probed:9080")[0] == 503, "it does not go", mesh.log)
    mesh.write("group.yaml", GROUP.format(check="tcpSocket: {port: 9080}"))
    until(lambda: client.get("probed:9080")[0] == 200, "it does not come back", mesh.log)


def test_the_mesh_says_how_sidecars_start(mesh: Mesh) -> None:
    """MeshConfig, ProxyConfigs and the annotation of the workload's Pod, merged."""
    admin, status = free_port(), free_port()
    text = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data:
  mesh: |
    defaultConfig:
      drainDuration: 7s
      statusPort: {status}
      proxyMetadata: {{MESH: "1", LEVEL: mesh, ISTIO_META_COLOUR: green, PATH: /nowhere}}
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {{name: some, namespace: default}}
spec:
  selector: {{matchLabels: {{app: configured}}}}
  concurrency: 2
  environmentVariables: {{LEVEL: selector}}
---
apiVersion: v1
kind: Pod
metadata:
  name: configured-v1
  namespace: default
  annotations:
    proxy.istio.io/config: |
      concurrency: 1
      proxyAdminPort: {admin}
      tracingServiceName: CANONICAL_NAME_ONLY
spec: {{serviceAccountName: configured}}
"""
    done = mesh.command("apply", "-f", "-", "--wait", text=text)
    assert done.returncode == 0, done.stderr
    join = joined(mesh, "configured")
    process = begin(mesh, join, "configured", "--", "sleep", "600")
    try:
        until(lambda: "is in the mesh" in mesh.log("configured"), "not ready", mesh.log)
        words, variables = environment_of(process, "proxy")
        assert words[words.index("--concurrency") + 1] == "2"
        assert words[words.index("--drain-time-s") + 1] == "7"
        assert (variables["MESH"], variables["LEVEL"]) == ("1", "selector")
        # What it was started in goes before.
        assert variables["PATH"] == os.environ["PATH"]
        # The program's environment is its own.
        _, program = environment_of(process, "sleep")
        assert "MESH" not in program
        node = json.loads(get(admin, "/config_dump")[1])["configs"][0]["bootstrap"]["node"]
        assert node["metadata"]["COLOUR"] == "green"
        assert node["cluster"] == "configured"
        assert node["metadata"]["PROXY_CONFIG"]["concurrency"] == 2
        one = entries(mesh)["configured-v1.default"]
        assert one["admin"] == f"127.0.0.1:{admin}"
        for port in (status, 15021):
            assert get(port, "/healthz/ready", one["address"])[0] == 200
    finally:
        process.terminate()
        process.wait(30)
        assert mesh.command("delete", "-f", "-", text=text).returncode == 0
    with pytest.raises(OSError, match="refused"):
        get(status, "/healthz/ready", one["address"])


def test_a_program_that_is_not_held_and_an_end_that_is_short(mesh: Mesh, tmp_path: Path) -> None:
    """By the annotation of its WorkloadGroup: the sidecar here waits for the program."""
    go = tmp_path / "go"
    text = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata:
  name: eager
  annotations:
    proxy.istio.io/config: |
      holdApplicationUntilProxyStarts: false
      terminationDrainDuration: 0.5s
spec: {template: {serviceAccount: eager, labels: {app: eager}}}
"""
    assert mesh.command("apply", "-f", "-", "--wait", text=text).returncode == 0
    late = f"while [ ! -e {go} ]; do sleep 0.01; done; exec {sys.executable} -m mesh.cli proxy $@"
    proxy = ["--proxy", shlex.join(["sh", "-c", late, "sh"])]
    program = ["sh", "-c", f"trap '' TERM; touch {go}; sleep 600"]
    process = begin(mesh, joined(mesh, "eager"), "eager", *proxy, "--", *program)
    until(lambda: "is in the mesh" in mesh.log("eager"), "not ready", mesh.log)
    process.terminate()
    assert process.wait(60) == 0
    assert "sh has not ended within 0.5 s after SIGTERM; it is killed" in mesh.log("eager")
    assert "has left 1 processes behind" in mesh.log("eager")


def test_replicas_are_numbered_and_a_name_that_was_asked_for_is_waited_for(mesh: Mesh) -> None:
    """Two runs of one service: both get requests, and one's end does not take the other out."""
    join = [joined(mesh, "reviews") for _ in range(3)]
    program = [sys.executable, "-c", SLOW, "/nowhere"]
    flags = ["--port", "9080:auto"]
    first = begin(mesh, join[0], "reviews", *flags, "--", *program, log="first")
    until(lambda: "is in the mesh" in mesh.log("first"), "not ready", mesh.log)
    second = begin(mesh, join[1], "reviews", *flags, "--", *program, log="second")
    until(lambda: "reviews-v1-2 is in the mesh" in mesh.log("second"), "not ready", mesh.log)
    named = ["--name", "reviews-v1", *flags, "--", *program]
    third = begin(mesh, join[2], "reviews", *named, log="third")
    until(lambda: "reviews-v1 is still in the mesh" in mesh.log("third"), "no wait", mesh.log)
    assert len(addresses(mesh, "reviews")) == 2
    # Without a word: its connection ends, and with it its name is free.
    first.kill()
    first.wait()
    until(lambda: "is in the mesh at" in mesh.log("third"), "not ready", mesh.log)
    assert len(addresses(mesh, "reviews")) == 2
    for process in (second, third):
        process.terminate()
        assert process.wait(30) == 0


def addresses(mesh: Mesh, app: str) -> set[str]:
    """Of connected workloads of an application."""
    found = entries(mesh)
    return {one["address"] for name, one in found.items() if name.startswith(f"{app}-")}


@pytest.mark.parametrize("kind", [OURS, ENVOY])
def test_what_is_under_way_is_answered_before_the_program_ends(
    mesh: Mesh, client: Workload, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mesh, "kind", kind)
    go = tmp_path / "go"
    program = [sys.executable, "-c", SLOW, str(go)]
    name = f"slow-{kind}"
    flags = ["--port", "9080:auto", "--drain-seconds", "60"]
    workload = mesh.run("slow", *flags, version=kind, command=program)
    until(lambda: client.get("slow:9080")[0] == 200, "it does not come", mesh.log)
    connection = http.client.HTTPConnection("127.0.0.1", client.http_proxy, timeout=60)
    connection.request("GET", "http://slow:9080/slow")
    until((tmp_path / "go.begun").exists, "the request does not come", mesh.log)
    workload.process.terminate()
    until(lambda: f"{name} is leaving" in mesh.log(name), "it does not leave", mesh.log)
    until(lambda: client.get("slow:9080")[0] == 503, "it stays in the endpoints", mesh.log)
    assert workload.process.poll() is None
    go.touch()
    assert connection.getresponse().status == 200
    connection.close()
    assert workload.process.wait(60) == 0


def test_a_second_signal_ends_it_at_once(mesh: Mesh) -> None:
    """The first may be that of a terminal that is closed."""
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True)\n"
    program = [sys.executable, "-c", stubborn + "time.sleep(600)"]
    workload = mesh.run("stubborn", "--drain-seconds", "600", command=program)
    until(lambda: "\non\n" in mesh.log("stubborn-v1"), "not started", mesh.log)
    # Where these tests are started by nohup, programs do not hear of terminals.
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    workload.process.send_signal(signal.SIGTERM if ignored else signal.SIGHUP)
    until(lambda: "stubborn-v1 is leaving" in mesh.log("stubborn-v1"), "not ending", mesh.log)
    workload.process.send_signal(signal.SIGINT)
    assert workload.process.wait(60) == 0
    assert "has not ended at once after SIGTERM; it is killed" in mesh.log("stubborn-v1")


@pytest.mark.parametrize(
    ("flags", "command", "code", "why"),
    [
        (["--port", "9080:auto"], ["sh", "-c", "exit 7"], 7, "has ended, with 7, before it took"),
        ([], ["sh", "-c", "sleep 600 & exit 3"], 3, "has left 1 processes behind"),
        ([], ["sh", "-c", "kill -9 $$"], 137, "is in the mesh"),
        (["--group", "nobody"], ["true"], 1, "there is no WorkloadGroup default/nobody"),
        (["--label", "app=bank"], ["true"], 1, "may not be app=bank"),
        (
            ["--port", "9080:auto"],
            ["false"],
            1,
            "no Service in default selects app=wrong",
        ),
        (["--proxy", "false"], ["true"], 1, "the sidecar has ended, with 1; what it has written"),
    ],
)
def test_what_goes_wrong_is_said(
    mesh: Mesh, flags: list[str], command: list[str], code: int, why: str
) -> None:
    log = f"wrong-{free_port()}"
    process = begin(mesh, joined(mesh, "wrong"), "wrong", *flags, "--", *command, log=log)
    assert process.wait(60) == code, mesh.log(log)
    assert why in mesh.log(log)
    assert "Traceback" not in mesh.log(log)


def test_ports_that_no_service_has_are_told_of(mesh: Mesh) -> None:
    flags = ["--port", "8080:auto", "--", "false"]
    process = begin(mesh, joined(mesh, "reviews"), "reviews", *flags, log="ports")
    assert process.wait(60) == 1
    assert "its services have other ports than --port says" in mesh.log("ports")
    assert "(reviews.default.svc.cluster.local: 9080)" in mesh.log("ports")


def test_a_program_that_listens_elsewhere_is_told_where_to(mesh: Mesh) -> None:
    port = free_port()
    flags = ["--port", f"9080:{port}", "--start-seconds", "1"]
    process = begin(mesh, joined(mesh, "deaf"), "deaf", *flags, "--", "sleep", "600", log="deaf")
    assert process.wait(60) == 1
    assert f"sleep 600 takes no TCP connections on 127.0.0.1:{port} after 1 s" in mesh.log("deaf")
    assert "--port SERVICE_PORT:PROGRAM_PORT" in mesh.log("deaf")


def test_ctrl_c_is_for_all_of_the_terminal_but_the_sidecar(
    mesh: Mesh, client: Workload, tmp_path: Path
) -> None:
    """A terminal sends SIGINT to the whole group: the sidecar answers what is under way."""
    go = tmp_path / "go"
    ignoring = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + SLOW
    program = [sys.executable, "-c", ignoring, str(go)]
    join = joined(mesh, "slow")
    flags = ["--port", "9080:auto", "--drain-seconds", "60", "--"]
    process = begin(mesh, join, "slow", *flags, *program, log="terminal", group=True)
    until(lambda: client.get("slow:9080")[0] == 200, "it does not come", mesh.log)
    connection = http.client.HTTPConnection("127.0.0.1", client.http_proxy, timeout=60)
    connection.request("GET", "http://slow:9080/slow")
    until((tmp_path / "go.begun").exists, "the request does not come", mesh.log)
    os.killpg(process.pid, signal.SIGINT)
    until(lambda: "slow-v1 is leaving" in mesh.log("terminal"), "it does not leave", mesh.log)
    go.touch()
    assert connection.getresponse().status == 200
    connection.close()
    assert process.wait(60) == 0


def test_a_control_plane_that_dies_is_told_of_once(tmp_path: Path) -> None:
    with Mesh(tmp_path, OURS) as mesh:
        mesh.write("services.yaml", SERVICES)
        workload = mesh.run("reviews", "--port", "9080:auto")
        mesh.control.kill()
        mesh.control.wait()
        away = f"the control plane at 127.0.0.1:{mesh.ports['secure']} is away"
        until(lambda: away in mesh.log("reviews-v1"), "nothing is said", mesh.log)
        mesh.start_control()
        back = "the control plane is there again"
        until(lambda: back in mesh.log("reviews-v1"), "it is not heard again", mesh.log)
        assert mesh.log("reviews-v1").count(away) == 1
        until(lambda: "reviews-v1.default" in entries(mesh), "it does not come back", mesh.log)
        # A sidecar that dies takes its program with it, and says so.
        os.kill(child_of(workload.process, "proxy"), signal.SIGKILL)
        assert workload.process.wait(60) == 1
        assert "the sidecar has ended by itself, with 137" in mesh.log("reviews-v1")


def test_a_program_reaches_its_own_machine_without_the_mesh(mesh: Mesh) -> None:
    """`http_proxy` is for other programs: what listens beside it on loopback is asked itself."""
    here = """
import http.server, threading, urllib.request
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
for host in ("127.0.0.1", "localhost"):
    with urllib.request.urlopen(f"http://{host}:{server.server_port}/") as answer:
        print("asked", host, answer.status, flush=True)
"""
    flags = ["--", sys.executable, "-c", here]
    process = begin(mesh, joined(mesh, "alone"), "alone", *flags)
    assert process.wait(60) == 0, mesh.log("alone")
    for host in ("127.0.0.1", "localhost"):
        assert f"asked {host} 200" in mesh.log("alone")


def test_a_program_in_the_mesh_starts_another(mesh: Mesh) -> None:
    """`mesh run -- sh`: the inner one does not look for the control plane through the sidecar of
    the outer one."""
    outer, inner = joined(mesh, "outer"), joined(mesh, "inner")
    command = [
        sys.executable, "-m", "mesh.cli", "run", "--join", str(inner), "--service", "inner", "--",
        "sh", "-c", "echo inside $http_proxy",
    ]  # fmt: skip
    process = begin(mesh, outer, "outer", "--", *command, log="outer")
    assert process.wait(60) == 0, mesh.log("outer")
    assert "inside http://127.0.0.1:" in mesh.log("outer")


def joined(mesh: Mesh, service: str) -> Path:
    """A join file of a service."""
    path = mesh.directory / f"{service}-{free_port()}.join"
    mesh.mesh(
        "token", "create", "--state", str(mesh.state), "--service-account", service,
        "-n", "default", "--service", service, "--control", f"127.0.0.1:{mesh.ports['secure']}",
        "--join", f"127.0.0.1:{mesh.ports['join']}", "-o", str(path),
    )  # fmt: skip
    return path


def begin(
    mesh: Mesh, join: Path, service: str, *flags: str, log: str = "", group: bool = False
) -> subprocess.Popen[bytes]:
    """`mesh run` as users write it; `group`: as in a terminal of its own."""
    words = ["run", "--join", str(join), "--service", service, *flags]
    return mesh.start(log or service, *words, group=group)


def get(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
