"""Certificates that change under load."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.integration.tls.sidecars import Terminator, der, shake
from tests.support import config, tls_config
from tests.support.certs import Authority, Credential, client_context
from tests.support.client import Connection
from tests.support.tls_config import downstream_tls
from tests.support.waiting import until

_GET = b"GET / HTTP/1.1\r\nHost: host.test\r\n\r\n"


def _write(folder: Path, credential: Credential) -> None:
    """A new version of the pair, moved in as Kubernetes does."""
    number = len(list(folder.parent.iterdir()))
    fresh = folder.parent / f"v{number}"
    fresh.mkdir()
    (fresh / "tls.crt").write_bytes(credential.cert.read_bytes())
    (fresh / "tls.key").write_bytes(credential.key.read_bytes())
    link = folder.parent / "link"
    link.symlink_to(fresh)
    os.rename(link, folder)


def test_rotation_under_load_loses_nothing(terminate: Terminator, ca: Authority) -> None:
    """Twenty certificates while clients connect and ask: every handshake, every request is fine.

    Then a pair that does not fit is refused, and the last good one is still shown.
    """
    folder = terminate.folder / "mount" / "current"
    folder.parent.mkdir()
    credentials = [ca.server(f"s{i}") for i in range(21)]
    _write(folder, credentials[0])
    sds = terminate.folder / "sds.yaml"
    secret = {
        "name": "s",
        "tls_certificate": {
            "certificate_chain": tls_config.pem(folder / "tls.crt"),
            "private_key": tls_config.pem(folder / "tls.key"),
            "watched_directory": {"path": str(folder.parent)},
        },
    }
    kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    config.move_in(sds, config.discovery(kind, [secret]))
    source = {**config.from_file(sds), "initial_fetch_timeout": "0s"}
    common = {"tls_certificate_sds_secret_configs": [{"name": "s", "sds_config": source}]}
    (port,) = terminate(downstream_tls(common=common))
    context = client_context(ca.cert, alpn=["http/1.1"])
    load = subprocess.Popen(
        ["h2load", "-t1", "-c4", "-D30", "--h1", f"https://127.0.0.1:{port}/"],
        stdout=subprocess.PIPE,
        text=True,
    )
    shown = set()
    try:
        with Connection(port, tls=context) as old:
            for credential in credentials[1:]:
                _write(folder, credential)

                def is_new(credential: Credential = credential) -> bool:
                    seen = shake(port, context).shown
                    shown.add(seen)
                    return seen == der(credential)

                until(is_new)
                assert old.request(_GET).status == 200
                old.raw, old.methods = b"", []
    finally:
        load.terminate()
        said = load.communicate()[0]
    assert shown >= {der(c) for c in credentials[1:]}
    assert load.returncode in (0, -15), said
    mixed = terminate.folder / "mixed"
    mixed.mkdir()
    broken = Credential(credentials[1].cert, credentials[2].key, credentials[1].leaf)
    _write(folder, broken)
    terminate.proxy.wait_stat("sds.s.key_rotation_failed", 1)
    assert shake(port, context).shown == der(credentials[-1])
    assert terminate.stat(port, "ssl.connection_error") == 0
    assert terminate.stat(port, "ssl.fail_verify_error") == 0
