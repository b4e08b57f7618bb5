"""Certificates prove identities, or do not."""

from __future__ import annotations

import asyncio

import pytest

from controlplane.xds.identity import CertificateAuthenticator, Identity, Peer, Unauthenticated

TRUSTED = CertificateAuthenticator(frozenset({"cluster.local"}))


def test_a_spiffe_id() -> None:
    peer = Peer("ipv4:1.2.3.4:5", ("spiffe://cluster.local/ns/shop/sa/reviews",))
    identity = asyncio.run(TRUSTED.authenticate(peer))
    assert identity == Identity("cluster.local", "shop", "reviews")
    assert str(identity) == peer.uris[0]


@pytest.mark.parametrize(
    ("uris", "reason"),
    [
        ((), "none was shown"),
        (("spiffe://cluster.local/ns/a/sa/b", "spiffe://cluster.local/ns/a/sa/c"), "2 URIs"),
        (("spiffe://else.where/ns/a/sa/b",), "another trust domain than cluster.local"),
        (("https://cluster.local/ns/a/sa/b",), "is not spiffe://"),
        (("spiffe://cluster.local/ns//sa/b",), "is not spiffe://"),
        (("spiffe://cluster.local/ns/a/sa/b/c",), "is not spiffe://"),
    ],
    ids=["none", "two", "foreign", "scheme", "empty", "long"],
)
def test_what_is_no_identity_is_refused(uris: tuple[str, ...], reason: str) -> None:
    with pytest.raises(Unauthenticated, match=reason):
        asyncio.run(TRUSTED.authenticate(Peer("ipv4:1.2.3.4:5", uris)))


def test_proofs_are_not_shown() -> None:
    peer = Peer("ipv4:1.2.3.4:5", certificate=b"-----BEGIN", token="hunter2")
    assert "hunter2" not in repr(peer)
    assert "BEGIN" not in repr(peer)
