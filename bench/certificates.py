"""The certificates that all peers and the load generator share: an authority, and a leaf for each
side, all ECDSA on P-256, made once with the `openssl` command."""

import shutil
import subprocess
from collections.abc import Sequence

from bench.errors import BenchError
from bench.paths import CACHE

FOLDER = CACHE / "bench-certificates"
AUTHORITY = FOLDER / "ca.pem"
#: The name that clients ask for and the servers' certificate has (also in loadgen/src/tls.rs).
SERVER_NAME = "bench.test"
SPIFFE = "spiffe://cluster.local/ns/bench/sa/"
DAYS = "3650"


class Leaf:
    """A certificate and its key, apart and (as HAProxy wants them) in one file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.identity = f"{SPIFFE}{name}"
        self.certificate = FOLDER / f"{name}.pem"
        self.key = FOLDER / f"{name}.key"
        self.both = FOLDER / f"{name}.both.pem"


SERVER = Leaf("server")
CLIENT = Leaf("client")


def make() -> None:
    """Makes what is not there yet."""
    if shutil.which("openssl") is None:
        raise BenchError("openssl is missing: apt-get install openssl")
    if CLIENT.both.exists():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    authority_key = FOLDER / "ca.key"
    new = ("req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    _openssl(
        *(*new, "-days", DAYS, "-subj", "/CN=bench authority"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        *("-keyout", str(authority_key), "-out", str(AUTHORITY)),
    )
    for leaf, usage in ((SERVER, "serverAuth"), (CLIENT, "clientAuth")):
        _openssl(
            *(*new, "-days", DAYS, "-subj", f"/CN={leaf.name}"),
            *("-CA", str(AUTHORITY), "-CAkey", str(authority_key)),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-addext", "keyUsage=critical,digitalSignature"),
            *("-addext", f"extendedKeyUsage={usage}"),
            *("-addext", f"subjectAltName=DNS:{SERVER_NAME},URI:{leaf.identity}"),
            *("-keyout", str(leaf.key), "-out", str(leaf.certificate)),
        )
        leaf.both.write_text(leaf.certificate.read_text() + leaf.key.read_text())


def _openssl(*words: str) -> None:
    command: Sequence[str] = ["openssl", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"openssl {words[0]}: {done.stderr.strip()}")
