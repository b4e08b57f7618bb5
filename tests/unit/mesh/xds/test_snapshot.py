"""mesh.xds.snapshot"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh import api
from mesh.loop import Loop
from mesh.xds import snapshot
from mesh.xds.ads import Remote
from mesh.xds.intake import Intake
from mesh.xds.store import Store
from tests.unit.mesh import fake

ADS = ("xds", False, "", [], False, 1.0, 8.0, None)
DELTA = ("xds", True, "", [], False, 1.0, 8.0, None)


class Life:
    """One start of a process, with the server's answers as the test has them."""

    def __init__(self, path: Path, server: tuple[Any, ...] = ADS) -> None:
        self.now = 0.0
        self.core = fake.Engine()
        self.calls = fake.Calls()
        self.store = Store()
        self.loop = Loop(lambda: self.now)
        self.intake = Intake(self.core, self.store)  # type: ignore[arg-type]
        self.remote = Remote(self.intake, self.calls, self.loop, b"me", server)  # type: ignore[arg-type]
        self.intake.followers.append(self.remote.follow)
        self.complete = True
        self.remote.subscribe(api.CLUSTER, 15.0, None)
        self.snapshot = snapshot.Snapshot(
            str(path), self.intake, self.remote, self.loop, lambda: self.complete
        )
        self.remote.subscribe(api.LISTENER, 15.0, None)
        self.snapshot.began(api.LISTENER)

    def say(self, type_url: str, version: str, *resources: dict[str, Any]) -> None:
        document = {"type_url": type_url, "version": version, "nonce": version}
        message = json.dumps({**document, "resources": resources}).encode()
        self.calls.events.append((len(self.calls.opened), "message", message, 0, ""))
        self.remote.readable()

    def fail(self) -> None:
        self.calls.events.append((len(self.calls.opened), "closed", b"", 14, "refused"))
        self.remote.readable()

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.loop.turn(0)

    def held(self) -> dict[str, set[str]]:
        kinds = {t.rpartition(".")[2]: self.store.bodies(t) for t in api.ORDER}
        return {kind: set(bodies) for kind, bodies in kinds.items() if bodies}


EDS = [api.ENDPOINT, "e", 15.0, "cluster.a.", None]
ECDS = [api.EXTENSION, "x", 15.0, "extension_config_discovery.http_filter.x.", None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "last-good"


def lived(path: Path, server: tuple[Any, ...] = ADS) -> Iterator[Life]:
    life = Life(path, server)
    yield life
    life.loop.close()


def first_life(path: Path) -> None:
    for life in lived(path):
        life.say(api.CLUSTER, "1", {"name": "a", "remote": [EDS]}, {"name": "s", "secret": "x"})
        life.say(api.ENDPOINT, "1", {"name": "e"})
        life.say(api.LISTENER, "1", {"name": "l", "remote": [ECDS]})
        life.say(api.EXTENSION, "1", {"name": "x"})
        life.wait(0.6)


def test_what_was_there_is_there_again(path: Path) -> None:
    first_life(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for life in lived(path):
        life.fail()
        extension = {"TypedExtensionConfig": {"x"}}
        clusters = {"Cluster": {"a"}, "ClusterLoadAssignment": {"e"}}
        assert life.held() == {**clusters, **extension, "Listener": {"l"}}
        assert life.remote.waiting() == []
        life.wait(9.0)
        life.say(api.CLUSTER, "2", {"name": "b"})
        assert life.held() == {"Cluster": {"b"}, **extension, "Listener": {"l"}}


def test_secrets_are_not_written(path: Path) -> None:
    first_life(path)
    assert b"secret" not in path.read_bytes()


def test_a_server_that_answers_is_believed(path: Path) -> None:
    first_life(path)
    for life in lived(path):
        life.say(api.CLUSTER, "2", {"name": "b"})
        life.wait(3.0)
        assert life.held() == {"Cluster": {"b"}}


def test_a_server_that_is_slow_is_not_waited_for(path: Path) -> None:
    first_life(path)
    for life in lived(path):
        life.wait(1.9)
        assert life.held() == {}
        life.wait(0.2)
        assert "Listener" in life.held()


def test_a_server_of_changes_is_told_what_is_there(path: Path) -> None:
    first_life(path)
    for life in lived(path, DELTA):
        life.fail()
        life.wait(9.0)
        known = {request["type"]: request.get("known") for _, request in life.calls.sent[-4:]}
        assert known == {
            "Cluster": {"a": "1"},
            "ClusterLoadAssignment": {"e": "1"},
            "Listener": {"l": "1"},
            "TypedExtensionConfig": {"x": "1"},
        }


def test_half_a_configuration_is_not_written(path: Path) -> None:
    for life in lived(path):
        life.complete = False
        life.say(api.CLUSTER, "1", {"name": "a"})
        life.wait(0.6)
        assert not path.exists()
        life.complete = True
        life.wait(0.6)
        assert path.exists()


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_file_is_not_used(path: Path, damage: str) -> None:
    first_life(path)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[:-20]
    elif damage == "flip":
        content[30] ^= 1
    elif damage == "empty":
        content = bytearray()
    else:
        content[:8] = b"whatever"
    path.write_bytes(content)
    for life in lived(path):
        life.fail()
        assert life.held() == {}
        assert "is not used" in fake.LOG[-1][2]


def test_a_file_that_others_may_write_is_not_used(path: Path) -> None:
    first_life(path)
    path.chmod(0o622)
    for life in lived(path):
        life.fail()
        assert life.held() == {}
        assert "others may write it" in fake.LOG[-1][2]


def test_no_file_is_no_trouble(path: Path) -> None:
    for life in lived(path):
        life.fail()
        assert life.held() == {}
        assert len(fake.LOG) == 1


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    for life in lived(tmp_path / "no" / "such"):
        life.say(api.CLUSTER, "1", {"name": "a"})
        life.wait(0.6)
        assert "is not written" in fake.LOG[-1][2]
