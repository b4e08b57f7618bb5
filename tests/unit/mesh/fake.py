"""An in-memory stand-in for `mesh._fastpath`: resources are JSON, nothing is served."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

VERSION = "0.0.0"


class ConfigError(ValueError):
    """As in _fastpath.pyi."""

    problems: list[tuple[str, int, int, str, str]]


class Bootstrap:
    """Reads the JSON given as `body`."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.body = json.dumps({"node": document.get("node", {})}).encode()
        self.node_id = document.get("node", {}).get("id", "")
        self.node_cluster = document.get("node", {}).get("cluster", "")
        admin = document.get("admin")
        self.admin_address = (admin[0], admin[1]) if admin else None
        self.static_listeners = pairs(document.get("listeners", []))
        self.static_clusters = pairs(document.get("clusters", []))
        self.static_secrets = pairs(document.get("secrets", []))
        self.dynamic = [tuple(one) for one in document.get("dynamic", [])]
        self.remote = [tuple(one) for one in document.get("remote", [])]
        self.ads = tuple(document["ads"]) if "ads" in document else None
        self.stats_flush_interval = 5.0
        self.ignored = document.get("ignored", [])

    def node(self, node_id: str, cluster: str, zone: str) -> bytes:
        return f"{node_id or self.node_id}/{cluster or self.node_cluster}/{zone}".encode()


def pairs(resources: list[dict[str, Any]]) -> list[tuple[str, bytes]]:
    return [(one["name"], json.dumps(one).encode()) for one in resources]


def load_bootstrap(text: bytes, filename: str, ignore_unknown: bool) -> Bootstrap:
    try:
        document = json.loads(text)
        if document.get("ignored") and not ignore_unknown:
            raise ConfigError(f"{filename}:1:1: no such field")
        return Bootstrap(document)
    except ValueError as error:
        raise ConfigError(f"{filename}:1:1: {error}") from None


def merge_bootstrap(base: Bootstrap, text: bytes, filename: str, ignore_unknown: bool) -> Bootstrap:
    return Bootstrap(base.document | load_bootstrap(text, filename, ignore_unknown).document)


def validate(bootstrap: Bootstrap) -> None:
    for name, body in bootstrap.static_clusters + bootstrap.static_listeners:
        if reason := json.loads(body).get("bad"):
            raise ConfigError(f"{name}: {reason}")


def load_discovery_response(
    text: bytes, filename: str, type_url: str, ignore_unknown: bool
) -> tuple[str, list[tuple[str, bytes]], list[tuple[str, str, str]]]:
    """Each of a resource's `unreadable` is a problem that keeps it from becoming bytes."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{filename}:1:1: {error}") from None
    resources = document.get("resources", [])
    refused = [
        (one["name"], "field", f"{filename}:1:1: {reason}")
        for one in resources
        for reason in one.get("unreadable", [])
    ]
    readable = [one for one in resources if "unreadable" not in one]
    return document.get("version_info", ""), pairs(readable), refused


def to_json(type_url: str, body: bytes) -> str:
    return body.decode()


class Applied:
    revisions = itertools.count(1)

    def __init__(self) -> None:
        self.revision = next(self.revisions)
        self.accepted: list[str] = []
        self.unchanged: list[str] = []
        self.removed: list[str] = []
        self.rejected: list[tuple[str, str, str]] = []
        self.wanted: list[tuple[str, str, str, str, float, str]] = []
        self.watched: list[tuple[str, str, str]] = []
        self.remote: list[tuple[Any, ...]] = []


class Engine:
    """Refuses a resource with `bad`; wants the files listed in `wanted` of what it accepted, and
    of servers what `remote` lists: (type_url, name, timeout, scope, server or null). The
    `files` of a resource are watched, and read into what is held of it: one that is not there or
    says "bad" is refused."""

    def __init__(
        self,
        concurrency: int = 1,
        drain_time: float = 600.0,
        service_node: str = "",
        service_cluster: str = "",
        file_flush_interval: float = 1.0,
        local_ipv6: bool = False,
    ) -> None:
        self.concurrency = concurrency
        self.bound = ["127.0.0.1:80"]
        self.calls: list[tuple[Any, ...]] = []
        self.held: dict[tuple[str, str], dict[str, Any]] = {}
        self.files: dict[tuple[str, str], list[str]] = {}
        self.stats: dict[str, int | str] = {}
        self.warming_now: list[tuple[str, str]] = []

    def apply(
        self, type_url: str, updated: list[tuple[str, bytes]], removed: list[str], static: bool
    ) -> Applied:
        done = Applied()
        kind = type_url.rpartition(".")[2]
        self.calls.append(("apply", kind, [name for name, _ in updated], removed, static))
        for name in removed:
            if self.held.pop((type_url, name), None) is not None:
                done.removed.append(name)
        for name, body in updated:
            document = json.loads(body)
            try:
                read = [Path(path).read_text() for path in document.get("files", [])]
            except OSError:
                read = ["bad"]
            self.files[type_url, name] = document.get("files", [])
            document["read"] = read
            if "bad" in document or "bad" in read:
                done.rejected.append((name, "field", document.get("bad", "bad file")))
            elif self.held.get((type_url, name)) == document:
                done.unchanged.append(name)
            else:
                self.held[type_url, name] = document
                done.accepted.append(name)
        for document in self.held.values():
            done.wanted += [tuple(one) for one in document.get("wanted", [])]
            done.remote += [tuple(one) for one in document.get("remote", [])]
        done.watched = [
            (type_url, name, str(Path(path).parent))
            for (type_url, name), paths in self.files.items()
            for path in paths
        ]
        return done

    def allow_ads(self) -> None:
        self.calls.append(("allow_ads",))

    def introduce(self, bootstrap: Any) -> None:
        self.calls.append(("introduce", bootstrap))

    def bind_upstreams(self, bootstrap: Any) -> None:
        self.calls.append(("bind_upstreams", bootstrap))

    def log_ejections(self, bootstrap: Any) -> None:
        self.calls.append(("log_ejections", bootstrap))
        if bootstrap.document.get("ejection_log_is_locked"):
            raise PermissionError(13, "Permission denied")

    def grpc_calls(self) -> Calls:
        self.server = Calls()
        return self.server

    def certs_json(self) -> str:
        return '{"certificates": [{"ca_cert": [], "cert_chain": [{"path": "a.crt"}]}]}'

    def fetch_timed_out(self, type_url: str, name: str) -> None:
        self.calls.append(("fetch_timed_out", type_url.rpartition(".")[2], name))

    def listeners(self) -> list[tuple[str, str, str]]:
        return [("web", each, "active") for each in self.bound] + [
            ("old", "127.0.0.1:81", "draining")
        ]

    def clusters_json(self) -> str:
        return '{"cluster_statuses": [{"name": "web"}]}'

    def clusters_text(self) -> str:
        return "web::default_priority::max_connections::1024\n"

    def warming(self) -> list[tuple[str, str]]:
        return self.warming_now

    def drain_listeners(self, graceful: bool, inbound_only: bool) -> None:
        self.calls.append(("drain_listeners", graceful, inbound_only))

    def fail_health_check(self, fail: bool) -> None:
        self.calls.append(("fail_health_check", fail))

    def shutdown(self, drain_seconds: float) -> bool:
        self.calls.append(("shutdown", drain_seconds))
        return True

    def active_connections(self) -> int:
        return 0

    def reopen_logs(self) -> None:
        self.calls.append(("reopen_logs",))

    def stats_text(self, filter: str | None, used_only: bool, kind: str) -> str:
        if filter == "(":
            raise ValueError("missing ): (")
        return f"filter={filter} used_only={used_only} kind={kind}\n"

    def stats_json(self, filter: str | None, used_only: bool, kind: str) -> str:
        return '{"stats":[]}'

    def stats_prometheus(self, filter: str | None, used_only: bool) -> str:
        return "# TYPE envoy_server_live gauge\n"

    def reset_counters(self) -> None:
        self.calls.append(("reset_counters",))

    def count(self, name: str, delta: int) -> None:
        self.stats[name] = int(self.stats.get(name, 0)) + delta

    def gauge(self, name: str, value: int) -> None:
        self.stats[name] = value

    def text_readout(self, name: str, value: str) -> None:
        self.stats[name] = value

    def flush_histograms(self) -> None:
        self.calls.append(("flush_histograms",))


class Calls:
    """A server that a test plays: `sent` has the requests as they were encoded, `say` answers."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, str]] = []
        self.metadata: list[tuple[str, list[tuple[str, str]]]] = []
        self.cancelled: list[int] = []
        self.sent: list[tuple[int, dict[str, Any]]] = []
        self.events: list[tuple[int, str, bytes, int, str]] = []
        #: Messages are refused: too many wait.
        self.full = False
        self._read, self._write = os.pipe()

    def fileno(self) -> int:
        return self._read

    def open(
        self,
        cluster: str,
        path: str,
        authority: str,
        metadata: list[tuple[str, str]],
        timeout: float,
        max_message: int | None,
    ) -> int:
        self.opened.append((cluster, path))
        self.metadata.append((authority, metadata))
        return len(self.opened)

    def send(self, call: int, message: bytes, end: bool) -> bool:
        if self.full:
            return False
        self.sent.append((call, json.loads(message)))
        return True

    def cancel(self, call: int) -> None:
        self.cancelled.append(call)

    def read(self) -> list[tuple[int, str, bytes, int, str]]:
        events, self.events = self.events, []
        return events


def decode_response(message: bytes, ignore_unknown: bool) -> tuple[Any, ...]:
    """`resources` are as for `load_discovery_response`, with `ttl`, `version` and `heartbeat`."""
    try:
        document = json.loads(message)
    except ValueError:
        raise ValueError("not a DiscoveryResponse") from None
    items = []
    for one in document.get("resources", []):
        body = {key: value for key, value in one.items() if key not in {"ttl", "version"}}
        heartbeat = body.pop("heartbeat", False)
        encoded = None if heartbeat else json.dumps(body).encode()
        items.append((one["name"], one.get("version", ""), encoded, one.get("ttl", 0.0)))
    return (
        document["type_url"],
        document.get("version", ""),
        document.get("nonce", ""),
        document.get("control_plane", ""),
        items,
        document.get("removed", []),
        document.get("problem", ""),
    )


decode_delta_response = decode_response


def encode_request(
    node: bytes, type_url: str, version: str, nonce: str, names: list[str], error: str
) -> bytes:
    document = {"node": node.decode(), "type": type_url.rpartition(".")[2], "version": version}
    document |= {"nonce": nonce, "names": names, "error": error}
    return json.dumps({key: value for key, value in document.items() if value}).encode()


def encode_delta_request(
    node: bytes,
    type_url: str,
    nonce: str,
    subscribe: list[str],
    unsubscribe: list[str],
    versions: list[tuple[str, str]],
    error: str,
) -> bytes:
    document = {"node": node.decode(), "type": type_url.rpartition(".")[2], "nonce": nonce}
    document |= {"more": subscribe, "less": unsubscribe, "known": dict(versions), "error": error}
    return json.dumps({key: value for key, value in document.items() if value}).encode()


def holds_secrets(type_url: str, body: bytes) -> bool:
    return "secret" in json.loads(body)


class Watcher:
    """`move` is what the kernel would do."""

    def __init__(self) -> None:
        self.directories: set[str] = set()
        self.moves: list[tuple[str, str]] = []
        self._read, self._write = os.pipe()

    def fileno(self) -> int:
        return self._read

    def add(self, directory: str) -> None:
        if not os.path.isdir(directory):
            raise FileNotFoundError(2, "No such file or directory", directory)
        self.directories.add(directory)

    def remove(self, directory: str) -> None:
        self.directories.discard(directory)

    def move(self, directory: str, name: str) -> None:
        self.moves.append((directory, name))
        os.write(self._write, b"\0")

    def read(self) -> list[tuple[str, str]]:
        os.read(self._read, 4096)
        moves, self.moves = self.moves, []
        return moves


LOG: list[tuple[str, str, str]] = []
_LEVELS = {"main": "info", "config": "info", "upstream": "info"}


def release_memory() -> None:
    LOG.append(("debug", "main", "memory released"))


def log(level: str, component: str, message: str) -> None:
    LOG.append((level, component, message))


def set_log_level(component: str, level: str) -> bool:
    if component and component not in _LEVELS:
        return False
    _LEVELS.update(dict.fromkeys([component] if component else _LEVELS, level))
    return True


def set_log_format(pattern: str) -> bool:
    return True


def log_levels() -> dict[str, str]:
    return dict(_LEVELS)


def parse_request_head(buf: bytes) -> tuple[int, str, str, list[tuple[str, str]], int] | None:
    head, end, _ = buf.partition(b"\r\n\r\n")
    if not end:
        return None
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3:
        raise ValueError("malformed request line")
    headers = [
        (name, value.strip()) for name, _, value in (one.partition(":") for one in lines[1:])
    ]
    lengths = {name.lower(): value for name, value in headers}
    length = -1 if "transfer-encoding" in lengths else int(lengths.get("content-length", "0"))
    return len(head) + 4, words[0], words[1], headers, length
