"""ServiceEntries for TCP without an address by which they could be told from others."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found


def _run(collection: Collection) -> Iterator[Finding]:
    metadata = collection.mesh.default_config.proxy_metadata
    allocates = any(
        metadata.get(name) == "true"
        for name in ("ISTIO_META_DNS_AUTO_ALLOCATE", "PILOT_ENABLE_IP_AUTOALLOCATE")
    )
    if allocates and metadata.get("ISTIO_META_DNS_CAPTURE") == "true":
        return
    for one in collection.of("ServiceEntry"):
        for index, port in enumerate(one.spec.ports if not one.spec.addresses else ()):
            if port.protocol.upper() in {"", "TCP"}:
                path = f"spec.ports[{index}]"
                yield found(codes.SERVICE_ENTRY_ADDRESSES_REQUIRED, one.key, path)


ANALYZER = Analyzer(
    name="serviceentry.Analyzer",
    description="ServiceEntries for TCP without an address",
    codes=(codes.SERVICE_ENTRY_ADDRESSES_REQUIRED,),
    run=_run,
)
