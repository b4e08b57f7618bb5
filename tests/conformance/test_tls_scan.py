"""testssl.sh against a TLS listener: TLS 1.2 and 1.3 alone, nothing of medium severity or worse."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from cryptography import x509

from tests.conformance.conftest import Say, StartProxy
from tests.support import config, tls_config
from tests.support.certs import Authority
from tests.support.ports import free_port

# Versions, cipher categories, the server's preference and defaults, forward secrecy, every
# vulnerability. HTTP headers are the application's.
_SECTIONS = ["--protocols", "--std", "--server-preference", "--server-defaults", "--fs", "-U"]
_BAD = {"MEDIUM", "HIGH", "CRITICAL", "FATAL"}
_OFFERED = {
    "SSLv2": False,
    "SSLv3": False,
    "TLS1": False,
    "TLS1_1": False,
    "TLS1_2": True,
    "TLS1_3": True,
}


@pytest.mark.slow
@pytest.mark.parametrize("key", ["p256", "rsa2048"])
def test_scan(start: StartProxy, authority: Authority, tmp_path: Path, key: str, say: Say) -> None:
    """The default parameters: nothing in the configuration says versions or ciphers."""
    port, admin = free_port(), free_port()
    point = x509.UniformResourceIdentifier("http://crl.test/ca.crl")
    where_revoked = x509.CRLDistributionPoints([x509.DistributionPoint([point], None, None, None)])
    server = authority.server(key=key, extensions=[where_revoked])
    manager = config.hcm(config.route_config("local", tls_config.direct_response("/")))
    tls = tls_config.downstream_tls(server)
    start(config.bootstrap(admin, [tls_config.https("tls", port, manager, tls)], []), admin)

    report = tmp_path / "findings.json"
    argv = ["testssl", "--quiet", "--color", "0", "--warnings", "batch", "--ip", "127.0.0.1"]
    argv += ["--add-ca", str(authority.cert), "--jsonfile", str(report), *_SECTIONS]
    done = subprocess.run(
        [*argv, f"localhost:{port}"], capture_output=True, text=True, timeout=500, check=False
    )
    assert report.exists(), (done.stdout + done.stderr)[-2000:]
    findings = {each["id"]: each for each in json.loads(report.read_text())}

    say(f"testssl, {key}: {Counter(each['severity'] for each in findings.values())}")
    bad = [each for each in findings.values() if each["severity"] in _BAD]
    assert not bad, bad
    for version, offered in _OFFERED.items():
        finding = findings[version]["finding"]
        assert finding.startswith("not offered") is not offered, f"{version}: {finding}"
    # A scan that broke off would have no bad findings either.
    assert {"heartbleed", "ROBOT", "secure_renego", "LUCKY13", "RC4"} <= findings.keys()
    assert findings["cert_chain_of_trust"]["severity"] == "OK", findings["cert_chain_of_trust"]
