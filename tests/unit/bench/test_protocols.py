"""The configurations that peers get for each protocol, and what is asked of them afterwards."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench import certificates, hop
from bench.envoy_config import bootstrap
from bench.errors import BenchError, UnableError
from bench.loads import GrpcLoad, H2Load, HandshakeLoad, Load, TcpLoad, WebSocketLoad
from bench.measure import GateError
from bench.peers.envoy import Here as Envoy
from bench.peers.haproxy import Here as Haproxy
from bench.peers.nginx import Here as Nginx
from bench.peers.ours import Here as Ours
from bench.scenario import Round
from bench.scenarios.mtls_pair import BEHIND, FRONT
from bench.site import Carries, Setup, Site, Wire

STATISTICS = """\
http.bench.downstream_cx_http2_total: 1
listener.127.0.0.1_1.ssl.ciphers.TLS_AES_128_GCM_SHA256: 1
listener.127.0.0.1_1.ssl.curves.X25519: 1
listener.127.0.0.1_1.ssl.versions.TLSv1.2: 0
listener.127.0.0.1_1.ssl.versions.TLSv1.3: 1
"""


def site(tmp_path: Path, setup: Setup) -> Site:
    return Site(setup, listen=1001, admin=1002, upstream=1003, folder=tmp_path)


def resources(tmp_path: Path, setup: Setup) -> tuple[dict[str, Any], dict[str, Any]]:
    """The filter chain and the cluster."""
    made = json.loads(bootstrap(site(tmp_path, setup)))["static_resources"]
    return made["listeners"][0]["filter_chains"][0], made["clusters"][0]


def context(holder: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = holder["transport_socket"]["typed_config"]
    return made


def nginx(tmp_path: Path, setup: Setup) -> str:
    Nginx().command(site(tmp_path, setup))
    return (tmp_path / "nginx.conf").read_text()


def haproxy(tmp_path: Path, setup: Setup) -> str:
    Haproxy().command(site(tmp_path, setup))
    return (tmp_path / "haproxy.cfg").read_text()


def test_plain_http_has_no_transport_socket(tmp_path: Path) -> None:
    chain, cluster = resources(tmp_path, Setup())
    assert "transport_socket" not in chain
    assert "transport_socket" not in cluster
    assert "typed_extension_protocol_options" not in cluster


def test_both_sides_of_a_pair_are_held_to_tls_1_3_and_to_each_other(tmp_path: Path) -> None:
    _, cluster = resources(tmp_path, FRONT)
    chain, _ = resources(tmp_path, BEHIND)
    client, server = context(cluster), context(chain)
    for common in (client["common_tls_context"], server["common_tls_context"]):
        assert common["tls_params"]["tls_maximum_protocol_version"] == "TLSv1_3"
        assert common["tls_params"]["ecdh_curves"] == ["X25519"]
        assert common["alpn_protocols"] == ["h2"]
        assert len(common["tls_certificates"]) == 1
    assert client["sni"] == certificates.SERVER_NAME
    assert server["require_client_certificate"]
    wanted = server["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"]
    assert wanted == [{"san_type": "URI", "matcher": {"exact": certificates.CLIENT.identity}}]
    assert "explicit_http_config" in json.dumps(cluster["typed_extension_protocol_options"])


def test_a_listener_that_ends_tls_asks_for_no_client_certificate(tmp_path: Path) -> None:
    chain, _ = resources(tmp_path, Setup(downstream=Wire.TLS_H1))
    assert "require_client_certificate" not in context(chain)
    assert context(chain)["common_tls_context"]["alpn_protocols"] == ["http/1.1"]


def test_tcp_and_websocket(tmp_path: Path) -> None:
    chain, _ = resources(tmp_path, Setup(downstream=Wire.TCP, upstream=Wire.TCP))
    assert chain["filters"][0]["name"] == "envoy.filters.network.tcp_proxy"
    chain, _ = resources(tmp_path, Setup(carries=Carries.WEBSOCKET))
    manager = chain["filters"][0]["typed_config"]
    assert manager["upgrade_configs"] == [{"upgrade_type": "websocket"}]


@pytest.mark.parametrize("setup", [FRONT, BEHIND, Setup(downstream=Wire.TCP, upstream=Wire.TCP)])
def test_we_get_what_envoy_gets(
    tmp_path: Path, setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Envoy, "_binary", staticmethod(lambda: "envoy"))
    texts = []
    for peer in (Envoy(), Ours()):
        peer.command(site(tmp_path, setup))
        texts.append((tmp_path / "envoy.yaml").read_bytes())
    assert texts[0] == texts[1]


def test_nginx_ends_tls_with_what_all_are_asked_for(tmp_path: Path) -> None:
    text = nginx(tmp_path, Setup(downstream=Wire.TLS_H1))
    assert "listen 127.0.0.1:1001 backlog=4096 ssl;" in text
    assert "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;" in text
    assert "ssl_ecdh_curve X25519;" in text
    assert "ssl_verify_client" not in text


def test_nginx_takes_http_2_and_passes_it_on_for_grpc_only(tmp_path: Path) -> None:
    assert "backlog=4096 http2;" in nginx(tmp_path, Setup(downstream=Wire.H2))
    grpc = Setup(downstream=Wire.H2, upstream=Wire.H2, carries=Carries.GRPC)
    assert "grpc_pass grpc://c0;" in nginx(tmp_path, grpc)
    for setup in (FRONT, Setup(downstream=Wire.H2, upstream=Wire.H2)):
        with pytest.raises(UnableError, match="HTTP/2"):
            nginx(tmp_path, setup)


def test_nginx_upgrades(tmp_path: Path) -> None:
    assert "Upgrade $http_upgrade;" in nginx(tmp_path, Setup(carries=Carries.WEBSOCKET))
    assert "http_upgrade" not in nginx(tmp_path, Setup())


def test_nginx_moves_tcp_with_its_stream_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(downstream=Wire.TCP, upstream=Wire.TCP)
    monkeypatch.setattr("bench.peers.nginx.STREAM_MODULE", tmp_path / "missing.so")
    with pytest.raises(UnableError, match="libnginx-mod-stream"):
        nginx(tmp_path, setup)
    (tmp_path / "missing.so").touch()
    assert "proxy_pass 127.0.0.1:1003;" in nginx(tmp_path, setup)


def test_haproxy_speaks_everything(tmp_path: Path) -> None:
    text = haproxy(tmp_path, FRONT)
    assert "bind 127.0.0.1:1001 backlog 4096\n" in text
    assert f"ssl crt {certificates.CLIENT.both} verify required" in text
    assert "alpn h2" in text
    text = haproxy(tmp_path, BEHIND)
    assert f"verify required ca-file {certificates.AUTHORITY}" in text
    assert "curves X25519" in text
    text = haproxy(tmp_path, Setup(downstream=Wire.H2, upstream=Wire.H2))
    assert text.count("proto h2") == 2
    text = haproxy(tmp_path, Setup(downstream=Wire.TCP, upstream=Wire.TCP))
    assert "mode tcp" in text
    assert "splice-request" in text
    assert "http" not in text


@pytest.mark.parametrize(
    ("setup", "origin"),
    [
        (Setup(), "h1"),
        (Setup(downstream=Wire.TLS_H1), "h1"),
        (Setup(downstream=Wire.H2, upstream=Wire.H2), "h2"),
        (Setup(downstream=Wire.TCP, upstream=Wire.TCP), "tcp"),
        (Setup(carries=Carries.WEBSOCKET), "websocket"),
    ],
)
def test_the_origin_speaks_what_is_spoken_upstream(setup: Setup, origin: str) -> None:
    assert setup.origin == origin


def test_a_peer_is_asked_over_http_only_if_it_takes_plain_requests(tmp_path: Path) -> None:
    assert Nginx().probe(site(tmp_path, Setup())).path == "/small"
    for setup in (BEHIND, Setup(downstream=Wire.TCP), Setup(carries=Carries.WEBSOCKET)):
        assert Nginx().probe(site(tmp_path, setup)).path is None
    assert Envoy().probe(site(tmp_path, BEHIND)).path == "/ready"


def test_loads() -> None:
    tls = ["--ca", str(certificates.AUTHORITY)]
    assert Load(1, tls=True).arguments()[-2:] == tls
    assert H2Load(8, streams=4).arguments()[:4] == ["--connections", "8", "--streams", "4"]
    assert H2Load(8, tls=True).arguments()[-2:] == tls
    assert "--messages" not in GrpcLoad(1, 1, 128).arguments()
    assert GrpcLoad(1, 1, 128, messages=9).arguments()[-2:] == ["--messages", "9"]
    assert WebSocketLoad(2, 125).arguments() == ["--connections", "2", "--size", "125"]
    words = TcpLoad(1, 12, up=True, new_connections=True).arguments()
    assert words[-2:] == ["--up", "--new-connection-per-request"]
    assert HandshakeLoad(1, resumed=True).arguments() == ["--connections", "1", *tls, "--resumed"]


def test_a_hop_is_what_all_were_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def verify(text: str) -> Round:
        monkeypatch.setattr(hop, "statistics", lambda port: text)
        result = Round()
        hop.verify(site(tmp_path, BEHIND), Envoy(), result)
        return result

    assert verify(STATISTICS).notes == []
    with pytest.raises(GateError, match=r"TLSv1\.2, not TLSv1\.3"):
        verify(STATISTICS.replace("TLSv1.2: 0", "TLSv1.2: 1"))
    with pytest.raises(GateError, match="no HTTP/2"):
        verify(STATISTICS.replace("http2", "http1"))
    assert "was not checked" in verify(STATISTICS.replace("ssl", "tls")).notes[0]


def test_certificates_are_p256_and_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "FOLDER", tmp_path)
    monkeypatch.setattr(certificates, "AUTHORITY", tmp_path / "ca.pem")
    server, client = certificates.Leaf("server"), certificates.Leaf("client")
    monkeypatch.setattr(certificates, "SERVER", server)
    monkeypatch.setattr(certificates, "CLIENT", client)
    certificates.make()
    made = server.certificate.read_text()
    certificates.make()
    assert server.certificate.read_text() == made
    text = subprocess.run(
        ["openssl", "x509", "-in", str(client.certificate), "-noout", "-text"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "prime256v1" in text
    assert f"DNS:{certificates.SERVER_NAME}, URI:{client.identity}" in text
    for leaf in (server, client):
        subprocess.run(
            ["openssl", "verify", "-CAfile", str(tmp_path / "ca.pem"), str(leaf.certificate)],
            capture_output=True,
            check=True,
        )


def test_without_openssl_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates.shutil, "which", lambda name: None)
    with pytest.raises(BenchError, match="apt-get install openssl"):
        certificates.make()
