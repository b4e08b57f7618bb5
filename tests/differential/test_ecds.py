"""ECDS: HTTP filters whose configurations come by their names; the stock Envoy and ours side by side:
what is asked for, taken, refused and counted, what requests get meanwhile."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh import api
from tests.support import config
from tests.support.client import Connection
from tests.support.config import Tree
from tests.support.http1 import Message
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.scripted_xds import ScriptedXds
from tests.support.upstream import Upstream
from tests.support.xds_config import MODES, Sources

_GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
_FILTERS = "type.googleapis.com/envoy.extensions.filters.http."
MUTATION = _FILTERS + "header_mutation.v3.HeaderMutation"
CORS = _FILTERS + "cors.v3.Cors"
FAULT = _FILTERS + "fault.v3.HTTPFault"
SCOPE = "extension_config_discovery.http_filter.by-name."
#: What is counted of an extension.
_COUNTED = (
    "config_conflict", "config_fail", "config_reload", "init_fetch_timeout", "update_failure",
    "update_rejected", "update_success", "version_text",
)  # fmt: skip


def mutation(value: str) -> Tree:
    """A configuration that says itself in responses."""
    header = {"key": "x-by-name", "value": value}
    return {
        "@type": MUTATION,
        "mutations": {"response_mutations": [{"append": {"header": header}}]},
    }


def extension(value: str, name: str = "by-name") -> Tree:
    """The same, as ECDS brings it."""
    return {"name": name, "typed_config": mutation(value)}


def discovered(source: Tree, *types: str, name: str = "by-name", **more: Any) -> Tree:
    """A filter whose configuration comes from there."""
    discovery = {"config_source": source, "type_urls": list(types or (MUTATION,)), **more}
    return {"name": name, "config_discovery": discovery}


def manager(*filters: Tree, **more: Any) -> Tree:
    """A connection manager with these filters, whose routes are its own."""
    routes = config.route_config("r", config.route("/", "one"), validate_clusters=False)
    made = config.hcm(routes, **more)
    made["http_filters"] = [*filters, *made["http_filters"]]
    made["access_log"] = [
        {
            "name": "log",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                "path": "access.log",
                "log_format": {
                    "text_format_source": {
                        "inline_string": "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"
                    }
                },
            },
        }
    ]
    return made


class Run:
    """A proxy whose listener has a filter by name, and its server."""

    def __init__(self, kind: str, mode: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder / kind
        self.sources = Sources(mode)
        self.port, self.admin_port = free_port(), free_port()
        self.server = ScriptedXds()
        self.upstream = Upstream()
        self.proxy: Proxy
        self.seen: dict[str, Any] = {}

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        with self.upstream, self.server:
            self.server.set(api.CLUSTER, config.cluster("one", self.upstream.port))
            text = self.sources.bootstrap(self.admin_port, self.server.port, [])
            with Proxy(self.kind, text, self.folder, self.admin_port) as self.proxy:
                yield

    def listeners(self, *filters: Tree, **others: Tree) -> None:
        """The listener `web` with these filters; others by name, with one filter each."""
        found = [config.listener("web", self.port, manager(*filters))]
        found += [
            config.listener(name, free_port(), manager(one, stat_prefix=name))
            for name, one in others.items()
        ]
        self.server.set(api.LISTENER, *found)

    def source(self, **more: Any) -> Tree:
        return self.sources.source(**more)

    def answer(self) -> Message:
        with Connection(self.port) as conn:
            return conn.request(_GET)

    def by_name(self) -> tuple[int, list[str]]:
        answer = self.answer()
        return answer.status, answer.all("x-by-name")

    def until(self, what: str, expected: tuple[int, list[str]]) -> None:
        """Workers hear of a change after it was answered."""
        end = time.monotonic() + 10
        while (found := self.by_name()) != expected and time.monotonic() < end:
            time.sleep(0.02)
        self.seen[what] = found

    def note(self, what: str) -> None:
        self.seen[what] = self.by_name()

    def stats(self, scope: str = SCOPE) -> dict[str, str]:
        lines = self.proxy.admin("GET", "/stats")[1].splitlines()
        found = dict(line.split(": ", 1) for line in lines if ": " in line)
        return {name: found.get(scope + name, "none") for name in _COUNTED}

    def dump(self, what: str = "/config_dump") -> list[Tree]:
        """What is shown of extensions, without times and versions that only we show."""
        sections = json.loads(self.proxy.admin("GET", what)[1]).get("configs", [])
        shown = [one for one in sections if "ecds" in json.dumps(one) or "Ecds" in one["@type"]]
        return json.loads(json.dumps(shown), object_hook=_without_times)  # type: ignore[no-any-return]


def _without_times(tree: Tree) -> Tree:
    return {name: value for name, value in tree.items() if name != "last_updated"}


def _both(mode: str, folder: Path, what: Callable[[Run], None]) -> None:
    seen = []
    for kind in (ENVOY, OURS):
        run = Run(kind, mode, folder)
        what(run)
        seen.append(run.seen)
    assert seen[1] == seen[0]


@pytest.mark.parametrize("mode", MODES)
def test_the_same_conversation(mode: str, tmp_path: Path) -> None:
    """Taken, changed on an open connection, refused for its type and for what it says."""

    def conversation(run: Run) -> None:
        run.listeners(discovered(run.source()))
        run.server.set(api.EXTENSION, extension("one"))
        with run.serving():
            run.server.wait_ack(api.EXTENSION)
            run.until("first", (200, ["one"]))
            with Connection(run.port) as conn:
                run.seen["before"] = conn.request(_GET).all("x-by-name")
                run.server.set(api.EXTENSION, extension("two"))
                run.server.wait_ack(api.EXTENSION)
                run.until("second", (200, ["two"]))
                conn.raw, conn.methods = b"", []
                run.seen["on the same connection"] = conn.request(_GET).all("x-by-name")
            run.seen["dump"] = run.dump()
            run.seen["one resource"] = run.dump("/config_dump?resource=ecds_filters")
            run.server.set(api.EXTENSION, {"name": "by-name", "typed_config": {"@type": CORS}})
            text = run.server.wait_nack(api.EXTENSION)
            words = (
                "Error: filter config has type URL envoy.extensions.filters.http.cors.v3.Cors but "
                "expect envoy.extensions.filters.http.header_mutation.v3.HeaderMutation."
            )
            run.seen["why"] = words in text
            run.note("after a wrong type")
            run.seen["stats"] = run.stats()
            run.server.nacks.clear()
            run.server.set(api.EXTENSION, extension("%NO_SUCH_OPERATOR%"))
            run.server.wait_nack(api.EXTENSION)
            run.note("after a bad one")
            run.server.set(api.EXTENSION, extension("three"))
            run.server.wait_ack(api.EXTENSION)
            run.until("third", (200, ["three"]))
            # Envoy counts a reload of the bad one, too (docs/differences.md).
            run.seen["later stats"] = {**run.stats(), "config_reload": ""}
            run.seen["methods"] = sorted({stream.method for stream in run.server.streams})
            run.seen["drained"] = run.proxy.stat("listener_manager.listener_modified")

    _both(mode, tmp_path, conversation)


@pytest.mark.parametrize("mode", ["ads-sotw", "ads-delta"])
def test_what_the_server_takes_away(mode: str, tmp_path: Path) -> None:
    """Over delta the default serves again, or requests are answered by 500; otherwise nothing."""

    def gone(run: Run) -> None:
        run.listeners(
            discovered(run.source()),
            discovered(run.source(), name="other", default_config=mutation("default")),
        )
        run.server.set(api.EXTENSION, extension("one"), extension("two", "other"))
        with run.serving():
            run.server.wait_ack(api.EXTENSION)
            run.until("both", (200, ["two", "one"]))
            run.server.set(api.EXTENSION, extension("one"))
            if run.sources.delta:
                run.server.wait_ack(api.EXTENSION)
                run.until("default", (200, ["default", "one"]))
            run.server.set(api.EXTENSION)
            if run.sources.delta:
                run.server.wait_ack(api.EXTENSION)
                run.until("nothing", (500, []))
                run.seen["body"] = run.answer().body
                run.seen["stats"] = run.stats()
            # A new version of the listener does not wait for what was taken away.
            run.listeners(
                discovered(run.source()),
                discovered(run.source(), name="other", default_config=mutation("new")),
            )
            run.server.wait_ack(api.LISTENER)
            wanted = (500, []) if run.sources.delta else (200, ["two", "one"])
            run.until("a new listener", wanted)
        log = (run.folder / "access.log").read_text().splitlines()
        run.seen["log"] = sorted(set(log))

    _both(mode, tmp_path, gone)


@pytest.mark.parametrize("mode", ["ads-sotw", "ads-delta"])
def test_a_connection_of_before_keeps_its_filter(mode: str, tmp_path: Path) -> None:
    """A listener whose new version discovers nothing: what drains was promised another one."""

    def left(run: Run) -> None:
        run.listeners(discovered(run.source()))
        run.server.set(api.EXTENSION, extension("one"))
        with run.serving():
            run.until("before", (200, ["one"]))
            with Connection(run.port) as conn:
                assert conn.request(_GET).status == 200
                run.listeners()
                run.until("behind", (200, []))
                answer = conn.request(_GET)
                found = answer.status, answer.all("x-by-name")
                assert found == (200, ["one"])
                run.seen["on the old connection"] = found

    _both(mode, tmp_path, left)


@pytest.mark.parametrize("mode", ["ads-sotw", "ads-delta"])
def test_waiting(mode: str, tmp_path: Path) -> None:
    """A listener waits for it, unless it has a default and says so, and no longer than it says."""

    def waiting(run: Run) -> None:
        waits = run.source(initial_fetch_timeout="0s")
        soon = run.source(initial_fetch_timeout="0.2s")
        run.listeners(
            discovered(soon, default_config=mutation("default")),
            discovered(
                waits,
                name="at-once",
                default_config=mutation("at once"),
                apply_default_config_without_warming=True,
            ),
        )
        run.server.set(api.EXTENSION, extension("of another", "another"))
        with run.serving():
            run.until("defaults", (200, ["at once", "default"]))
            run.seen["stats"] = run.stats()
            run.server.set(api.EXTENSION, extension("late"), extension("later", "at-once"))
            run.server.wait_ack(api.EXTENSION)
            run.until("late", (200, ["later", "late"]))
            # It is there already: a new listener has it at once.
            run.listeners(discovered(waits, name="at-once"))
            run.until("in a new listener", (200, ["later"]))
            # This one waits for ever; the one before it serves.
            run.listeners(discovered(waits, name="never"))
            run.server.wait_ack(api.LISTENER)
            run.proxy.wait_stat("listener_manager.total_listeners_warming", 1)
            run.note("warming")
            run.server.set(api.EXTENSION, extension("at last", "never"))
            run.until("at last", (200, ["at last"]))

    _both(mode, tmp_path, waiting)


@pytest.mark.parametrize("mode", ["ads-sotw", "ads-delta"])
def test_places_that_want_other_types(mode: str, tmp_path: Path) -> None:
    """A listener that comes later and wants another type is there without; it is counted. What
    comes later must fit all."""

    def conflict(run: Run) -> None:
        run.listeners(discovered(run.source()))
        run.server.set(api.EXTENSION, extension("one"))
        with run.serving():
            run.until("first", (200, ["one"]))
            run.listeners(discovered(run.source(), CORS))
            run.server.wait_ack(api.LISTENER)
            run.until("conflict", (500, []))
            run.seen["conflict stats"] = run.stats()
            run.listeners(discovered(run.source(), CORS, MUTATION), other=discovered(run.source()))
            run.server.wait_ack(api.LISTENER)
            run.until("second", (200, ["one"]))
            run.server.set(api.EXTENSION, {"name": "by-name", "typed_config": {"@type": CORS}})
            run.server.wait_nack(api.EXTENSION)
            run.note("after a type that one does not want")

    _both(mode, tmp_path, conflict)


def test_routes_speak_of_it_by_its_name(tmp_path: Path) -> None:
    """`typed_per_filter_config` and `disabled` hold for it as for others."""

    def levels(run: Run) -> None:
        filters = [
            {**discovered(run.source()), "disabled": True},
            discovered(run.source(), FAULT, name="fault"),
        ]
        made = manager(*filters)
        host = made["route_config"]["virtual_hosts"][0]
        enabled = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}}
        abort = {
            "@type": FAULT,
            "abort": {"http_status": 418, "percentage": {"numerator": 100}},
        }
        host["routes"] = [
            {**config.route("/on", "one"), "typed_per_filter_config": {"by-name": enabled}},
            {**config.route("/fault", "one"), "typed_per_filter_config": {"fault": abort}},
            config.route("/", "one"),
        ]
        run.server.set(api.LISTENER, config.listener("web", run.port, made))
        run.server.set(
            api.EXTENSION, extension("one"), {"name": "fault", "typed_config": {"@type": FAULT}}
        )
        with run.serving():
            run.until("off", (200, []))
            for path in (b"/on", b"/fault"):
                with Connection(run.port) as conn:
                    answer = conn.request(_GET.replace(b" / ", b" " + path + b" "))
                    run.seen[path.decode()] = (answer.status, answer.all("x-by-name"))

    _both("ads-delta", tmp_path, levels)


def test_from_a_file(tmp_path: Path) -> None:
    """`path_config_source`: moved into place, bad, empty, gone."""

    def file(run: Run) -> None:
        run.folder.mkdir()
        path = run.folder / "ecds.yaml"
        source = config.from_file(path)
        run.listeners(discovered(source))
        config.move_in(path, config.discovery(api.EXTENSION, [extension("one")]))
        with run.serving():
            run.until("first", (200, ["one"]))
            config.move_in(path, config.discovery(api.EXTENSION, [extension("two")]))
            run.until("second", (200, ["two"]))
            for number, bad in enumerate(
                (
                    [{"name": "by-name", "typed_config": {"@type": CORS}}],
                    [],
                    [extension("x", "other")],
                )
            ):
                config.move_in(path, config.discovery(api.EXTENSION, bad))
                run.proxy.wait_stat(SCOPE + "update_rejected", number + 1)
                run.note(f"bad {number}")
            config.move_in(path, config.discovery(api.EXTENSION, [extension("three")]))
            run.until("third", (200, ["three"]))
            stats = run.stats()
            del stats["version_text"]
            run.seen["stats"] = stats
            two = [extension("x"), extension("y", "other")]
            config.move_in(path, config.discovery(api.EXTENSION, two))
            run.proxy.wait_stat(SCOPE + "config_fail", 4)
            run.note("two where one is expected")

    _both("ads-delta", tmp_path, file)
