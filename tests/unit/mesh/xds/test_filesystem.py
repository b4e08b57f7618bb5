"""mesh.xds.filesystem"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh import api
from mesh.config.load import read
from mesh.loop import Loop
from mesh.xds.filesystem import Session
from mesh.xds.intake import Intake
from mesh.xds.store import Store
from tests.unit.mesh import fake

LDS = "listener_manager.lds."
RDS = "http.web.rds.r."


class Bench:
    """A session over a directory, with a fake core, clock and inotify."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = 0.0
        self.core = fake.Engine()
        self.store = Store()
        self.intake = Intake(self.core, self.store)  # type: ignore[arg-type]
        self.watcher = fake.Watcher()
        self.loop = Loop(lambda: self.now)
        self.session = Session(self.intake, self.watcher, self.loop, read)  # type: ignore[arg-type]

    def write(self, name: str, version: str, *resources: dict[str, Any]) -> str:
        path = self.directory / name
        path.write_text(json.dumps({"version_info": version, "resources": resources}))
        return str(path)

    def move(self, name: str, version: str, *resources: dict[str, Any]) -> None:
        self.write(name, version, *resources)
        self.moved(name)

    def moved(self, name: str) -> None:
        self.session.changed([(str(self.directory), name)])

    def path(self, name: str) -> str:
        return str(self.directory / name)

    def subscribe(self, type_url: str, name: str) -> None:
        self.session.subscribe(type_url, self.path(name), "", 15.0)

    def applied(self) -> list[tuple[Any, ...]]:
        calls = [call[1:4] for call in self.core.calls if call[0] == "apply"]
        self.core.calls.clear()
        return calls

    def stat(self, name: str) -> int | str:
        return self.core.stats.get(name, "none")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.loop.close()


def route(bench: Bench, name: str = "r", timeout: float = 15.0) -> list[Any]:
    return [api.ROUTE, name, bench.path("rds.json"), "", timeout, f"http.web.rds.{name}."]


def test_first_fetch_and_a_change(bench: Bench) -> None:
    bench.write("lds.json", "1", {"name": "a"}, {"name": "b"})
    bench.subscribe(api.LISTENER, "lds.json")
    assert bench.applied() == [("Listener", ["a", "b"], [])]
    assert bench.stat(LDS + "update_success") == 1
    assert bench.stat(LDS + "version_text") == "1"
    bench.move("lds.json", "2", {"name": "b"}, {"name": "c"})
    assert bench.applied() == [("Listener", ["c"], ["a"])]
    assert bench.stat(LDS + "version_text") == "2"
    assert bench.store.version(api.LISTENER) == "2"
    assert set(bench.store.bodies(api.LISTENER)) == {"b", "c"}


def test_unchanged_listeners_are_not_offered_again(bench: Bench) -> None:
    bench.write("lds.json", "1", {"name": "a"})
    bench.subscribe(api.LISTENER, "lds.json")
    bench.applied()
    bench.move("lds.json", "2", {"name": "a"})
    assert bench.applied() == [("Listener", [], [])]
    held, _ = bench.store.snapshot(api.LISTENER)
    assert held["a"].version == "1"


def test_only_moves_of_that_file_count(bench: Bench) -> None:
    bench.write("lds.json", "1", {"name": "a"})
    bench.subscribe(api.LISTENER, "lds.json")
    bench.applied()
    bench.moved("other.json")
    bench.session.changed([("/elsewhere", "lds.json")])
    assert bench.applied() == []


def test_lost_events_mean_that_anything_may_have_changed(bench: Bench) -> None:
    bench.write("lds.json", "1", {"name": "a"})
    bench.subscribe(api.LISTENER, "lds.json")
    bench.write("lds.json", "2", {"name": "b"})
    bench.applied()
    bench.session.changed([("", "")])
    assert bench.applied() == [("Listener", ["b"], ["a"])]


def test_watched_directory_as_kubernetes_swaps_a_config_map(bench: Bench) -> None:
    bench.write("lds.json", "1", {"name": "a"})
    mounted = bench.directory / "mount"
    mounted.mkdir()
    bench.session.subscribe(api.LISTENER, bench.path("lds.json"), str(mounted), 15.0)
    assert bench.watcher.directories == {str(mounted)}
    bench.write("lds.json", "2", {"name": "b"})
    bench.applied()
    bench.moved("lds.json")
    assert bench.applied() == []
    bench.session.changed([(str(mounted), "..data")])
    assert bench.applied() == [("Listener", ["b"], ["a"])]


def test_a_bad_listener_keeps_its_last_version_and_the_good_ones_change(bench: Bench) -> None:
    bench.write("lds.json", "1", {"name": "a"}, {"name": "b"})
    bench.subscribe(api.LISTENER, "lds.json")
    bench.move("lds.json", "2", {"name": "a", "bad": "why"}, {"name": "b", "x": 1})
    held, failed = bench.store.snapshot(api.LISTENER)
    assert json.loads(held["a"].body) == {"name": "a"}
    assert (held["a"].version, held["b"].version) == ("1", "2")
    assert (failed["a"].details, failed["a"].version) == ("field: why", "2")
    assert bench.stat(LDS + "update_rejected") == 1
    assert bench.stat(LDS + "version_text") == "1"
    assert bench.store.version(api.LISTENER) == "2"
    assert "listener 'a': field: why" in fake.LOG[-1][2]
    bench.move("lds.json", "3", {"name": "a"}, {"name": "b", "x": 1})
    assert bench.store.snapshot(api.LISTENER)[1] == {}
    assert bench.stat(LDS + "version_text") == "3"


def test_a_listener_that_cannot_be_read_is_refused_and_not_removed(bench: Bench) -> None:
    path = bench.write("lds.json", "1", {"name": "a"}, {"name": "b"}, {"name": "gone"})
    bench.subscribe(api.LISTENER, "lds.json")
    bench.applied()
    unreadable = {"name": "a", "unreadable": ["why", "and why"]}
    new = {"name": "new", "unreadable": ["never seen"]}
    bench.move("lds.json", "2", unreadable, {"name": "b", "x": 1}, new)
    assert bench.applied() == [("Listener", ["b"], ["gone"])]
    held, failed = bench.store.snapshot(api.LISTENER)
    assert (held["a"].version, held["b"].version) == ("1", "2")
    assert (failed["a"].body, failed["a"].version) == (b"", "2")
    assert failed["a"].details == f"field: {path}:1:1: why; field: {path}:1:1: and why"
    assert set(failed) == {"a", "new"}
    assert bench.stat(LDS + "update_rejected") == 1
    assert bench.stat(LDS + "update_failure") == 0
    assert bench.stat(LDS + "version_text") == "1"
    assert bench.store.version(api.LISTENER) == "2"
    assert f"listener 'a': field: {path}:1:1: why" in fake.LOG[-1][2]
    bench.move("lds.json", "3", {"name": "a"}, {"name": "b", "x": 1})
    assert bench.store.snapshot(api.LISTENER)[1] == {}
    assert bench.stat(LDS + "version_text") == "3"


def test_nothing_but_unreadable_listeners(bench: Bench) -> None:
    bench.write("lds.json", "1", {"name": "a"})
    bench.subscribe(api.LISTENER, "lds.json")
    bench.applied()
    bench.move("lds.json", "2", {"name": "a", "unreadable": ["why"]})
    assert bench.applied() == [("Listener", [], [])]
    assert bench.store.version(api.LISTENER) == "1"
    assert bench.stat(LDS + "update_rejected") == 1


def test_a_name_that_is_there_twice_and_once_unreadable(bench: Bench) -> None:
    bench.write("lds.json", "1", {"name": "a", "unreadable": ["why"]}, {"name": "a"})
    bench.subscribe(api.LISTENER, "lds.json")
    assert bench.applied() == [("Listener", ["a"], [])]
    held, failed = bench.store.snapshot(api.LISTENER)
    assert (set(held), set(failed)) == ({"a"}, {"a"})
    assert failed["a"].body == b""


def test_a_route_that_cannot_be_read_keeps_its_last_version(bench: Bench) -> None:
    bench.write("rds.json", "r1", {"name": "r"})
    bench.write("lds.json", "1", {"name": "a", "wanted": [route(bench)]})
    bench.subscribe(api.LISTENER, "lds.json")
    bench.move("rds.json", "r2", {"name": "r", "unreadable": ["why"]})
    held, failed = bench.store.snapshot(api.ROUTE)
    assert (held["r"].version, failed["r"].version) == ("r1", "r2")
    assert (bench.stat(RDS + "update_rejected"), bench.stat(RDS + "update_empty")) == (1, "none")
    bench.move("rds.json", "r1", {"name": "r"})
    assert bench.store.snapshot(api.ROUTE)[1] == {}


def test_a_route_that_cannot_be_read_at_first_is_not_waited_for(bench: Bench) -> None:
    bench.write("rds.json", "r1", {"name": "r", "unreadable": ["why"]})
    bench.write("lds.json", "1", {"name": "a", "wanted": [route(bench)]})
    bench.subscribe(api.LISTENER, "lds.json")
    assert bench.session.waiting() == []
    assert ("fetch_timed_out", "RouteConfiguration", "r") in bench.core.calls


def test_a_name_that_is_there_twice(bench: Bench) -> None:
    bench.write("lds.json", "1", {"name": "a"}, {"name": "a", "x": 1})
    bench.subscribe(api.LISTENER, "lds.json")
    assert bench.applied() == [("Listener", ["a"], [])]
    assert bench.stat(LDS + "update_rejected") == 1
    assert "listener 'a' is there twice" in fake.LOG[-1][2]


@pytest.mark.parametrize("damage", ["vanish", "half"])
def test_a_damaged_file_changes_nothing(bench: Bench, damage: str) -> None:
    bench.write("lds.json", "1", {"name": "a"})
    bench.subscribe(api.LISTENER, "lds.json")
    bench.applied()
    path = Path(bench.path("lds.json"))
    if damage == "vanish":
        path.unlink()
    else:
        path.write_text('{"resources": [{"na')
    bench.moved("lds.json")
    assert bench.applied() == []
    assert bench.stat(LDS + "update_failure") == 1
    assert bench.stat(LDS + "update_rejected") == 0
    assert fake.LOG[-1][0] == "warning"
    assert "lds.json" in fake.LOG[-1][2]


def test_what_is_referred_to_is_fetched_after_it(bench: Bench) -> None:
    bench.write("rds.json", "r1", {"name": "r"})
    bench.write("lds.json", "1", {"name": "a", "wanted": [route(bench)]})
    bench.subscribe(api.LISTENER, "lds.json")
    assert bench.applied() == [("Listener", ["a"], []), ("RouteConfiguration", ["r"], [])]
    assert bench.stat(RDS + "version_text") == "r1"
    assert bench.session.waiting() == []


def test_types_are_read_in_the_order_of_their_references(bench: Bench) -> None:
    for name in ("cds.json", "lds.json"):
        bench.write(name, "1", {"name": "x"})
    bench.subscribe(api.LISTENER, "lds.json")
    bench.subscribe(api.CLUSTER, "cds.json")
    bench.write("lds.json", "2", {"name": "y"})
    bench.write("cds.json", "2", {"name": "y"})
    bench.applied()
    bench.session.changed([(str(bench.directory), "lds.json"), (str(bench.directory), "cds.json")])
    assert [call[0] for call in bench.applied()] == ["Cluster", "Listener"]


def test_a_file_nobody_wants_any_more_is_let_go(bench: Bench) -> None:
    bench.write("rds.json", "r1", {"name": "r"})
    bench.write("lds.json", "1", {"name": "a", "wanted": [route(bench)]})
    bench.subscribe(api.LISTENER, "lds.json")
    bench.move("lds.json", "2")
    bench.applied()
    bench.move("rds.json", "r2", {"name": "r", "x": 1})
    assert bench.applied() == []
    assert bench.store.bodies(api.ROUTE) == {}


@pytest.mark.parametrize(
    ("resources", "says"),
    [
        ([{"name": "other"}], "'other' where 'r' is expected"),
        ([{"name": "other", "unreadable": ["why"]}], "'other' where 'r' is expected"),
        ([{"name": "r"}, {"name": "s", "unreadable": ["why"]}], "2 resources where one is"),
        ([{"name": "r"}, {"name": "s"}], "2 resources where one is expected"),
    ],
)
def test_a_route_file_holds_the_one_route(
    bench: Bench, resources: list[dict[str, Any]], says: str
) -> None:
    bench.write("rds.json", "r1", *resources)
    bench.write("lds.json", "1", {"name": "a", "wanted": [route(bench)]})
    bench.subscribe(api.LISTENER, "lds.json")
    assert bench.stat(RDS + "update_rejected") == 1
    assert says in fake.LOG[-1][2]
    assert ("fetch_timed_out", "RouteConfiguration", "r") in bench.core.calls


def test_a_missing_route_file_is_waited_for(bench: Bench) -> None:
    bench.write("lds.json", "1", {"name": "a", "wanted": [route(bench)]})
    bench.subscribe(api.LISTENER, "lds.json")
    assert bench.session.waiting() == [(api.ROUTE, bench.path("rds.json"))]
    bench.move("rds.json", "r1", {"name": "r"})
    assert bench.session.waiting() == []
    bench.now = 20.0
    bench.loop.turn(0)
    assert bench.stat(RDS + "init_fetch_timeout") == 0


def test_a_missing_route_file_is_not_waited_for_longer_than_told(bench: Bench) -> None:
    bench.write("lds.json", "1", {"name": "a", "wanted": [route(bench)]})
    bench.subscribe(api.LISTENER, "lds.json")
    bench.now = 14.9
    bench.loop.turn(0)
    assert len(bench.session.waiting()) == 1
    bench.now = 15.1
    bench.loop.turn(0)
    assert bench.session.waiting() == []
    assert bench.stat(RDS + "init_fetch_timeout") == 1
    assert ("fetch_timed_out", "RouteConfiguration", "r") in bench.core.calls
    bench.move("rds.json", "r1", {"name": "r"})
    assert bench.stat(RDS + "version_text") == "r1"


def test_no_timeout_waits_for_ever(bench: Bench) -> None:
    bench.write("lds.json", "1", {"name": "a", "wanted": [route(bench, timeout=0.0)]})
    bench.subscribe(api.LISTENER, "lds.json")
    bench.now = 1e9
    bench.loop.turn(0)
    assert len(bench.session.waiting()) == 1


def test_a_directory_that_cannot_be_watched_is_said(bench: Bench) -> None:
    bench.session.subscribe(api.LISTENER, "/nonexistent/lds.json", "", 15.0)
    assert "cannot watch /nonexistent" in fake.LOG[0][2]


ECDS = "extension_config_discovery.http_filter.e."


def test_an_extension_comes_from_its_file_before_listeners(bench: Bench) -> None:
    wanted = [api.EXTENSION, "e", bench.path("ecds.json"), "", 15.0, ECDS]
    bench.write("ecds.json", "1", {"name": "e"})
    bench.write("lds.json", "1", {"name": "a", "wanted": [wanted]})
    bench.subscribe(api.LISTENER, "lds.json")
    assert bench.applied() == [("Listener", ["a"], []), ("TypedExtensionConfig", ["e"], [])]
    assert [bench.stat(ECDS + one) for one in ("config_reload", "config_fail")] == [1, 0]
    bench.write("ecds.json", "2")
    bench.write("lds.json", "2", {"name": "a", "wanted": [wanted], "x": 1})
    bench.session.changed([(str(bench.directory), one) for one in ("lds.json", "ecds.json")])
    # An empty file takes nothing away.
    assert bench.applied() == [("Listener", ["a"], [])]
    assert [bench.stat(ECDS + one) for one in ("config_reload", "config_fail")] == [1, 1]
    assert "no extension configuration 'e' in it" in fake.LOG[-1][2]
    assert set(bench.store.bodies(api.EXTENSION)) == {"e"}


SDS = "sds.s."


class Secrets:
    """A listener that wants the secret `s`, which names a file in a directory of its own."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.folder = bench.directory / "certs"
        self.folder.mkdir()
        self.file = self.folder / "tls.crt"
        self.file.write_text("one")
        self.source = [api.SECRET, "s", bench.path("sds.json"), "", 15.0, SDS]

    def start(self) -> None:
        self.bench.write("sds.json", "1", self.secret())
        self.bench.write("lds.json", "1", {"name": "a", "wanted": [self.source]})
        self.bench.subscribe(api.LISTENER, "lds.json")

    def secret(self, **fields: Any) -> dict[str, Any]:
        return {"name": "s", "files": [str(self.file)], **fields}

    def swap(self, text: str) -> None:
        """As Kubernetes: the files are in `..data`, which is replaced."""
        self.file.write_text(text)
        self.bench.session.changed([(str(self.folder), "..data")])

    def read(self) -> list[str]:
        return self.bench.core.held[api.SECRET, "s"]["read"]  # type: ignore[no-any-return]


@pytest.fixture
def secrets(bench: Bench) -> Secrets:
    return Secrets(bench)


def test_a_secret_comes_from_its_file_and_its_own_files_are_watched(
    bench: Bench, secrets: Secrets
) -> None:
    secrets.start()
    assert bench.applied() == [("Listener", ["a"], []), ("Secret", ["s"], [])]
    assert bench.watcher.directories == {str(bench.directory), str(secrets.folder)}
    assert [bench.stat(SDS + name) for name in ("update_success", "version_text")] == [1, "1"]
    assert bench.stat(SDS + "key_rotation_failed") == 0
    assert bench.stat(SDS + "config_reload") == "none"


def test_files_of_a_secret_are_read_again(bench: Bench, secrets: Secrets) -> None:
    secrets.start()
    bench.applied()
    secrets.swap("two")
    assert bench.applied() == [("Secret", ["s"], [])]
    assert secrets.read() == ["two"]
    assert bench.stat(SDS + "update_attempt") == 1
    bench.session.changed([("", "")])
    assert ("Secret", ["s"], []) in bench.applied()


def test_a_bad_rotation_is_refused_and_mended(bench: Bench, secrets: Secrets) -> None:
    secrets.start()
    secrets.swap("bad")
    assert secrets.read() == ["one"]
    assert bench.stat(SDS + "key_rotation_failed") == 1
    assert bench.stat(SDS + "update_rejected") == 0
    held, failed = bench.store.snapshot(api.SECRET)
    assert (held["s"].version, failed["s"].details) == ("1", "field: bad file")
    assert "secret 's': its files changed and are rejected" in fake.LOG[-1][2]
    secrets.swap("one")
    assert bench.store.snapshot(api.SECRET)[1] == {}
    assert bench.stat(SDS + "key_rotation_failed") == 1


def test_a_secret_that_was_refused_is_tried_again_with_its_files(
    bench: Bench, secrets: Secrets
) -> None:
    secrets.file.write_text("bad")
    secrets.start()
    assert ("fetch_timed_out", "Secret", "s") in bench.core.calls
    assert bench.stat(SDS + "update_rejected") == 1
    secrets.swap("good")
    assert secrets.read() == ["good"]
    held, failed = bench.store.snapshot(api.SECRET)
    assert (held["s"].version, failed) == ("1", {})


def test_an_empty_or_another_secret_is_refused(bench: Bench, secrets: Secrets) -> None:
    secrets.start()
    bench.move("sds.json", "2")
    assert "no secret 's' in it" in fake.LOG[-1][2]
    bench.move("sds.json", "3", {"name": "other"})
    assert "'other' where 's' is expected" in fake.LOG[-1][2]
    assert bench.stat(SDS + "update_rejected") == 2
    assert bench.stat(SDS + "update_empty") == "none"
    assert secrets.read() == ["one"]


def test_what_is_no_longer_wanted_is_not_watched(bench: Bench, secrets: Secrets) -> None:
    secrets.start()
    bench.core.files.clear()
    bench.move("lds.json", "2", {"name": "a"})
    assert bench.watcher.directories == {str(bench.directory)}
    bench.applied()
    secrets.swap("two")
    assert bench.applied() == []


def test_a_directory_with_both_is_read_once(bench: Bench, secrets: Secrets) -> None:
    secrets.file = bench.directory / "tls.crt"
    secrets.file.write_text("one")
    secrets.start()
    bench.applied()
    secrets.file.write_text("two")
    bench.move("sds.json", "2", secrets.secret(x=1))
    assert bench.applied() == [("Secret", ["s"], [])]
    assert secrets.read() == ["two"]
