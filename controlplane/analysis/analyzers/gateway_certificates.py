"""Gateways of the same workloads that show the same certificate."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found, full_name
from controlplane.analysis.workloads import matches
from controlplane.resources.common.tls import ServerTLSSettings


def _run(collection: Collection) -> Iterator[Finding]:
    gateways = [one for one in collection.of("Gateway") if any(_shown(one))]
    for one in gateways:
        for other in gateways:
            if one is other or not matches(one.spec.selector, other.spec.selector):
                continue
            for (index, tls), (_, theirs) in product(_shown(one), _shown(other)):
                if _same(tls, theirs):
                    names = [full_name(one.key), full_name(other.key)]
                    path = f"spec.servers[{index}].tls"
                    yield found(codes.DUPLICATE_CERTIFICATE, one.key, path, gateways=names)


def _shown(gateway: object) -> list[tuple[int, ServerTLSSettings]]:
    servers = gateway.spec.servers  # type: ignore[attr-defined]
    return [(index, one.tls) for index, one in enumerate(servers) if one.tls is not None]


def _same(one: ServerTLSSettings, other: ServerTLSSettings) -> bool:
    if one.credential_name or other.credential_name:
        return one.credential_name == other.credential_name
    pair = (one.server_certificate, one.private_key)
    return all(pair) and pair == (other.server_certificate, other.private_key)


ANALYZER = Analyzer(
    name="gateway.CertificateAnalyzer",
    description="Gateways of the same workloads with the same certificate",
    codes=(codes.DUPLICATE_CERTIFICATE,),
    run=_run,
)
