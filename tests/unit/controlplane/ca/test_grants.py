"""controlplane.ca.grants: labels as text, in a certificate, and what is none."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509

from controlplane.ca import grants as granted
from controlplane.ca.authority import Authority, load
from controlplane.ca.grants import NOTHING, Grants, Unreadable, of_pairs, parse
from controlplane.ca.signing import Request, sign
from controlplane.xds.identity import Identity
from tests.support.requests import key, request

WHO = Identity("cluster.local", "default", "reviews")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return load(tmp_path_factory.mktemp("ca"))


def made(authority: Authority, grants: Grants) -> x509.Certificate:
    return sign(authority, Request(request(key())), WHO, timedelta(0), grants).certificate


def test_a_label_is_granted_by_its_value_or_by_any() -> None:
    grants = of_pairs([("app", "reviews"), ("app", "stars"), ("version", "*")])
    assert grants.allow("app", "reviews")
    assert grants.allow("app", "stars")
    assert grants.allow("version", "v7")
    assert not grants.allow("app", "ratings")
    assert not grants.allow("app", "*")
    assert not grants.allow("istio", "ingressgateway")
    assert str(grants) == "app=reviews,app=stars,version=*"
    assert parse(str(grants)) == grants
    assert parse("") == NOTHING


@pytest.mark.parametrize("count", [0, 1, 4, 10, 32])
def test_a_certificate_carries_them(authority: Authority, count: int) -> None:
    """Of every length that DER writes in its own way."""
    grants = of_pairs(("app", "x" * 30 + str(number)) for number in range(count))
    certificate = made(authority, grants)
    assert granted.of_certificate(certificate) == grants
    oid = granted.extension(NOTHING).oid
    assert [one.critical for one in certificate.extensions if one.oid == oid] == [False] * (
        count > 0
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("app", "write KEY=VALUE"),
        ("app=a b", "no value of a label"),
        ("=x", "is no label"),
        ("a=b,,c=d", "write KEY=VALUE"),
        ("app=**", "no value of a label"),
        ("*=x", "is no label"),
        (",".join(f"a{number}=b" for number in range(33)), "33 labels are too many"),
        ("a=" + "b" * 5000, "more than 4096 characters"),
    ],
)
def test_what_is_none(text: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why.replace("*", "[*]")):
        parse(text)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x0c",
        b"\x0c\x05app=a!",
        b"\x0c\x81\x05app=a",  # longer than it need be
        b"\x0c\x04app=a",
        b"\x04\x05app=a",
        b"\x0c\x05app\xff\xff",
        b"\x0c\x82\xff\xff" + b"a" * 10,
    ],
)
def test_an_extension_that_is_not_ours_grants_nothing(value: bytes) -> None:
    held = x509.UnrecognizedExtension(granted.extension(NOTHING).oid, value)
    extensions = x509.Extensions([x509.Extension(held.oid, False, held)])
    stranger: Any = SimpleNamespace(extensions=extensions)
    with pytest.raises(Unreadable):
        granted.of_certificate(stranger)
