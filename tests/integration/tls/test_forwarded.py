"""What upstreams are told of a client certificate."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.tls.sidecars import Terminator
from tests.support import config, tls_config
from tests.support.certs import Authority, client_context
from tests.support.client import Connection
from tests.support.ports import free_port
from tests.support.tls_config import downstream_tls
from tests.support.upstream import Upstream

_DETAILS = {"subject": True, "cert": True, "chain": True, "dns": True, "uri": True}


@pytest.fixture
def plain() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


def test_client_certificates_are_forwarded(
    terminate: Terminator, ca: Authority, plain: Upstream
) -> None:
    """x-forwarded-client-cert in its five modes, with and without one that came in."""
    middle = ca.intermediate("middle")
    server = ca.issue("server", dns=["localhost"], uris=["spiffe://cluster.local/server"])
    client = middle.issue(
        "client", dns=["a.test", "b.test"], uris=["spiffe://cluster.local/client"]
    )
    tls = downstream_tls(server, client_ca=ca.cert)
    modes = ("SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY")
    ports = {mode: free_port() for mode in modes}
    port_bare = free_port()

    def manager(mode: str, details: config.Tree) -> config.Tree:
        return config.hcm(
            config.route_config("local", config.route("/", "up")),
            forward_client_cert_details=mode,
            set_current_client_cert_details=details,
        )

    terminate.serve(
        [
            *(
                tls_config.https(mode, port, manager(mode, _DETAILS), tls)
                for mode, port in ports.items()
            ),
            tls_config.https("bare", port_bare, manager("SANITIZE_SET", {}), tls),
        ],
        (config.cluster("up", plain.port),),
    )
    context = client_context(credential=client)

    def forwarded(port: int, *came: str) -> list[str]:
        lines = [f"x-forwarded-client-cert: {value}\r\n" for value in came]
        head = "GET / HTTP/1.1\r\nHost: h\r\n" + "".join(lines) + "\r\n"
        with Connection(port, tls=context) as conn:
            assert conn.request(head.encode()).status == 200
        request = plain.requests[-1]
        assert request.get("x-forwarded-proto") == "https"
        return request.all("x-forwarded-client-cert")

    uri = "By=spiffe://cluster.local/server"
    digest = f"Hash={client.sha256}"
    encoded = {"Cert": _encoded(client.leaf_pem), "Chain": _encoded(client.pem)}
    subject = 'Subject="CN=client,O=fastmesh tests"'
    full = ";".join(
        [
            uri,
            digest,
            f'Cert="{encoded["Cert"]}"',
            f'Chain="{encoded["Chain"]}"',
            subject,
            "URI=spiffe://cluster.local/client",
            "DNS=a.test",
            "DNS=b.test",
        ]
    )
    came = "By=spiffe://x;Hash=1234"
    assert forwarded(ports["SANITIZE"], came) == []
    assert forwarded(ports["FORWARD_ONLY"], came) == [came]
    assert forwarded(ports["FORWARD_ONLY"]) == []
    assert forwarded(ports["ALWAYS_FORWARD_ONLY"], came) == [came]
    assert forwarded(ports["SANITIZE_SET"], came) == [full]
    assert forwarded(ports["APPEND_FORWARD"], came) == [f"{came},{full}"]
    assert forwarded(ports["APPEND_FORWARD"]) == [full]
    assert forwarded(port_bare, came) == [f"{uri};{digest}"]


def _encoded(pem: str) -> str:
    """As Envoy writes PEM into the header: percent-encoded."""
    table = {"\n": "%0A", " ": "%20", "+": "%2B", "/": "%2F", "=": "%3D"}
    return "".join(table.get(c, c) for c in pem)
