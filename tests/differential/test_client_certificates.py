"""Odd certificates of clients: what x-forwarded-client-cert and access logs say of them, and who gets
in, with the stock Envoy and ours."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.name import _ASN1Type as Kind
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.oid import NameOID as N

from tests.support import config
from tests.support.client import Connection
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy
from tests.support.upstream import Upstream

_GET = (
    b"GET / HTTP/1.1\r\nHost: h\r\n"
    b"x-forwarded-client-cert: By=a\r\nx-forwarded-client-cert: By=b\r\n\r\n"
)
_NOW = dt.datetime.now(dt.UTC)
_MODES = ("SANITIZE_SET", "APPEND_FORWARD", "FORWARD_ONLY")
_OPERATORS = ("SUBJECT", "ISSUER", "URI_SAN", "DNS_SAN", "IP_SAN", "EMAIL_SAN", "OTHERNAME_SAN")
_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_CA = x509.Name([x509.NameAttribute(N.COMMON_NAME, "ca")])
_CA_KEY = ec.generate_private_key(ec.SECP256R1())

URI = x509.UniformResourceIdentifier
CN = [(N.COMMON_NAME, "x")]
EVERY_SAN = [
    x509.DNSName("*.a.test"),
    x509.DNSName("b.test"),
    x509.RFC822Name("a@b.c"),
    x509.IPAddress(ipaddress.ip_address("10.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
    x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
    x509.DirectoryName(_CA),
    x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x03upn"),
    URI("urn:x"),
]
ATTRIBUTES = (
    "COUNTRY_NAME STATE_OR_PROVINCE_NAME LOCALITY_NAME ORGANIZATION_NAME ORGANIZATIONAL_UNIT_NAME "
    "COMMON_NAME SERIAL_NUMBER DOMAIN_COMPONENT USER_ID GIVEN_NAME SURNAME TITLE STREET_ADDRESS "
    "POSTAL_CODE PSEUDONYM GENERATION_QUALIFIER DN_QUALIFIER X500_UNIQUE_IDENTIFIER "
    "JURISDICTION_COUNTRY_NAME BUSINESS_CATEGORY EMAIL_ADDRESS"
).split()
EVERY_ATTRIBUTE = [
    (getattr(N, name), "DE" if "COUNTRY" in name else f"v{number}")
    for number, name in enumerate(ATTRIBUTES)
]
SEVERAL = x509.Name(
    [
        x509.RelativeDistinguishedName(
            [x509.NameAttribute(N.COMMON_NAME, "a"), x509.NameAttribute(N.ORGANIZATION_NAME, "b")]
        )
    ]
)


def usage(oid: x509.ObjectIdentifier) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage([oid])


#: Subject, SANs, key, an extension.
CERTIFICATES: dict[str, tuple[Any, ...]] = {
    "plain": ([(N.COMMON_NAME, "client")], [x509.DNSName("a.test"), URI("spiffe://a/b")]),
    "no subject": ([], [URI("spiffe://a/b")]),
    "no SAN": (CN,),
    "escaped": ([(N.COMMON_NAME, 'a, b="c" + d; <e> \\ #f')],),
    "leading": ([(N.COMMON_NAME, "#lead"), (N.ORGANIZATION_NAME, " sp ")],),
    "unicode": ([(N.COMMON_NAME, "zoë 日本"), (N.ORGANIZATION_NAME, "Ünï")],),
    "BMPString": ([(N.COMMON_NAME, "zoë", Kind.BMPString)],),
    "UniversalString": ([(N.COMMON_NAME, "zoë", Kind.UniversalString)],),
    "every attribute": (EVERY_ATTRIBUTE,),
    "unknown attribute": ([(x509.ObjectIdentifier("1.2.3.4.5"), "v"), *CN],),
    "several in one part": (SEVERAL,),
    "URIs": (CN, [URI("spiffe://a/1"), URI("spiffe://a/2"), URI("https://x/?a=b;c,d")]),
    "every SAN": (CN, EVERY_SAN),
    "a long URI": (CN, [URI("spiffe://a/" + "b" * 3000)]),
    "RSA": (CN, (), rsa.generate_private_key(65537, 2048)),
    "P-384": (CN, (), ec.generate_private_key(ec.SECP384R1())),
    "for servers": (CN, (), None, usage(ExtendedKeyUsageOID.SERVER_AUTH)),
    "for code": (CN, (), None, usage(ExtendedKeyUsageOID.CODE_SIGNING)),
}


def issue(
    folder: Path,
    name: str,
    subject: Any,
    sans: Sequence[x509.GeneralName] = (),
    key: Any = None,
    extension: Any = None,
) -> None:
    """A certificate of the authority, in files of that name."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    if not isinstance(subject, x509.Name):
        subject = x509.Name([x509.NameAttribute(*one) for one in subject])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_CA)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOW - dt.timedelta(days=1))
        .not_valid_after(_NOW + dt.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
    )
    if sans:
        named = x509.SubjectAlternativeName(sans)
        built = built.add_extension(named, critical=not list(subject))
    if extension is not None:
        built = built.add_extension(extension, critical=False)
    encoded = built.sign(_CA_KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (folder / f"{name}.pem").write_bytes(encoded)
    private = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    key_bytes = key.private_bytes(serialization.Encoding.PEM, private, plain)
    (folder / f"{name}.key").write_bytes(key_bytes)


def _listener(folder: Path, mode: str, port: int) -> config.Tree:
    details = dict.fromkeys(("subject", "cert", "chain", "dns", "uri"), True)
    line = "|".join(f"%DOWNSTREAM_PEER_{one}%" for one in _OPERATORS) + "\n"
    log = {
        "@type": _LOG,
        "path": "log",
        "log_format": {"text_format_source": {"inline_string": line}},
    }
    manager = config.hcm(
        config.route_config("r", config.route("/", "up")),
        forward_client_cert_details=mode,
        set_current_client_cert_details=details,
        access_log=[{"name": "log", "typed_config": log}],
    )
    pair = {
        "certificate_chain": {"filename": str(folder / "server.pem")},
        "private_key": {"filename": str(folder / "server.key")},
    }
    trusted = {"trusted_ca": {"filename": str(folder / "ca.pem")}}
    common = {"tls_certificates": [pair], "validation_context": trusted}
    made = config.listener(mode, port, manager)
    typed = {"@type": _TLS, "common_tls_context": common, "require_client_certificate": True}
    made["filter_chains"][0]["transport_socket"] = {"name": "tls", "typed_config": typed}
    return made


def _ask(folder: Path, name: str, port: int, upstream: Upstream) -> list[str]:
    """The header that arrives; nothing if the client does not get in."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.check_hostname = False
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    before = len(upstream.requests)
    try:
        with Connection(port, tls=context) as conn:
            assert conn.request(_GET).status == 200
    except OSError:
        assert len(upstream.requests) == before
        return []
    return upstream.requests[-1].all("x-forwarded-client-cert")


def _seen(kind: str, folder: Path) -> tuple[dict[tuple[str, str], list[str]], list[str]]:
    admin, ports = free_port(), {mode: free_port() for mode in _MODES}
    with Upstream() as upstream:
        listeners = [_listener(folder, mode, port) for mode, port in ports.items()]
        text = config.bootstrap(admin, listeners, [config.cluster("up", upstream.port)])
        with Proxy(kind, text, folder / kind, admin):
            found = {
                (name, mode): _ask(folder, name, port, upstream)
                for name in CERTIFICATES
                for mode, port in ports.items()
            }
            log, wanted = folder / kind / "log", sum(bool(one) for one in found.values())
            end = time.monotonic() + 20
            while log.read_text().count("\n") < wanted and time.monotonic() < end:
                time.sleep(0.02)
            return found, log.read_text().splitlines()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("certificates")
    issue(folder, "ca", _CA, key=_CA_KEY)
    issue(folder, "server", CN, [URI("spiffe://srv/1"), URI("spiffe://srv/2")])
    for name, made in CERTIFICATES.items():
        issue(folder, name, *made)
    return [_seen(kind, folder) for kind in (ENVOY, OURS)]


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("name", list(CERTIFICATES))
def test_the_header(name: str, mode: str, both: list[Any]) -> None:
    envoy, ours = (seen[name, mode] for seen, _ in both)
    assert ours == envoy


def test_the_log(both: list[Any]) -> None:
    envoy, ours = (log for _, log in both)
    assert ours == envoy
