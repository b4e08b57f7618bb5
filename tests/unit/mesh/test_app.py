"""mesh.app"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh import api, app
from mesh.app import App
from mesh.config import flags, load
from tests.unit.mesh import fake


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The application takes over the process's signals; the tests need them back."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def made(document: dict[str, Any], *more: str) -> tuple[App, fake.Engine]:
    options = flags.parse(["--config-yaml", json.dumps(document), *more])
    application = App(options, load.bootstrap(options))
    core = application.core
    assert isinstance(core, fake.Engine)
    return application, core


def applies(core: fake.Engine) -> list[tuple[Any, ...]]:
    return [call[1:] for call in core.calls if call[0] == "apply"]


def test_secrets_come_before_clusters_before_listeners_and_static_before_dynamic(
    tmp_path: Path,
) -> None:
    for name in ("cds", "lds"):
        (tmp_path / name).write_text(json.dumps({"resources": [{"name": name}]}))
    application, core = made(
        {
            "secrets": [{"name": "s"}],
            "clusters": [{"name": "c"}],
            "listeners": [{"name": "l"}],
            "dynamic": [
                [api.LISTENER, str(tmp_path / "lds"), "", 15.0],
                [api.CLUSTER, str(tmp_path / "cds"), "", 15.0],
            ],
        }
    )
    application.configure()
    assert applies(core) == [
        ("Secret", ["s"], [], True),
        ("Cluster", ["c"], [], True),
        ("Cluster", ["cds"], [], False),
        ("Listener", ["l"], [], True),
        ("Listener", ["lds"], [], False),
    ]
    assert application.state() == "LIVE"


def test_not_live_before_all_is_warm() -> None:
    application, core = made({"clusters": [{"name": "c"}]})
    core.warming_now = [(api.CLUSTER, "c")]
    application.configure()
    assert application.state() == "INITIALIZING"
    core.warming_now = []
    application.loop.turn()
    assert application.state() == "LIVE"


def test_a_failed_health_check_is_not_ready() -> None:
    application, core = made({})
    application.configure()
    application.fail_health_check(True)
    assert application.state() == "DRAINING"
    application.fail_health_check(False)
    assert application.state() == "LIVE"
    assert core.calls[-2:] == [("fail_health_check", True), ("fail_health_check", False)]


def test_sigterm_drains_and_ends() -> None:
    application, core = made({"admin": ["127.0.0.1", 0]}, "--drain-time-s", "7")
    application.loop.call(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert application.run() == 0
    assert ("shutdown", 7.0) in core.calls
    assert application.state() == "DRAINING"


def test_sigusr1_reopens_the_logs() -> None:
    application, core = made({})
    application.loop.call(lambda: os.kill(os.getpid(), signal.SIGUSR1))
    application.loop.after(0.0, application.quit)
    assert application.run() == 0
    assert ("shutdown", 0.0) in core.calls


def test_init_only_ends_when_all_is_initialised() -> None:
    application, core = made({"clusters": [{"name": "c"}]}, "--mode", "init_only")
    assert application.run() == 0
    assert ("shutdown", 0.0) in core.calls


def test_a_move_reaches_the_session(tmp_path: Path) -> None:
    (tmp_path / "lds").write_text(json.dumps({"resources": [{"name": "a"}]}))
    application, core = made({"dynamic": [[api.LISTENER, str(tmp_path / "lds"), "", 15.0]]})

    def swap() -> None:
        (tmp_path / "lds").write_text(json.dumps({"resources": [{"name": "b"}]}))
        watcher = application._watcher
        assert isinstance(watcher, fake.Watcher)
        watcher.move(str(tmp_path), "lds")
        application.loop.after(0.0, application.quit)

    application.loop.call(swap)
    application.run()
    assert applies(core)[-1] == ("Listener", ["b"], ["a"], False)


def test_statistics_of_the_server() -> None:
    application, core = made({})
    application.configure()
    application.refresh_stats()
    assert (core.stats["server.state"], core.stats["server.live"]) == (0, 1)
    assert int(core.stats["server.memory_physical_size"]) > 1 << 20


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--bogus"], "mesh proxy: there is no flag --bogus"),
        ([], "mesh proxy: no configuration: give -c FILE"),
        (["-c", "/nonexistent.yaml"], "/nonexistent.yaml: No such file"),
        (
            ["--config-yaml", "{"],
            "error initializing configuration '--config-yaml':\n--config-yaml:1:1: ",
        ),
        (
            ["--config-yaml", '{"listeners": [{"name": "l", "bad": "why"}]}'],
            "--config-yaml: listener 'l': field: why",
        ),
        (
            ["--mode", "validate", "--config-yaml", '{"clusters": [{"name": "c", "bad": "why"}]}'],
            "c: why",
        ),
        (
            ["--config-yaml", json.dumps({"dynamic": [[api.LISTENER, "/none/x", "", 1.0]]})],
            "dynamic_resources: '/none/x' does not exist",
        ),
        (
            ["--config-yaml", "{}", "--component-log-level", "bogus:info"],
            "--component-log-level: there is no component 'bogus'",
        ),
        (["--config-yaml", "{}", "--log-path", "/none/log"], "--log-path /none/log: No such file"),
    ],
)
def test_bad_input_ends_with_1_and_a_sentence(
    capsys: pytest.CaptureFixture[str], argv: list[str], says: str
) -> None:
    assert app.main(argv) == 1
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_a_taken_admin_port_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        document = {"admin": list(taken.getsockname())}
        assert app.main(["--config-yaml", json.dumps(document)]) == 1
    assert "admin: cannot listen on 127.0.0.1:" in capsys.readouterr().err


def test_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "envoy.yaml"
    path.write_text('{"clusters": [{"name": "c"}]}')
    assert app.main(["-c", str(path), "--mode", "validate"]) == 0
    assert capsys.readouterr().out == f"configuration '{path}' OK\n"


def test_a_log_of_ejections_that_cannot_be_opened_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "envoy.yaml"
    path.write_text(json.dumps({"ejection_log_is_locked": True}))
    assert app.main(["-c", str(path)]) == 1
    said = capsys.readouterr().err
    assert "cluster_manager.outlier_detection.event_log_path: cannot open the file" in said
    assert "Permission denied" in said


@pytest.mark.parametrize("mode", ["validate", "serve"])
@pytest.mark.parametrize("node", [{}, {"id": "a"}, {"cluster": "b"}])
def test_servers_want_to_know_who_asks(
    mode: str, node: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "envoy.yaml"
    server = ["xds", False, "", [], False, 0.5, 30.0, None]
    path.write_text(json.dumps({"node": node, "ads": server}))
    assert app.main(["-c", str(path), "--mode", mode]) == 1
    assert "ads: node 'id' and 'cluster' are required" in capsys.readouterr().err
    if mode == "validate":
        named = ["--service-node", "a", "--service-cluster", "b"]
        assert app.main(["-c", str(path), "--mode", mode, *named]) == 0


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--help", "usage: mesh proxy"),
        ("--version", "fastmesh/"),
        ("--hot-restart-version", "disabled"),
    ],
)
def test_what_is_only_printed(capsys: pytest.CaptureFixture[str], flag: str, says: str) -> None:
    assert app.main([flag]) == 0
    assert says in capsys.readouterr().out


def test_memory_is_given_back_when_live_and_when_nothing_changes_any_more() -> None:
    application, _ = made({"clusters": [{"name": "c"}]})
    now = 0.0
    application.loop.clock = lambda: now
    released = ("debug", "main", "memory released")
    fake.LOG.clear()
    application.configure()
    assert fake.LOG.count(released) == 1
    for later in range(5, 60, 5):
        now = float(later)
        application.store.put(api.CLUSTER, "c", b"%d" % later)
        application._flush()
    assert fake.LOG.count(released) == 1, "changes come one after the other"
    for later in range(60, 120, 5):
        now = float(later)
        application._flush()
        assert fake.LOG.count(released) == (1 if later < 85 else 2)
