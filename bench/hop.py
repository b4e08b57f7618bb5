"""What two sidecars have agreed on between them, as the statistics of the second say."""

import http.client
import re

from bench.measure import GateError
from bench.peer import Peer
from bench.scenario import Round
from bench.site import Site

EXPECTED = {
    "versions": "TLSv1.3",
    "ciphers": "TLS_AES_128_GCM_SHA256",
    "curves": "X25519",
}


def verify(site: Site, peer: Peer, result: Round) -> None:
    """Equal work needs an equal hop. Only what has Envoy's admin can be asked."""
    if not peer.has_envoy_admin:
        return
    text = statistics(site.admin)
    if "downstream_cx_http2_total" not in text:
        raise GateError("between the sidecars there is no HTTP/2")
    counted = agreed(text)
    if not counted:
        result.notes.append("no ssl.* statistics: what the sidecars agreed on was not checked")
    for kind, wanted in EXPECTED.items():
        if others := counted.get(kind, set()) - {wanted}:
            raise GateError(f"between the sidecars: {', '.join(sorted(others))}, not {wanted}")


def agreed(statistics: str) -> dict[str, set[str]]:
    """`listener.127.0.0.1_1.ssl.versions.TLSv1.3: 4` is {"versions": {"TLSv1.3"}}."""
    found: dict[str, set[str]] = {}
    for kind, value, count in re.findall(
        r"^listener\..*?\.ssl\.(versions|ciphers|curves)\.(\S+): (\d+)$", statistics, re.MULTILINE
    ):
        if int(count):
            found.setdefault(kind, set()).add(value)
    return found


def statistics(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/stats?usedonly")
        return connection.getresponse().read().decode()
    except (http.client.HTTPException, OSError) as error:
        raise GateError(f"no statistics from the second sidecar: {error}") from None
    finally:
        connection.close()
