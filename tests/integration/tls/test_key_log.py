"""Secrets of connections, for those who read captures."""

from __future__ import annotations

from tests.integration.tls.sidecars import TLS12, TLS13, Terminator, shake, version
from tests.support.certs import Authority
from tests.support.tls_config import downstream_tls
from tests.support.waiting import until


def test_key_log(terminate: Terminator, ca: Authority) -> None:
    """NSS's format, with the secrets of that connection; only of who was asked for."""
    path, other = terminate.folder / "keys.log", terminate.folder / "none.log"
    elsewhere = {"address_prefix": "10.0.0.0", "prefix_len": 8}
    logged, unlogged = terminate(
        downstream_tls(ca.server(), common={"key_log": {"path": str(path)}}),
        downstream_tls(
            ca.server(),
            common={"key_log": {"path": str(other), "remote_address_range": [elsewhere]}},
        ),
    )
    for only, labels in (
        (TLS12, {"CLIENT_RANDOM"}),
        (TLS13, {"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"}),
    ):
        ours = terminate.folder / f"client-{only}.log"
        context = version(only)
        context.keylog_filename = str(ours)
        shake(logged, context)
        lines = ours.read_text().splitlines()
        wanted = {line for line in lines if line.split(" ")[0] in labels}
        assert wanted
        shake(unlogged, context)
        until(lambda wanted=wanted: wanted <= set(path.read_text().splitlines()))
    assert not other.exists() or other.read_text() == ""
