"""TLS to upstreams: names, certificates, versions, sessions."""

from __future__ import annotations

from typing import Any

from tests.integration.tls.sidecars import TLS12, TLS13, Originator
from tests.support import config, tls_config
from tests.support.certs import Authority
from tests.support.tls_config import san, tls_params, upstream_tls, validation
from tests.support.upstream import Upstream
from tests.support.waiting import until


def test_origination(originate: Originator, secure: Upstream, ca: Authority) -> None:
    """SNI as set, as the request says, as the endpoint is called; the certificate is shown."""
    client = ca.workload("client")
    other = Authority(ca.folder, "other-ca")

    def cluster(name: str, *args: Any, **more: Any) -> config.Tree:
        return config.cluster(name, secure.port, transport_socket=upstream_tls(*args, **more))

    def auto(name: str, tls: config.Tree, **upstream: bool) -> config.Tree:
        options = tls_config.http_options(
            upstream_http_protocol_options=upstream,
            explicit_http_config={"http_protocol_options": {}},
        )
        return config.cluster(name, secure.port, transport_socket=tls, **options)

    named = {"hostname": "endpoint.test", "address": config.address(secure.port)}
    by_host = config.cluster(
        "by_host",
        transport_socket=upstream_tls(ca.cert, client, auto_host_sni=True),
        load_assignment={
            "cluster_name": "by_host",
            "endpoints": [{"lb_endpoints": [{"endpoint": named}]}],
        },
    )
    proxy = originate.serve(
        cluster("plain_sni", ca.cert, client, sni="set.test"),
        cluster("no_sni", ca.cert, client),
        cluster("no_trust", None, client),
        auto("auto", upstream_tls(ca.cert, client), auto_sni=True),
        auto("valid", upstream_tls(ca.cert, client), auto_sni=True, auto_san_validation=True),
        by_host,
        cluster("good_san", None, client, trust=validation(ca.cert, san("DNS", exact="host.test"))),
        cluster("bad_san", None, client, trust=validation(ca.cert, san("DNS", exact="x.test"))),
        cluster("bad_ca", other.cert, client),
        cluster("no_cert", ca.cert),
    )
    for name, host, sni in (
        ("plain_sni", "host.test", "set.test"),
        ("no_sni", "host.test", None),
        ("no_trust", "host.test", None),
        ("auto", "wanted.test:8080", "wanted.test"),
        ("valid", "host.test", "host.test"),
        ("by_host", "host.test", "endpoint.test"),
        ("good_san", "host.test", None),
    ):
        assert originate.ask(name, host) == 200, name
        request = secure.requests[-1]
        assert request.sni == sni, name
        assert ("URI", "spiffe://cluster.local/ns/default/sa/client") in request.peer[
            "subjectAltName"
        ]  # type: ignore[operator]
    # Who is not whom we want gets nothing, and the log says why.
    count, reasons = len(secure.requests), {}
    for name, host, piece in (
        ("bad_san", "host.test", "SAN"),
        ("valid", "evil.test", "SAN"),
        ("bad_ca", "host.test", "CERTIFICATE_VERIFY_FAILED"),
    ):
        assert originate.ask(name, host) == 503, name
        reasons[f"/{name}"] = piece
    assert originate.ask("no_cert") == 503
    assert len(secure.requests) == count
    for path, flags, reason in originate.logged()[-4:-1]:
        assert flags == "UF", path
        assert reasons[path] in reason, path
    assert proxy.stat("cluster.bad_san.ssl.fail_verify_san") == 1
    assert proxy.stat("cluster.bad_ca.ssl.fail_verify_error") == 1
    assert proxy.stat("cluster.bad_ca.upstream_cx_connect_fail") == 1
    assert proxy.stat("cluster.auto.ssl.handshake") == 1


def test_origination_bounds_versions(originate: Originator, ca: Authority) -> None:
    """TLS 1.2 at most unless it is said otherwise, as Envoy's client has it."""
    old = ca.server("old").server_context()
    old.maximum_version = TLS12
    new = ca.server("new").server_context()
    new.minimum_version = TLS13
    with Upstream(tls=old) as up12, Upstream(tls=new) as up13:
        originate.serve(
            config.cluster("d12", up12.port, transport_socket=upstream_tls(ca.cert)),
            config.cluster("d13", up13.port, transport_socket=upstream_tls(ca.cert)),
            config.cluster(
                "x12",
                up12.port,
                transport_socket=upstream_tls(ca.cert, params=tls_params("TLSv1_3", "TLSv1_3")),
            ),
            config.cluster(
                "x13",
                up13.port,
                transport_socket=upstream_tls(ca.cert, params=tls_params(None, "TLSv1_3")),
            ),
        )
        got = {name: originate.ask(name) for name in ("d12", "d13", "x12", "x13")}
    assert got == {"d12": 200, "d13": 503, "x12": 503, "x13": 200}


def test_upstream_sessions_are_resumed(originate: Originator, ca: Authority) -> None:
    """The second connection goes on with the session of the first."""
    with Upstream(tls=ca.server().server_context()) as up:
        proxy = originate.serve(
            config.cluster("up", up.port, transport_socket=upstream_tls(ca.cert, sni="localhost"))
        )
        for _ in range(3):
            assert originate.ask("up") == 200
            up.drop_connections()
            until(lambda: proxy.stat("cluster.up.upstream_cx_active") == 0)
        assert proxy.wait_stat("cluster.up.ssl.session_reused", 2) == 2


def test_metadata_of_endpoints_chooses_the_socket(
    originate: Originator, secure: Upstream, ca: Authority
) -> None:
    """transport_socket_matches: the first that fits, else the cluster's own."""
    client = ca.workload("client")
    with Upstream() as plain:
        metadata = {"filter_metadata": {"envoy.transport_socket_match": {"tls": "yes"}}}
        endpoints = [
            {"endpoint": {"address": config.address(plain.port)}},
            {"endpoint": {"address": config.address(secure.port)}, "metadata": metadata},
        ]
        matches = [
            {
                "name": "tls",
                "match": {"tls": "yes"},
                "transport_socket": upstream_tls(ca.cert, client, sni="host.test"),
            }
        ]
        assignment = {"cluster_name": "up", "endpoints": [{"lb_endpoints": endpoints}]}
        originate.serve(
            config.cluster("up", transport_socket_matches=matches, load_assignment=assignment)
        )
        for _ in range(6):
            assert originate.ask("up") == 200
        assert (len(plain.requests), len(secure.requests)) == (3, 3)
        assert {r.sni for r in secure.requests} == {"host.test"}
