"""Which certificate is shown, and what `/certs` says."""

from __future__ import annotations

import json

from tests.integration.tls.sidecars import OK, TLS12, Terminator, der, shake, version
from tests.support import config, tls_config
from tests.support.certs import Authority, client_context
from tests.support.ports import free_port
from tests.support.tls_config import chain, downstream_tls, http_filter


def test_names_choose_the_chain(terminate: Terminator, ca: Authority) -> None:
    """Exact before wildcard before the chain without names."""
    exact, wild, rest = (ca.server(name) for name in ("exact", "wild", "rest"))
    port = free_port()
    hcm = http_filter(config.hcm(OK))
    terminate.serve(
        [
            tls_config.listener(
                "l",
                port,
                chain(hcm, tls=downstream_tls(exact), match={"server_names": ["a.one.test"]}),
                chain(hcm, tls=downstream_tls(wild), match={"server_names": ["*.one.test"]}),
                chain(hcm, tls=downstream_tls(rest)),
                inspect_tls=True,
            )
        ]
    )
    for name, shown in (
        ("a.one.test", exact),
        ("A.ONE.test", exact),
        ("b.one.test", wild),
        ("c.b.one.test", wild),
        ("one.test", rest),
        ("other.test", rest),
    ):
        assert shake(port, name=name).shown == der(shown), name


def test_certificates_of_one_context_are_chosen_by_name_and_key(
    terminate: Terminator, ca: Authority
) -> None:
    """By SNI among the names of the certificates; ECDSA before RSA where a client can do both."""
    a_ec = ca.issue("a-ec", dns=["a.test"])
    a_rsa = ca.issue("a-rsa", dns=["a.test"], key="rsa2048")
    b_wild = ca.issue("b-wild", dns=["*.b.test"])
    (port,) = terminate(downstream_tls(a_ec, a_rsa, b_wild))
    assert shake(port, name="a.test").shown == der(a_ec)
    rsa = version(TLS12, "ECDHE-RSA-AES128-GCM-SHA256")
    assert shake(port, rsa, "a.test").shown == der(a_rsa)
    assert shake(port, name="x.b.test").shown == der(b_wild)
    assert shake(port, name="unknown.test").shown == der(a_ec)


def test_the_chain_is_shown(terminate: Terminator, ca: Authority) -> None:
    """With its intermediate, a client that knows the root alone can verify."""
    leaf = ca.intermediate("middle").server("leaf")
    (port,) = terminate(downstream_tls(leaf))
    assert shake(port, client_context(ca.cert)).shown == der(leaf)


def test_certs_are_shown(terminate: Terminator, ca: Authority) -> None:
    """/certs: paths, serial numbers, names, days."""
    server = ca.server("server", uris=["spiffe://a/b"])
    terminate(downstream_tls(server, client_ca=ca.cert))
    (shown,) = json.loads(terminate.proxy.admin("GET", "/certs")[1])["certificates"]
    (leaf,) = shown["cert_chain"]
    assert leaf["path"] == str(server.cert)
    assert int(leaf["serial_number"], 16) == server.leaf.serial_number
    names = {"dns": "localhost"}, {"dns": "server.test"}, {"uri": "spiffe://a/b"}
    assert all(name in leaf["subject_alt_names"] for name in names)
    assert int(leaf["days_until_expiration"]) in (199, 200)
    (authority,) = shown["ca_cert"]
    assert authority["path"] == str(ca.cert)
