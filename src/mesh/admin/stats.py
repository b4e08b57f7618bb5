"""/stats, /stats/prometheus, /reset_counters"""

from __future__ import annotations

from mesh.admin.endpoint import JSON, Answer, BadRequest, Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mesh.admin.endpoint import Process, Query

_ABLE = ("usedonly", "filter", "format", "type")
_KINDS = ("All", "Counters", "Histograms", "Gauges", "TextReadouts")
_FORMATS = "usage: /stats?format=(json|prometheus|text)\n\n"


def stats(process: Process, query: Query) -> Answer:
    """All statistics as text, JSON or Prometheus' text."""
    query.only(_ABLE, ("invert_filter", "histogram_buckets"))
    form = query.get("format", "text")
    if form == "prometheus":
        return prometheus(process, query)
    if form not in {"text", "json"}:
        raise BadRequest(_FORMATS)
    kind = query.get("type", "All")
    if kind not in _KINDS:
        raise BadRequest("invalid &type= param")
    process.refresh_stats()
    render = process.core.stats_json if form == "json" else process.core.stats_text
    try:
        body = render(query.get("filter") or None, "usedonly" in query, kind)
    except ValueError as error:
        raise BadRequest(f"Invalid re2 regex: {error}") from None
    return Answer(body, JSON) if form == "json" else Answer(body)


def prometheus(process: Process, query: Query) -> Answer:
    """All statistics for Prometheus."""
    query.only(("usedonly", "filter"), ("invert_filter", "histogram_buckets", "text_readouts"))
    process.refresh_stats()
    try:
        return Answer(
            process.core.stats_prometheus(query.get("filter") or None, "usedonly" in query)
        )
    except ValueError as error:
        raise BadRequest(f"Invalid re2 regex: {error}") from None


def reset(process: Process, query: Query) -> Answer:
    """Sets all counters to zero."""
    process.core.reset_counters()
    return Answer("OK\n")


_USED = ("usedonly", "Only include stats that have been written by system since restart")
_FILTER = ("filter", "Regular expression (Google re2) for filtering stats")

ENDPOINTS = (
    Endpoint("/reset_counters", "reset all counters to zero", reset, mutates=True),
    Endpoint(
        "/stats",
        "print server stats",
        stats,
        parameters=(
            _USED,
            _FILTER,
            ("format", "Format to use; One of (text, json, prometheus)"),
            ("type", f"Stat types to include.; One of ({', '.join(_KINDS)})"),
        ),
    ),
    Endpoint(
        "/stats/prometheus",
        "print server stats in prometheus format",
        prometheus,
        parameters=(_USED, _FILTER),
    ),
)
