"""/clusters"""

from __future__ import annotations

from mesh.admin.endpoint import JSON, Answer, Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mesh.admin.endpoint import Process, Query


def clusters(process: Process, query: Query) -> Answer:
    """Every cluster and host with its figures."""
    query.only(("format",), ("filter",))
    if query.get("format") == "json":
        return Answer(process.core.clusters_json(), JSON)
    return Answer(process.core.clusters_text())


ENDPOINTS = (
    Endpoint(
        "/clusters",
        "upstream cluster status",
        clusters,
        parameters=(("format", "File format to use; One of (text, json)"),),
    ),
)
