"""Ports of services whose name says no protocol."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.control_plane import MANAGED, MANAGERS, is_control_plane
from controlplane.analysis.finding import Finding, found
from controlplane.registry.protocols import of_port


def _run(collection: Collection) -> Iterator[Finding]:
    for one in collection.of("Service"):
        if is_control_plane(one) or one.labels.get(MANAGED) in MANAGERS:
            continue
        external = one.spec.spec.type == "ExternalName"
        for index, port in enumerate(one.spec.spec.ports):
            protocol = of_port(port.protocol or "TCP", port.name, port.app_protocol, port.port)
            if protocol != "auto" and not (external and port.name == "tcp"):
                continue
            path = f"spec.ports[{index}]"
            if external:
                yield found(codes.EXTERNAL_NAME_PORT, one.key, path)
            else:
                yield found(
                    codes.PORT_NAME_CONVENTION,
                    one.key,
                    path,
                    name=f'"{port.name}"',
                    port=port.port,
                    target=port.target_port or port.port,
                )


ANALYZER = Analyzer(
    name="service.PortNameAnalyzer",
    description="Ports of services whose name says no protocol",
    codes=(codes.PORT_NAME_CONVENTION, codes.EXTERNAL_NAME_PORT),
    run=_run,
)
