"""All endpoints. A new one: its file, and a line here."""

from __future__ import annotations

from mesh.admin import clusters, config_dump, health, listeners, process, stats
from mesh.admin.endpoint import Answer, Endpoint
from mesh.admin.server import help_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mesh.admin.endpoint import Process, Query

_FAMILIES = (clusters, config_dump, health, listeners, process, stats)


def _help(asked: Process, query: Query) -> Answer:
    return Answer(help_text(ENDPOINTS))


ENDPOINTS: dict[str, Endpoint] = {
    endpoint.path: endpoint for family in _FAMILIES for endpoint in family.ENDPOINTS
}
for _path, _about in (("/help", "print out list of admin commands"), ("/", "the same")):
    ENDPOINTS[_path] = Endpoint(_path, _about, _help)
