"""/clusters"""

from __future__ import annotations

from mesh.admin.endpoint import JSON, Answer, BadRequest, Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mesh.admin.endpoint import Process, Query


def clusters(process: Process, query: Query) -> Answer:
    """Every cluster and host with its figures."""
    as_json = query.get("format") == "json"
    pattern = query.get("filter")
    if not pattern:
        if as_json:
            return Answer(process.core.clusters_json(), JSON)
        return Answer(process.core.clusters_text())
    import json
    import re

    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise BadRequest(f"Invalid re2 regex: {error}") from None
    if not as_json:
        lines = process.core.clusters_text().splitlines(keepends=True)
        return Answer("".join(line for line in lines if wanted.search(line.partition("::")[0])))
    statuses = json.loads(process.core.clusters_json()).get("cluster_statuses", ())
    found = [one for one in statuses if wanted.search(one["name"])]
    document = {"cluster_statuses": found} if found else {}
    return Answer(json.dumps(document, indent=1) + "\n", JSON)


ENDPOINTS = (
    Endpoint(
        "/clusters",
        "upstream cluster status",
        clusters,
        parameters=(
            ("filter", "Regular expression (Google re2) for filtering clusters by name"),
            ("format", "File format to use; One of (text, json)"),
        ),
    ),
)
