"""/config_dump, /init_dump"""

from __future__ import annotations

from mesh import api, engine
from mesh.admin.endpoint import JSON, Answer, BadRequest, Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from mesh.admin.endpoint import Process, Query
    from mesh.xds.store import Failure

    Message = dict[str, Any]

#: Envoy leaves the charset out here.
_PLAIN = "text/plain"
_DUMP = "type.googleapis.com/envoy.admin.v3."
_HCM = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
    ".HttpConnectionManager"
)
#: The repeated fields that `resource` may name, with the message of their elements.
_ELEMENTS = {
    "static_listeners": "ListenersConfigDump.StaticListener",
    "dynamic_listeners": "ListenersConfigDump.DynamicListener",
    "static_clusters": "ClustersConfigDump.StaticCluster",
    "dynamic_active_clusters": "ClustersConfigDump.DynamicCluster",
    "dynamic_warming_clusters": "ClustersConfigDump.DynamicCluster",
    "static_route_configs": "RoutesConfigDump.StaticRouteConfig",
    "dynamic_route_configs": "RoutesConfigDump.DynamicRouteConfig",
    "static_endpoint_configs": "EndpointsConfigDump.StaticEndpointConfig",
    "dynamic_endpoint_configs": "EndpointsConfigDump.DynamicEndpointConfig",
    "ecds_filters": "EcdsConfigDump.EcdsFilterConfig",
    "static_secrets": "SecretsConfigDump.StaticSecret",
    "dynamic_active_secrets": "SecretsConfigDump.DynamicSecret",
    "dynamic_warming_secrets": "SecretsConfigDump.DynamicSecret",
}


def config_dump(process: Process, query: Query) -> Answer:
    """Everything that is configured, with versions, times and the last errors."""
    import json

    resource = query.get("resource")
    configs = dump(process, "include_eds" in query, _name_filter(query.get("name_regex")))
    if resource:
        configs = _only(configs, resource)
    mask = query.get("mask")
    if mask and configs:
        paths = [path.split(".") for path in mask.split(",")]
        configs = [_masked(config, paths) for config in configs]
        if all(set(config) <= {"@type"} for config in configs):
            raise _refusal(f"FieldMask {mask} could not be successfully applied to any configs.")
    document = {"configs": configs} if configs else {}
    return Answer(json.dumps(document, indent=1, ensure_ascii=False) + "\n", JSON)


def init_dump(process: Process, query: Query) -> Answer:
    """What initialisation still waits for."""
    import json

    query.only((), ("mask",))
    waiting = process.waiting()
    if not waiting:
        return Answer("{}\n", JSON)
    dumps = [{"name": name, "target_names": [type_url]} for type_url, name in waiting]
    return Answer(json.dumps({"unready_targets_dumps": dumps}, indent=1) + "\n", JSON)


def dump(process: Process, include_eds: bool, keep: Callable[[str], bool]) -> list[Message]:
    """The sections of /config_dump, in Envoy's order."""
    node = _json(api.BOOTSTRAP, process.bootstrap.body)
    del node["@type"]
    sections: list[Message] = [
        {
            "@type": _DUMP + "BootstrapConfigDump",
            "bootstrap": node,
            "last_updated": process.started_at,
        }
    ]
    warming = set(process.core.warming())
    sections.append(_clusters(process, keep, warming))
    sections += _extensions(process, keep)
    if include_eds:
        sections.append(_endpoints(process, keep))
    listeners = _listeners(process, keep, warming)
    sections.append(listeners)
    sections.append({"@type": _DUMP + "ScopedRoutesConfigDump"})
    sections.append(_routes(process, keep))
    sections.append(_secrets(process, keep))
    return sections


def _clusters(
    process: Process, keep: Callable[[str], bool], warming: set[tuple[str, str]]
) -> Message:
    held, failed = process.store.snapshot(api.CLUSTER)
    static: list[Message] = []
    active: list[Message] = []
    waiting: list[Message] = []
    for name in filter(keep, sorted(held)):
        one = held[name]
        body = {"cluster": _json(api.CLUSTER, one.body), "last_updated": one.updated}
        if one.static:
            static.append(body)
            continue
        entry = {"version_info": one.version, **body, **_error(api.CLUSTER, failed.get(name))}
        (waiting if (api.CLUSTER, name) in warming else active).append(entry)
    active += [
        _error(api.CLUSTER, failed[name])
        for name in filter(keep, sorted(failed))
        if name not in held
    ]
    section: Message = {"@type": _DUMP + "ClustersConfigDump"}
    if version := process.store.version(api.CLUSTER):
        section["version_info"] = version
    return section | _given(
        static_clusters=static, dynamic_active_clusters=active, dynamic_warming_clusters=waiting
    )


def _extensions(process: Process, keep: Callable[[str], bool]) -> list[Message]:
    """The configurations of filters that are discovered; nothing where there are none."""
    filters = _discovered(process, keep, api.EXTENSION, "ecds_filter")
    return [{"@type": _DUMP + "EcdsConfigDump", "ecds_filters": filters}] if filters else []


def _listeners(
    process: Process, keep: Callable[[str], bool], warming: set[tuple[str, str]]
) -> Message:
    held, failed = process.store.snapshot(api.LISTENER)
    static: list[Message] = []
    dynamic: list[Message] = []
    for name in filter(keep, sorted({*held, *failed})):
        one = held.get(name)
        if one is None:
            dynamic.append({"name": name, **_error(api.LISTENER, failed.get(name))})
            continue
        body = {"listener": _json(api.LISTENER, one.body), "last_updated": one.updated}
        if one.static:
            static.append(body)
            continue
        state = "warming_state" if (api.LISTENER, name) in warming else "active_state"
        entry = {"name": name, state: {"version_info": one.version, **body}}
        dynamic.append(entry | _error(api.LISTENER, failed.get(name)))
    section: Message = {"@type": _DUMP + "ListenersConfigDump"}
    if version := process.store.version(api.LISTENER):
        section["version_info"] = version
    return section | _given(static_listeners=static, dynamic_listeners=dynamic)


def _routes(process: Process, keep: Callable[[str], bool]) -> Message:
    static: list[Message] = []
    for one in process.store.snapshot(api.LISTENER)[0].values():
        static += [
            {"route_config": config, "last_updated": one.updated}
            for config in _inline_routes(_json(api.LISTENER, one.body))
            if keep(config.get("name", ""))
        ]
    dynamic = _discovered(process, keep, api.ROUTE, "route_config")
    return {"@type": _DUMP + "RoutesConfigDump"} | _given(
        static_route_configs=static, dynamic_route_configs=dynamic
    )


def _endpoints(process: Process, keep: Callable[[str], bool]) -> Message:
    """The load assignments as they were given (Envoy shows them with its defaults filled in)."""
    static: list[Message] = []
    clusters = process.store.snapshot(api.CLUSTER)[0]
    for name in filter(keep, sorted(clusters)):
        assignment = _json(api.CLUSTER, clusters[name].body).get("load_assignment")
        if assignment is not None:
            static.append({"endpoint_config": {"@type": api.ENDPOINT, **assignment}})
    dynamic = _discovered(process, keep, api.ENDPOINT, "endpoint_config")
    return {"@type": _DUMP + "EndpointsConfigDump"} | _given(
        static_endpoint_configs=static, dynamic_endpoint_configs=dynamic
    )


def _secrets(process: Process, keep: Callable[[str], bool]) -> Message:
    """The secrets by name, as they were given but for what is sensitive in them."""
    held, failed = process.store.snapshot(api.SECRET)
    static: list[Message] = []
    active: list[Message] = []
    for name in filter(keep, sorted(held)):
        one = held[name]
        secret = _json(api.SECRET, one.body)
        if one.static:
            static.append({"name": name, "secret": secret})
            continue
        entry = {
            "name": name,
            "version_info": one.version,
            "last_updated": one.updated,
            "secret": secret,
        }
        active.append(entry | _error(api.SECRET, failed.get(name)))
    # Nothing of these is in use; what asked for them may still wait.
    warming: list[Message] = [
        {"name": name, **_error(api.SECRET, failed[name])}
        for name in filter(keep, sorted(failed))
        if name not in held
    ]
    return {"@type": _DUMP + "SecretsConfigDump"} | _given(
        static_secrets=static, dynamic_active_secrets=active, dynamic_warming_secrets=warming
    )


def _discovered(
    process: Process, keep: Callable[[str], bool], type_url: str, field: str
) -> list[Message]:
    """What is held of a type, in that field of its entry, and what was refused."""
    held, failed = process.store.snapshot(type_url)
    entries: list[Message] = []
    for name in filter(keep, sorted({*held, *failed})):
        entry: Message = {}
        if found := held.get(name):
            entry = {
                "version_info": found.version,
                field: _json(type_url, found.body),
                "last_updated": found.updated,
            }
        entries.append(entry | _error(type_url, failed.get(name)))
    return entries


def _inline_routes(listener: Message) -> list[Message]:
    chains = list(listener.get("filter_chains", ()))
    if default := listener.get("default_filter_chain"):
        chains.append(default)
    configs = [one.get("typed_config", {}) for chain in chains for one in chain.get("filters", ())]
    return [
        {"@type": api.ROUTE, **config["route_config"]}
        for config in configs
        if config.get("@type") == _HCM and "route_config" in config
    ]


def _error(type_url: str, failure: Failure | None) -> Message:
    if failure is None:
        return {}
    state: Message = {}
    if failure.body:
        state["failed_configuration"] = _json(type_url, failure.body)
    state |= {"last_update_attempt": failure.attempted, "details": failure.details}
    if failure.version:
        state["version_info"] = failure.version
    return {"error_state": state}


def _given(**fields: list[Message]) -> Message:
    """The fields that are not empty: proto3 JSON leaves the others out."""
    return {name: value for name, value in fields.items() if value}


def _json(type_url: str, body: bytes) -> Message:
    import json

    document: Message = json.loads(engine.to_json(type_url, body))
    return {"@type": type_url, **document}


def _refusal(message: str, status: int = 400) -> BadRequest:
    return BadRequest(message, status, _PLAIN)


def _name_filter(pattern: str) -> Callable[[str], bool]:
    if not pattern:
        return lambda _: True
    import re

    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise _refusal(
            f"INVALID_ARGUMENT: Error while parsing name_regex from {pattern}: {error}"
        ) from None
    return lambda name: compiled.fullmatch(name) is not None


def _only(configs: list[Message], resource: str) -> list[Message]:
    """The elements of the repeated field `resource`, each as a config of its own."""
    if resource in {"bootstrap", "version_info"}:
        raise _refusal(
            f"{resource} is not a repeated field. Use ?mask={resource} to get only this field"
        )
    message = _ELEMENTS.get(resource, "")
    section = _DUMP + message.partition(".")[0]
    if not any(config["@type"] == section for config in configs):
        raise _refusal(f"{resource} not found in config dump", status=404)
    found = [one for config in configs for one in config.get(resource, ())]
    return [{"@type": _DUMP + message, **one} for one in found]


def _masked(message: Message, paths: list[list[str]]) -> Message:
    """What a FieldMask leaves of the message; `@type` always stays."""
    out: Message = {}
    for name, value in message.items():
        if name == "@type":
            out[name] = value
            continue
        rest = [path[1:] for path in paths if path[0] == name]
        if not rest:
            continue
        if any(not path for path in rest):
            out[name] = value
        elif isinstance(value, dict):
            out[name] = _masked(value, rest)
        # A FieldMask cannot reach into a repeated field: Envoy drops it, so do we.
    return out


ENDPOINTS = (
    Endpoint(
        "/config_dump",
        "dump current Envoy configs",
        config_dump,
        parameters=(
            ("resource", f"The resource to dump; One of ({', '.join(_ELEMENTS)})"),
            ("mask", "Fields to leave, e.g. cluster.name,version_info; a Protobuf::FieldMask"),
            ("name_regex", "Only the configurations whose names match this entirely"),
            ("include_eds", "Include endpoints"),
        ),
    ),
    Endpoint("/init_dump", "dump what initialisation waits for", init_dump),
)
