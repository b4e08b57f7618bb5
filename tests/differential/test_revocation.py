"""Revocation lists: who gets in and which host is trusted, with the stock Envoy and ours; lists that
change on disk."""

from __future__ import annotations

import re
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support import config
from tests.support.certs import EXPIRED, NOT_YET, Authority, Credential, client_context
from tests.support.client import run_steps
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.tls_config import (
    chain,
    direct_response,
    downstream_tls,
    http_filter,
    http_options,
    listener,
    pem,
    upstream_tls,
)
from tests.support.upstream import Upstream

_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
_HELLO = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
_STATS = re.compile(r"^(?:cluster|listener)\.(\w+)\.ssl\.(fail_\w+|handshake|no_cert\w*): (\d+)$")


PEERS = ("good", "revoked", "of_withdrawn", "of_root", "root_revoked")


class World:
    """root -> inter -> leaves, root -> withdrawn -> a leaf; and a stranger."""

    def __init__(self, folder: Path) -> None:
        self.root = Authority(folder, "root")
        inter, withdrawn = self.root.intermediate("inter"), self.root.intermediate("withdrawn")
        self.peers: dict[str, Credential] = {
            "good": inter.issue("good", dns=["good.test"]),
            "revoked": inter.issue("revoked", dns=["revoked.test"]),
            "of_withdrawn": withdrawn.issue("of_withdrawn", dns=["w.test"]),
            "of_root": self.root.issue("of_root", dns=["root.test"]),
            "root_revoked": self.root.issue("root_revoked", dns=["root2.test"]),
        }
        self.server = self.root.server("front", dns=["*.m.test"])
        bad, worse = self.peers["revoked"], self.peers["root_revoked"]
        lists: dict[str, Path] = {
            "root": self.root.revoke(withdrawn, worse, name="root"),
            "root_none": self.root.revoke(name="root_none"),
            "inter": inter.revoke(bad, name="inter"),
            "inter_new": inter.revoke(bad, name="inter_new", number=2, validity=_FRESH),
            "inter_none": inter.revoke(name="inter_none"),
            "inter_old": inter.revoke(bad, name="inter_old", validity=EXPIRED),
            "inter_early": inter.revoke(bad, name="inter_early", validity=NOT_YET),
            "root_old": self.root.revoke(withdrawn, name="root_old", validity=EXPIRED),
            "withdrawn": withdrawn.revoke(name="withdrawn"),
            "stranger": Authority(folder / "x", "stranger").revoke(name="stranger"),
        }
        self.lists = {name: path.read_text() for name, path in lists.items()}
        self.roots = {
            "root": self.root.cert.read_text(),
            "both": self.root.cert.read_text() + inter.cert.read_text(),
            "inter": inter.cert.read_text(),
        }
        self.folder = folder

    def context(self, name: str) -> config.Tree:
        """The validation context of a scene."""
        roots, lists, more = SCENES[name]
        path = self.folder / f"{name}.crl"
        path.write_text("".join(self.lists[each] for each in lists.split()))
        return {
            "trusted_ca": {"inline_string": self.roots[roots]},
            "crl": {"inline_string": path.read_text()} if name.endswith("inline") else pem(path),
            **more,
        }


_FRESH = (timedelta(hours=-1), timedelta(days=30))
_LEAF: dict[str, Any] = {"only_verify_leaf_cert_crl": True}
# Trusted certificates, revocation lists, further fields.
SCENES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "all": ("root", "root inter withdrawn", {}),
    "all_inline": ("root", "inter root withdrawn", {}),
    "all_leaf": ("root", "root inter withdrawn", _LEAF),
    "inter": ("root", "inter", {}),
    "inter_leaf": ("root", "inter", _LEAF),
    "root": ("root", "root", {}),
    "root_leaf": ("root", "root", _LEAF),
    "stranger": ("root", "stranger", {}),
    "stranger_leaf": ("root", "stranger", _LEAF),
    "stranger_too": ("root", "stranger root inter", {}),
    "old": ("root", "root inter_old", {}),
    "old_leaf": ("root", "root inter_old", _LEAF),
    "old_root": ("root", "root_old inter", {}),
    "old_root_leaf": ("root", "root_old inter", _LEAF),
    "old_allowed": ("root", "root inter_old", {"allow_expired_certificate": True}),
    "early": ("root", "root inter_early", {}),
    "early_allowed": ("root", "root inter_early", {"allow_expired_certificate": True}),
    "old_and_new": ("root", "root inter_old inter_new", {}),
    "none_and_new": ("root", "root inter_none inter_new", {}),
    "new_and_none": ("root", "root inter_new inter_none", {}),
    "none_twice": ("root", "root_none inter_none", {}),
    "bundle": ("both", "root inter", {}),
    "bundle_inter": ("both", "inter", {}),
    "partial": ("inter", "inter", {}),
    "partial_root": ("inter", "root inter", {}),
    "lenient": ("root", "root inter", {"trust_chain_verification": "ACCEPT_UNTRUSTED"}),
}


@dataclass
class Seen:
    """By scene and peer."""

    clients: dict[str, bool] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)
    stats: dict[str, str] = field(default_factory=dict)


def run(kind: str, folder: Path) -> Seen:
    """Every peer at every scene, as a client and as a host."""
    world = World(folder)
    port, out, admin = free_port(), free_port(), free_port()
    hosts = {name: Upstream(tls=peer.server_context()) for name, peer in world.peers.items()}
    chains, clusters = [], []
    for scene in SCENES:
        trust = world.context(scene)
        manager = config.hcm(config.route_config("r", direct_response("/")))
        tls = downstream_tls(world.server, trust=trust, require_client_certificate=True)
        match = {"server_names": [f"{scene.replace('_', '-')}.m.test"]}
        chains.append(chain(http_filter(manager), tls=tls, match=match, name=scene))
        for name, host in hosts.items():
            cluster = config.cluster(f"{scene}__{name}", host.port)
            clusters.append({**cluster, "transport_socket": upstream_tls(trust=trust)})
    route = {"match": {"prefix": "/"}, "route": {"cluster_header": "x-to"}}
    log = folder / "access.log"
    form = {"text_format_source": {"inline_string": _FORMAT}}
    typed = {"@type": _LOG, "path": str(log), "log_format": form}
    manager = config.hcm(
        config.route_config("r", route), access_log=[{"name": "file", "typed_config": typed}]
    )
    listeners = [
        listener("front", port, *chains, inspect_tls=True, stat_prefix="front"),
        config.listener("out", out, manager),
    ]
    tree = config.bootstrap(admin, listeners, clusters)
    soon = () if kind == ENVOY else ("--file-flush-interval-msec", "10")
    seen = Seen()
    try:
        with Proxy(kind, tree, folder, admin, *soon) as proxy:
            for scene in SCENES:
                for name, peer in world.peers.items():
                    case = f"{scene}__{name}"
                    server = f"{scene.replace('_', '-')}.m.test"
                    seen.clients[case] = _enters(port, server, client_context(None, peer))
                    head = f"GET / HTTP/1.1\r\nhost: a\r\nx-to: {case}\r\n\r\n".encode()
                    run_steps(out, (head,), ["GET"], 1, 0.0)
            end = time.monotonic() + 10
            count = len(SCENES) * len(hosts)
            while log.read_text().count("\n") < count and time.monotonic() < end:
                time.sleep(0.01)
            for line in log.read_text().splitlines():
                case, _, said = line.partition(" ")
                seen.hosts[case] = said
            for line in proxy.admin("GET", "/stats")[1].splitlines():
                if found := _STATS.match(line):
                    seen.stats[f"{found[1]} {found[2]}"] = found[3]
    finally:
        for host in hosts.values():
            host.stop()
    return seen


_FORMAT = (
    "%UPSTREAM_CLUSTER% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% "
    "%UPSTREAM_TRANSPORT_FAILURE_REASON%\n"
)


def _open(port: int, name: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port), 10)
    return context.wrap_socket(plain, server_hostname=name)


def _answers(client: ssl.SSLSocket) -> bool:
    client.sendall(_HELLO)
    return client.recv(4096).startswith(b"HTTP/1.1 200")


def _enters(port: int, name: str, context: ssl.SSLContext) -> bool:
    try:
        with _open(port, name, context) as client:
            return _answers(client)
    except OSError:
        return False


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """By proxy."""
    folder = tmp_path_factory.mktemp("crl")
    with ThreadPoolExecutor() as pool:
        jobs = {kind: pool.submit(run, kind, folder / kind) for kind in (ENVOY, OURS)}
        return {kind: job.result() for kind, job in jobs.items()}


CASES = [f"{scene}__{peer}" for scene in SCENES for peer in PEERS]


@pytest.mark.parametrize("scene", SCENES)
def test_clients(seen: dict[str, Seen], scene: str) -> None:
    """Who gets in."""
    envoy, ours = (
        {peer: seen[kind].clients[f"{scene}__{peer}"] for peer in PEERS} for kind in (ENVOY, OURS)
    )
    assert ours == envoy


@pytest.mark.parametrize("scene", SCENES)
def test_hosts(seen: dict[str, Seen], scene: str) -> None:
    """Which host is trusted, and how a request fails that finds none."""
    for peer in PEERS:
        envoy, ours = (seen[kind].hosts[f"{scene}__{peer}"] for kind in (ENVOY, OURS))
        # Which certificate of a chain is looked at first is the library's.
        assert _verdict(ours) == _verdict(envoy), peer
        if scene == "all":
            assert _DEPTH.sub("", ours) == _DEPTH.sub("", envoy), peer


_DEPTH = re.compile(r"_at_depth_\d")


def _verdict(line: str) -> list[str]:
    return re.split(r"[ |]", line)[:3]


def test_statistics(seen: dict[str, Seen]) -> None:
    """`ssl.fail_verify_error` and its like, of the listener and of clusters."""
    assert seen[OURS].stats == seen[ENVOY].stats
    assert int(seen[ENVOY].stats["front fail_verify_error"]) > 20


# How lists reach a proxy that change on disk.
WAYS = ("sds", "sds_directory", "static", "static_directory")


@dataclass
class Told:
    """Whether a client gets in, at each step; and one that is connected all the time."""

    enters: list[bool] = field(default_factory=list)
    stays: list[bool] = field(default_factory=list)
    hosts: list[int] = field(default_factory=list)
    log: str = ""


def change(kind: str, way: str, folder: Path) -> Told:
    """A client is revoked, a file is broken, and the client is taken back."""
    world = World(folder / "ca")
    port, out, admin = free_port(), free_port(), free_port()
    crl = folder / "crl" / "list.pem"
    crl.parent.mkdir(parents=True)
    crl.write_text(world.lists["root"] + world.lists["inter_none"])
    trust: config.Tree = {"trusted_ca": pem(world.root.cert), "crl": pem(crl)}
    if way.endswith("directory"):
        trust["watched_directory"] = {"path": str(crl.parent)}
    common: config.Tree = {"validation_context": trust}
    sds = folder / "sds.yaml"
    if way.startswith("sds"):
        sds.write_text(config.discovery(_SECRET, [{"name": "trust", "validation_context": trust}]))
        named = {"name": "trust", "sds_config": config.from_file(sds)}
        common = {"validation_context_sds_secret_config": named}
    peer = world.peers["revoked"]
    manager = config.hcm(config.route_config("r", direct_response("/")))
    tls = downstream_tls(
        world.server, common=common, require_client_certificate=True, session_timeout="0s"
    )
    told = Told()
    with Upstream(tls=peer.server_context()) as host:
        cluster = config.cluster(
            "up",
            host.port,
            transport_socket=upstream_tls(common=common),
            **http_options(
                explicit_http_config={"http_protocol_options": {}},
                common_http_protocol_options={"max_requests_per_connection": 1},
            ),
        )
        listeners = [
            listener("front", port, chain(http_filter(manager), tls=tls), inspect_tls=True),
            config.listener(
                "out", out, config.hcm(config.route_config("r", config.route("/", "up")))
            ),
        ]
        tree = config.bootstrap(admin, listeners, [cluster])
        with Proxy(kind, tree, folder, admin) as proxy:
            context = client_context(None, peer)
            with _open(port, "a.m.test", context) as first:

                def look(want: bool | None) -> None:
                    end = time.monotonic() + (1.0 if want is None else 10.0)
                    while (now := _enters(port, "a.m.test", context)) is not want:
                        if time.monotonic() > end:
                            break
                        time.sleep(0.05)
                    told.enters.append(now)
                    told.stays.append(_answers(first))
                    got = run_steps(out, (_HELLO,), ["GET"], 1, 0.0)
                    told.hosts.append(int(got.messages[0].start.split()[1]))

                is_watched = way != "static"
                look(True)
                for lists, want in (
                    ("root inter", False),
                    ("root inter_none", True),
                    ("stranger", False),
                    ("root inter_old", False),
                    ("", False),
                    ("root inter_none", True),
                ):
                    text = "".join(world.lists[each] for each in lists.split())
                    config.move_in(crl, text or "no list")
                    look(want if is_watched and lists else None)
            told.log = proxy.log()
    return told


@pytest.mark.parametrize("way", WAYS)
def test_lists_that_change(tmp_path: Path, way: str) -> None:
    """The next handshake counts; whoever is connected stays. What cannot be read changes nothing."""
    with ThreadPoolExecutor() as pool:
        jobs = {kind: pool.submit(change, kind, way, tmp_path / kind) for kind in (ENVOY, OURS)}
        told = {kind: job.result() for kind, job in jobs.items()}
    for each in told.values():
        each.log = ""
    assert told[OURS] == told[ENVOY]
    assert told[OURS].stays == [True] * 7
