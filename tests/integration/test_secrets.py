"""Secrets by name: static ones, and those that files bring, which change while serving."""

from __future__ import annotations

import json
import os
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.conftest import StartMesh
from tests.support import config, tls_config
from tests.support.certs import Authority, Credential, client_context
from tests.support.client import Connection
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.waiting import until

SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
_GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
_OK = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}


def by_sds(name: str, path: Path) -> config.Tree:
    """An SdsSecretConfig of a file, waited for as long as it takes."""
    source = {**config.from_file(path), "initial_fetch_timeout": "0s"}
    return {"name": name, "sds_config": source}


class Mount:
    """A directory as Kubernetes mounts a Secret: files behind `..data`, which is swapped whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cert, self.key = folder / "tls.crt", folder / "tls.key"
        folder.mkdir()
        for file in (self.cert, self.key):
            file.symlink_to(Path("..data") / file.name)
        self._versions = 0

    def swap(self, cert: Path, key: Path) -> None:
        """The next version."""
        self._versions += 1
        version = self.folder / f"..{self._versions}"
        version.mkdir()
        (version / "tls.crt").write_bytes(cert.read_bytes())
        (version / "tls.key").write_bytes(key.read_bytes())
        fresh = self.folder / "..data_tmp"
        fresh.symlink_to(version.name)
        os.rename(fresh, self.folder / "..data")

    def secret(self, name: str) -> config.Tree:
        """The secret that names these files."""
        pair = {"certificate_chain": {"filename": str(self.cert)}}
        return {
            "name": name,
            "tls_certificate": {**pair, "private_key": {"filename": str(self.key)}},
        }


class Server:
    """A process with one TLS listener that answers 200 to everything."""

    def __init__(self, start: StartMesh, folder: Path) -> None:
        self._start = start
        self.folder = folder
        self.sds = folder / "sds.yaml"
        self.port, self.admin_port = free_port(), free_port()
        self.proxy: Proxy

    def listener(self, common: config.Tree, **more: Any) -> config.Tree:
        """The listener, with these fields of its CommonTlsContext."""
        manager = config.hcm(config.route_config("local", _OK))
        tls = tls_config.downstream_tls(common=common, **more)
        return tls_config.https("web", self.port, manager, tls)

    def start(
        self, listeners: list[config.Tree] | Path, clusters: list[config.Tree], **static: Any
    ) -> Proxy:
        """Serve; `static`: more static resources."""
        tree = yaml.safe_load(config.bootstrap(self.admin_port, listeners, clusters))
        tree["static_resources"] |= static
        self.proxy = self._start(config.dump(tree), self.admin_port)
        return self.proxy

    def put(self, *secrets: config.Tree) -> None:
        config.move_in(self.sds, config.discovery(SECRET, list(secrets)))

    def shown(self, credential: Credential | None = None) -> bytes | None:
        """The certificate it shows, or None if it shakes no hands."""
        context = client_context(credential=credential, alpn=["http/1.1"])
        try:
            with Connection(self.port, tls=context) as conn:
                assert conn.request(_GET).status == 200
                assert isinstance(conn.sock, ssl.SSLSocket)
                return conn.sock.getpeercert(binary_form=True)
        except (OSError, AssertionError):
            return None


@pytest.fixture
def server(start: StartMesh, tmp_path: Path) -> Server:
    return Server(start, tmp_path)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def der(credential: Credential) -> bytes:
    return ssl.PEM_cert_to_DER_cert(credential.leaf_pem)


def test_files_of_a_secret_are_swapped_and_a_bad_pair_changes_nothing(
    server: Server, authority: Authority
) -> None:
    one, two = authority.server("one"), authority.server("two", key="rsa2048")
    mount = Mount(server.folder / "mount")
    mount.swap(one.cert, one.key)
    server.put(mount.secret("s"))
    common = {"tls_certificate_sds_secret_configs": [by_sds("s", server.sds)]}
    proxy = server.start([server.listener(common)], [])
    assert server.shown() == der(one)
    context = client_context(alpn=["http/1.1"])
    with Connection(server.port, tls=context) as conn:
        assert conn.request(_GET).status == 200
        mount.swap(two.cert, two.key)
        until(lambda: server.shown() == der(two))
        # Who was connected before stays so.
        assert conn.request(_GET).status == 200
    mount.swap(one.cert, two.key)
    proxy.wait_stat("sds.s.key_rotation_failed", 1)
    assert server.shown() == der(two)
    dump = json.loads(proxy.admin("GET", "/config_dump?resource=dynamic_active_secrets")[1])
    (secret,) = dump["configs"]
    assert "Failed to load private key" in secret["error_state"]["details"]
    assert secret["secret"]["tls_certificate"]["private_key"] == {"filename": "[redacted]"}
    mount.swap(one.cert, one.key)
    until(lambda: server.shown() == der(one))
    (context_shown,) = json.loads(proxy.admin("GET", "/certs")[1])["certificates"]
    assert context_shown["cert_chain"][0]["path"] == str(mount.cert)


def test_a_listener_waits_for_its_secret(server: Server, authority: Authority) -> None:
    lds = server.folder / "lds.yaml"
    config.move_in(lds, config.discovery(config.LISTENER, []))
    proxy = server.start(lds, [])
    common = {"tls_certificate_sds_secret_configs": [by_sds("s", server.sds)]}
    config.move_in(lds, config.discovery(config.LISTENER, [server.listener(common)]))
    proxy.wait_stat("listener_manager.lds.update_success", 2)
    assert server.shown() is None
    credential = authority.server("late")
    server.put(
        {"name": "s", "tls_certificate": tls_config.tls_certificate(credential, inline=True)}
    )
    until(lambda: server.shown() == der(credential))
    dump = proxy.admin("GET", "/config_dump")[1]
    assert "PRIVATE KEY" not in dump
    assert credential.key_pem.splitlines()[1] not in dump


def test_trust_comes_by_name_too(server: Server, authority: Authority) -> None:
    certificate = authority.server()
    other = Authority(server.folder / "other", "other-ca")
    ours, theirs = authority.workload("ours"), other.workload("theirs")

    def trust(ca: Path) -> None:
        context = {"trusted_ca": {"filename": str(ca)}}
        server.put({"name": "trust", "validation_context": context})

    trust(authority.cert)
    common = {
        "tls_certificate_sds_secret_configs": [{"name": "certificate"}],
        "validation_context_sds_secret_config": by_sds("trust", server.sds),
    }
    secret = {"name": "certificate", "tls_certificate": tls_config.tls_certificate(certificate)}
    listener = server.listener(common, require_client_certificate=True)
    server.start([listener], [], secrets=[secret])
    assert server.shown(ours) == der(certificate)
    assert server.shown(theirs) is None
    assert server.shown() is None
    trust(other.cert)
    until(lambda: server.shown(theirs) == der(certificate))
    assert server.shown(ours) is None


def test_a_cluster_shows_a_static_secret(server: Server, authority: Authority) -> None:
    credential, workload = authority.server(), authority.workload("client")
    secrets = [
        {"name": "client", "tls_certificate": tls_config.tls_certificate(workload)},
        {"name": "trust", "validation_context": {"trusted_ca": {"filename": str(authority.cert)}}},
    ]
    inner = server.listener(
        {
            "tls_certificates": [tls_config.tls_certificate(credential)],
            "validation_context_sds_secret_config": {"name": "trust"},
        },
        require_client_certificate=True,
    )
    socket = tls_config.upstream_tls(
        common={
            "tls_certificate_sds_secret_configs": [{"name": "client"}],
            "validation_context_sds_secret_config": {"name": "trust"},
        }
    )
    cluster = config.cluster("tls", server.port, transport_socket=socket)
    port = free_port()
    routes = config.route_config("local", config.route("/", "tls"))
    outer = config.listener("outer", port, config.hcm(routes))
    server.start([inner, outer], [cluster], secrets=secrets)
    with Connection(port) as conn:
        assert conn.request(_GET).status == 200
