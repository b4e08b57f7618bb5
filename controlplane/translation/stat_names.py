"""Names of statistics by MeshConfig's patterns: `%SERVICE%_%SERVICE_PORT%`."""

from __future__ import annotations

from controlplane.registry.model import Port, Service


def of_service(
    pattern: str, service: Service, port: Port, subset: str = "", target: int = 0
) -> str:
    """The pattern with what is known of a port of a service."""
    kubernetes = service.kind == "Service"
    return _filled(
        pattern,
        {
            "%SERVICE%": f"{service.name}.{service.namespace}" if kubernetes else service.host,
            "%SERVICE_NAME%": service.name if kubernetes else service.host,
            "%SERVICE_FQDN%": service.host,
            "%SUBSET_NAME%": subset,
            "%TARGET_PORT%": str(target),
            "%SERVICE_PORT%": str(port.number),
            "%SERVICE_PORT_NAME%": port.name,
        },
    )


def _filled(pattern: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        pattern = pattern.replace(name, value)
    return pattern
