"""SAN matchers of every type, of clients' and of hosts' certificates: who passes with the stock Envoy
and with ours, and what is counted."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.support import config
from tests.support.certs import Authority, client_context
from tests.support.client import run_steps
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.tls_config import (
    chain,
    direct_response,
    downstream_tls,
    http_filter,
    listener,
    san,
    upstream_tls,
    validation,
)
from tests.support.upstream import Upstream

_UPN = "1.3.6.1.4.1.311.20.2.3"
_TWIN = "1.3.6.1.4.1.311.20.2.4"


def _regex(text: str) -> dict[str, Any]:
    return {"safe_regex": {"regex": text}}


# Type, matcher.
PATTERNS: list[tuple[str, dict[str, Any]]] = [
    ("DNS", {"exact": "a.host.test"}),
    ("DNS", {"exact": "A.HOST.test"}),
    ("DNS", {"exact": "x.wild.test"}),
    ("DNS", {"exact": "x.y.wild.test"}),
    ("DNS", {"exact": "wild.test"}),
    ("DNS", {"exact": "*.wild.test"}),
    ("DNS", {"exact": "a.host.test.", "ignore_case": True}),
    ("DNS", {"exact": "a.HOST.test", "ignore_case": True}),
    ("DNS", {"exact": "CAPITAL.test"}),
    ("DNS", {"exact": "capital.test"}),
    ("DNS", {"prefix": "a.host."}),
    ("DNS", {"prefix": "x.wild"}),
    ("DNS", {"prefix": "*.w"}),
    ("DNS", {"prefix": "A.host."}),
    ("DNS", {"prefix": "A.host.", "ignore_case": True}),
    ("DNS", {"suffix": ".test"}),
    ("DNS", {"suffix": "wild.test"}),
    ("DNS", {"suffix": ".WILD.test", "ignore_case": True}),
    ("DNS", {"contains": "host"}),
    ("DNS", {"contains": "HOST", "ignore_case": True}),
    ("DNS", {"contains": "HOST"}),
    ("DNS", _regex("a\\.host\\.test")),
    ("DNS", _regex("host")),
    ("DNS", _regex(".*wild.*")),
    ("DNS", {"exact": "10.1.2.3"}),
    ("URI", {"exact": "spiffe://mesh/ns/a/sa/b"}),
    ("URI", {"exact": "spiffe://MESH/ns/a/sa/b"}),
    ("URI", {"exact": "SPIFFE://mesh/ns/a/sa/b", "ignore_case": True}),
    ("URI", {"prefix": "spiffe://mesh/"}),
    ("URI", {"suffix": "/sa/b"}),
    ("URI", {"contains": "ns/a"}),
    ("URI", _regex("spiffe://mesh/ns/[^/]+/sa/b")),
    ("URI", _regex("spiffe://mesh")),
    ("URI", {"exact": "a.host.test"}),
    ("EMAIL", {"exact": "me@host.test"}),
    ("EMAIL", {"exact": "ME@host.test"}),
    ("EMAIL", {"prefix": "me@"}),
    ("EMAIL", {"suffix": "@host.test"}),
    ("EMAIL", {"suffix": "@HOST.test", "ignore_case": True}),
    ("EMAIL", {"contains": "@"}),
    ("EMAIL", _regex(".+@host\\.test")),
    ("IP_ADDRESS", {"exact": "10.1.2.3"}),
    ("IP_ADDRESS", {"exact": "010.1.2.3"}),
    ("IP_ADDRESS", {"prefix": "10.1."}),
    ("IP_ADDRESS", {"suffix": ".3"}),
    ("IP_ADDRESS", {"contains": "1.2"}),
    ("IP_ADDRESS", _regex("10\\.1\\.2\\.\\d")),
    ("IP_ADDRESS", {"exact": "2001:db8::1"}),
    ("IP_ADDRESS", {"exact": "2001:DB8::1"}),
    ("IP_ADDRESS", {"exact": "2001:db8:0:0:0:0:0:1"}),
    ("IP_ADDRESS", {"prefix": "2001:db8:"}),
    ("IP_ADDRESS", {"exact": "::ffff:10.9.9.9"}),
    ("IP_ADDRESS", {"exact": "10.9.9.9"}),
    ("OTHER_NAME", {"exact": "me@upn"}),
    ("OTHER_NAME", {"prefix": "me@"}),
    ("OTHER_NAME", {"suffix": "@upn"}),
    ("OTHER_NAME", {"contains": "@"}),
    ("OTHER_NAME", _regex("m.@upn")),
    ("OTHER_NAME", {"exact": "ME@upn"}),
    ("OTHER_NAME", {"exact": "twin"}),
]
IDS = [f"{kind}-{'-'.join(how)}-{next(iter(how.values()))}" for kind, how in PATTERNS]
_STATS = re.compile(
    r"^(?:cluster|listener)\.(\w+)\.ssl\.(fail_\w+|handshake|connection_error): (\d+)$"
)


def _names() -> dict[str, Any]:
    """What both certificates have."""
    upn = x509.OtherName(x509.ObjectIdentifier(_UPN), b"\x0c\x06me@upn")
    twin = x509.OtherName(x509.ObjectIdentifier(_TWIN), b"\x0c\x04twin")
    listed: list[x509.GeneralName] = [
        *(x509.DNSName(n) for n in ("a.host.test", "*.wild.test", "CAPITAL.test")),
        *(x509.UniformResourceIdentifier(n) for n in ("spiffe://mesh/ns/a/sa/b", "urn:x:y")),
        x509.RFC822Name("me@host.test"),
        *(
            x509.IPAddress(ipaddress.ip_address(n))
            for n in ("10.1.2.3", "2001:db8::1", "::ffff:10.9.9.9")
        ),
        upn,
        twin,
    ]
    return {"extensions": [x509.SubjectAlternativeName(listed)]}


def _matcher(kind: str, how: dict[str, Any]) -> config.Tree:
    return san(kind, **how) | ({"oid": _UPN} if kind == "OTHER_NAME" else {})


def run(kind: str, folder: Path) -> tuple[dict[str, bool], dict[str, bool], dict[str, str]]:
    """Who passes as a client, who as a host, and the statistics."""
    ca = Authority(folder / "ca")
    server = ca.server("front", dns=["front.test", "*.m.test"])
    credential = ca.issue("peer", **_names())
    port, out, admin = free_port(), free_port(), free_port()
    chains, clusters = [], []
    with Upstream(tls=credential.server_context()) as host:
        for at, (of, how) in enumerate(PATTERNS):
            trust = validation(ca.cert, _matcher(of, how))
            manager = config.hcm(config.route_config("r", direct_response("/")))
            chains.append(
                chain(
                    http_filter(manager),
                    tls=downstream_tls(server, trust=trust, require_client_certificate=True),
                    match={"server_names": [f"p{at}.m.test"]},
                    name=f"p{at}",
                )
            )
            cluster = config.cluster(f"p{at}", host.port)
            clusters.append({**cluster, "transport_socket": upstream_tls(trust=trust)})
        route = {"match": {"prefix": "/"}, "route": {"cluster_header": "x-to"}}
        listeners = [
            listener("front", port, *chains, inspect_tls=True, stat_prefix="front"),
            config.listener("out", out, config.hcm(config.route_config("r", route))),
        ]
        with Proxy(kind, config.bootstrap(admin, listeners, clusters), folder, admin) as proxy:
            clients, hosts = {}, {}
            for at, name in enumerate(IDS):
                clients[name] = _enters(port, f"p{at}.m.test", client_context(ca.cert, credential))
                head = f"GET / HTTP/1.1\r\nhost: a\r\nx-to: p{at}\r\n\r\n".encode()
                got = run_steps(out, (head,), ["GET"], 1, 0.0)
                hosts[name] = got.messages[0].start == "HTTP/1.1 200 OK"
            found = {}
            for line in proxy.admin("GET", "/stats")[1].splitlines():
                if match := _STATS.match(line):
                    found[f"{match[1]} {match[2]}"] = match[3]
            return clients, hosts, found


def _enters(port: int, name: str, context: ssl.SSLContext) -> bool:
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 10) as plain,
            context.wrap_socket(plain, server_hostname=name) as client,
        ):
            client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            return client.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


Seen = dict[str, tuple[dict[str, bool], dict[str, bool], dict[str, str]]]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """By proxy."""
    folder = tmp_path_factory.mktemp("sans")
    with ThreadPoolExecutor() as pool:
        jobs = {kind: pool.submit(run, kind, folder / kind) for kind in (ENVOY, OURS)}
        return {kind: job.result() for kind, job in jobs.items()}


@pytest.mark.parametrize("name", IDS)
def test_clients(seen: Seen, name: str) -> None:
    """Whose certificate has such a name passes."""
    assert seen[OURS][0][name] == seen[ENVOY][0][name]


@pytest.mark.parametrize("name", IDS)
def test_hosts(seen: Seen, name: str) -> None:
    """The same of hosts."""
    assert seen[OURS][1][name] == seen[ENVOY][1][name]


def test_some_pass_and_some_do_not(seen: Seen) -> None:
    """Or there is nothing to compare."""
    for side in (0, 1):
        assert 10 < sum(seen[ENVOY][side].values()) < len(PATTERNS) - 10  # type: ignore[arg-type]


def test_statistics(seen: Seen) -> None:
    """`ssl.fail_verify_san` and its like, of the listener and of clusters."""
    assert seen[OURS][2] == seen[ENVOY][2]
