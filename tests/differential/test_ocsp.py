"""OCSP stapling: what a client that asks for a response gets, by policy and state of the response.

The same listeners in the stock Envoy and in ours; `openssl s_client -status` asks.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from tests.support import config, tls_config
from tests.support.certs import Authority, Credential
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy, envoy_binary, mesh_binary
from tests.support.tls_config import chain, direct_response, downstream_tls, http_filter

POLICIES = ("LENIENT_STAPLING", "STRICT_STAPLING", "MUST_STAPLE")
RESPONSES = ("good", "old", "endless", "none")
CASES = [
    (policy, response)
    for policy in POLICIES
    for response in RESPONSES
    if (policy, response) != ("MUST_STAPLE", "none")  # refused, see below
]


def answer(ca: Authority, leaf: x509.Certificate, *, until: int | None) -> bytes:
    """A response that says the certificate is good, until so many days from now."""
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=leaf,
        issuer=ca.certificate,
        algorithm=hashes.SHA1(),
        cert_status=ocsp.OCSPCertStatus.GOOD,
        this_update=now - timedelta(days=9),
        next_update=None if until is None else now + timedelta(days=until),
        revocation_time=None,
        revocation_reason=None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, ca.certificate)
    signed = builder.sign(ca._key, hashes.SHA256())  # type: ignore[arg-type]
    return signed.public_bytes(serialization.Encoding.DER)


def certificate(credential: Credential, response: Path | None) -> config.Tree:
    """A TlsCertificate with its response."""
    tree = tls_config.tls_certificate(credential)
    return tree if response is None else tree | {"ocsp_staple": {"filename": str(response)}}


def listener(name: str, port: int, policy: str, tree: config.Tree) -> config.Tree:
    """One that answers by itself."""
    hcm = config.hcm(config.route_config("local", direct_response("/")))
    common = {"tls_certificates": [tree]}
    tls = downstream_tls(common=common, ocsp_staple_policy=policy)
    return tls_config.listener(name, port, chain(http_filter(hcm), tls=tls), stat_prefix=name)


@dataclass
class Setting:
    """Certificates and responses."""

    folder: Path
    ca: Authority
    leaf: Credential
    responses: dict[str, Path | None]


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """One leaf and a response of each kind."""
    folder = tmp_path_factory.mktemp("ocsp")
    ca = Authority(folder)
    leaf = ca.server("web")
    responses: dict[str, Path | None] = {"none": None}
    for name, until in (("good", 7), ("old", -1), ("endless", None)):
        path = folder / f"{name}.ocsp"
        path.write_bytes(answer(ca, leaf.leaf, until=until))
        responses[name] = path
    return Setting(folder, ca, leaf, responses)


@dataclass
class Running:
    """A proxy with a listener for each case."""

    proxy: Proxy
    ports: dict[tuple[str, str], int]


@pytest.fixture(scope="module")
def running(setting: Setting) -> Iterator[dict[str, Running]]:
    """Both proxies."""
    both: dict[str, Running] = {}
    for kind in (ENVOY, OURS):
        admin, ports = free_port(), {case: free_port() for case in CASES}
        listeners = [
            listener(
                "_".join(case).lower(),
                port,
                case[0],
                certificate(setting.leaf, setting.responses[case[1]]),
            )
            for case, port in ports.items()
        ]
        text = config.bootstrap(admin, listeners, [])
        proxy = Proxy(kind, text, setting.folder / kind, admin)
        both[kind] = Running(proxy, ports)
        proxy.wait_ready()
    yield both
    for one in both.values():
        one.proxy.stop()


def ask(port: int, version: str, *, status: bool) -> str:
    """What a client gets: stapled, nothing, or no handshake."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", version]
    command += ["-status"] if status else []
    done = subprocess.run(command, input=b"", capture_output=True, check=False, timeout=20)
    said = (done.stdout + done.stderr).decode(errors="replace")
    if "handshake failure" in said:
        return "handshake failure"
    if "OCSP Response Status: successful" in said:
        return "stapled"
    assert "Cipher is" in said, said
    return "nothing"


@pytest.mark.parametrize("case", CASES, ids=["-".join(case) for case in CASES])
def test_what_a_client_gets(running: dict[str, Running], case: tuple[str, str]) -> None:
    """Whether it asks or not, in both versions of TLS; and how that is counted."""
    got, counted = {}, {}
    prefix = f"listener.{'_'.join(case).lower()}.ssl."
    names = ["requests", "responses", "omitted", "failed"]
    for kind, one in running.items():
        got[kind] = [
            ask(one.ports[case], version, status=status)
            for version in ("-tls1_2", "-tls1_3")
            for status in (True, False)
        ]
        # Ours counts when the handshake is over, which may be after the client has gone.
        one.proxy.wait_stat(prefix + "ocsp_staple_requests", 2)
        stats = {name: one.proxy.stat(f"{prefix}ocsp_staple_{name}") for name in names}
        stats["connection_error"] = one.proxy.stat(prefix + "connection_error")
        counted[kind] = stats
    assert got[OURS] == got[ENVOY]
    assert counted[OURS] == counted[ENVOY]


def test_what_the_admin_port_tells(running: dict[str, Running]) -> None:
    """/certs has the times of each response, a gauge those of the first."""
    told = {}
    for kind, one in running.items():
        certs = json.loads(one.proxy.admin("GET", "/certs")[1])["certificates"]
        shown = [cert.get("ocsp_details", {}) for each in certs for cert in each["cert_chain"]]
        for details in shown:
            # Without nextUpdate Envoy says now, with its milliseconds.
            if "." in details.get("expiration", ""):
                del details["expiration"]
        told[kind] = sorted(json.dumps(details, sort_keys=True) for details in shown)
        # One of them has expired.
        assert one.proxy.stat("server.seconds_until_first_ocsp_response_expiring") == 0
    assert told[OURS] == told[ENVOY]


def test_how_long_a_response_holds(setting: Setting, tmp_path: Path) -> None:
    """The gauge, in seconds."""
    admin = free_port()
    tree = certificate(setting.leaf, setting.responses["good"])
    text = config.bootstrap(admin, [listener("l", free_port(), "LENIENT_STAPLING", tree)], [])
    with Proxy(OURS, text, tmp_path, admin) as proxy:
        left = proxy.stat("server.seconds_until_first_ocsp_response_expiring")
    assert left is not None
    assert 6 * 86_400 < left <= 7 * 86_400


def _validate(kind: str, folder: Path, text: str) -> str:
    path = folder / "validate.yaml"
    path.write_text(text)
    if kind == ENVOY:
        command = [str(envoy_binary()), "--mode", "validate", "-c", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        return done.stdout + done.stderr
    # Contexts are made when it serves.
    done = subprocess.run(
        [str(mesh_binary()), "proxy", "--mode", "init_only", "-c", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("kind", [ENVOY, OURS])
@pytest.mark.parametrize("what", ["missing", "other", "must"])
def test_what_is_refused(setting: Setting, kind: str, what: str) -> None:
    """In Envoy's words: no response where one must be, and one of another certificate."""
    if what == "missing":
        tree, policy = certificate(setting.leaf, None), "MUST_STAPLE"
        reason = "Required OCSP response is missing from TLS context"
    elif what == "other":
        other = setting.ca.server("other")
        tree, policy = certificate(other, setting.responses["good"]), "LENIENT_STAPLING"
        reason = "OCSP response does not match its TLS certificate"
    else:
        feature = x509.TLSFeature([x509.TLSFeatureType.status_request])
        strict = _reissued(setting, feature)
        tree, policy = certificate(strict, None), "LENIENT_STAPLING"
        reason = "OCSP response is required for must-staple certificate"
    text = config.bootstrap(free_port(), [listener("l", free_port(), policy, tree)], [])
    assert reason in _validate(kind, setting.folder, text)


def _reissued(setting: Setting, extension: x509.ExtensionType) -> Credential:
    """The leaf with one more extension."""
    old = setting.leaf.leaf
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(old.not_valid_after_utc)
    )
    for one in old.extensions:
        builder = builder.add_extension(one.value, critical=one.critical)
    signed = builder.add_extension(extension, critical=False).sign(
        setting.ca._key,  # type: ignore[arg-type]
        hashes.SHA256(),
    )
    path = setting.folder / "strict.pem"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return Credential(path, setting.leaf.key, signed)
