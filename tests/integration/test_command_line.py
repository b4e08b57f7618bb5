"""`mesh` as a process: who reads its output or does not, in which encoding, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.status_port import StatusPort

ROOT = Path(__file__).parents[2]
MESH = [sys.executable, "-m", "mesh.cli"]
LIST = [*MESH, "analyze", "--list-analyzers"]
#: What is written is kept for the end, or not.
BUFFERED = pytest.mark.parametrize("unbuffered", ["", "1"])
VIRTUAL_SERVICE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [a.example]
  http:
  - route:
    - destination: {host: a.example}
"""


def environment(**variables: str) -> dict[str, str]:
    path = f"{ROOT / 'src'}:{ROOT}"
    return {**os.environ, "PYTHONPATH": f"{path}:{os.environ.get('PYTHONPATH', '')}", **variables}


@BUFFERED
def test_a_pipe_that_nobody_reads(unbuffered: str) -> None:
    variables = environment(PYTHONUNBUFFERED=unbuffered)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = subprocess.run(LIST, stdout=pipe, stderr=subprocess.PIPE, env=variables, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


@BUFFERED
def test_a_disk_that_is_full(unbuffered: str) -> None:
    variables = environment(PYTHONUNBUFFERED=unbuffered)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            LIST, stdout=full, stderr=subprocess.PIPE, env=variables, check=False, text=True
        )
    assert done.returncode == 1
    assert done.stderr == "mesh: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_without_an_input_or_output(closed: int, tmp_path: Path) -> None:
    command = [*MESH, "apply", "--config", str(tmp_path), "-f", "-"]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}>&-', "sh", *command],
        input=VIRTUAL_SERVICE,
        capture_output=True,
        env=environment(),
        check=False,
        text=True,
    )
    said = "virtualservice.networking.istio.io/a created\n"
    assert (done.returncode, done.stdout, done.stderr) == {
        0: (1, "", "standard input: is closed\n"),
        1: (0, "", ""),
        2: (0, said, ""),
    }[closed]


def test_an_encoding_that_lacks_what_is_said(tmp_path: Path) -> None:
    file = tmp_path / "\u00fc.yaml"
    file.write_text(VIRTUAL_SERVICE)
    done = subprocess.run(
        [*MESH, "analyze", str(file)],
        capture_output=True,
        env=environment(PYTHONIOENCODING="ascii"),
        check=False,
    )
    assert done.returncode == 0
    assert b"\\u2714 No validation issues found when analyzing" in done.stderr
    assert b"\\xfc.yaml" in done.stderr


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff.yaml"
    done = subprocess.run(
        [*MESH, "apply", "-f", name], capture_output=True, env=environment(), check=False
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.endswith(b".yaml: No such file or directory\n")


class _Waits(dict[str, Any]):
    """Answers of a control plane that is not done with waiting until it is told."""

    def __init__(self) -> None:
        super().__init__({"/api/v1/version": {"version": "1"}})
        self.asked = threading.Event()
        self.enough = threading.Event()

    def get(self, path: str, default: Any = None) -> Any:
        if path == "/api/v1/wait":
            self.asked.set()
            self.enough.wait(60)
        return super().get(path, default)


def test_ctrl_c_while_it_waits(tmp_path: Path) -> None:
    answers = _Waits()
    with StatusPort(answers) as port:
        command = [*MESH, "apply", "--config", str(tmp_path), "--wait", "--control", port.url]
        with subprocess.Popen(
            [*command, "-f", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            text=True,
            # A shell in the background has it ignored, and all that it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as waiting:
            assert waiting.stdin is not None
            waiting.stdin.write(VIRTUAL_SERVICE)
            waiting.stdin.close()
            waiting.stdin = None
            assert answers.asked.wait(60)
            waiting.send_signal(signal.SIGINT)
            out, error = waiting.communicate(timeout=60)
        answers.enough.set()
    assert waiting.returncode == 130
    assert out == "virtualservice.networking.istio.io/a created\n"
    assert error == (
        "interrupted: what is written stays and goes on its way; `mesh status` says how far it is\n"
    )
