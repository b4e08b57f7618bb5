"""All endpoints. A new one: its file, and a line here."""

from __future__ import annotations

from mesh.admin import clusters, config_dump, health, listeners, process, stats
from mesh.admin.endpoint import HTML, Answer, Endpoint
from mesh.admin.server import help_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mesh.admin.endpoint import Process, Query

_FAMILIES = (clusters, config_dump, health, listeners, process, stats)


def _help(asked: Process, query: Query) -> Answer:
    return Answer(help_text(ENDPOINTS))


def _home(asked: Process, query: Query) -> Answer:
    """What can be looked at with a browser."""
    rows = "".join(
        f"<tr><td><a href='{one.path[1:]}'>{one.path}</a></td><td>{one.about}</td></tr>\n"
        if not one.mutates
        else f"<tr><td>POST {one.path}</td><td>{one.about}</td></tr>\n"
        for one in sorted(ENDPOINTS.values(), key=lambda one: one.path)
    )
    return Answer(
        "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<title>fastmesh</title>\n</head>\n<body>\n"
        f"<table>\n{rows}</table>\n</body>\n</html>\n",
        HTML,
    )


ENDPOINTS: dict[str, Endpoint] = {
    endpoint.path: endpoint for family in _FAMILIES for endpoint in family.ENDPOINTS
}
ENDPOINTS["/"] = Endpoint("/", "Admin home page", _home)
ENDPOINTS["/help"] = Endpoint("/help", "print out list of admin commands", _help)
