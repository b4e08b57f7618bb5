"""What a patch's value is: an Envoy message, read from its JSON form."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import descriptor_pool, json_format, message, message_factory

from controlplane.problem import shown
from controlplane.resources.schema import parse_duration

#: The message that each `applyTo` patches.
MESSAGES: Mapping[str, str] = {
    "LISTENER": "envoy.config.listener.v3.Listener",
    "FILTER_CHAIN": "envoy.config.listener.v3.FilterChain",
    "NETWORK_FILTER": "envoy.config.listener.v3.Filter",
    "HTTP_FILTER": "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
    "ROUTE_CONFIGURATION": "envoy.config.route.v3.RouteConfiguration",
    "VIRTUAL_HOST": "envoy.config.route.v3.VirtualHost",
    "HTTP_ROUTE": "envoy.config.route.v3.Route",
    "CLUSTER": "envoy.config.cluster.v3.Cluster",
    "EXTENSION_CONFIG": "envoy.config.core.v3.TypedExtensionConfig",
    "BOOTSTRAP": "envoy.config.bootstrap.v3.Bootstrap",
    "LISTENER_FILTER": "envoy.config.listener.v3.ListenerFilter",
}

#: Packages whose modules may be imported because a patch names a type of theirs.
_ROOTS = frozenset({"envoy", "xds", "udpa", "opentelemetry"})

#: The protobufs still have its messages, Envoy does not.
_VERSION_2 = re.compile(r"/envoy\..*\.v2(?:alpha\d*|beta\d*)?\.")


class Unreadable(Exception):
    """The value is no such message."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        #: Below the value: `.filter_chains[0]`.
        self.path = path
        self.reason = reason


def build(apply_to: str, value: Mapping[str, Any]) -> message.Message:
    """The message that `applyTo` patches, with the fields of the value. Raises Unreadable."""
    for path, url in type_urls(value):
        if _VERSION_2.search(url):
            reason = f"the type {shown(url, 200)} is of version 2 of Envoy's API, which is gone; "
            raise Unreadable(path, reason + "use the v3 type")
        if not _load(url.rpartition("/")[2]):
            reason = (
                f"the type {shown(url, 200)} is not among Envoy's protobufs that this release has"
            )
            raise Unreadable(path, reason)
    name = MESSAGES[apply_to]
    _load(name)
    descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
    result: message.Message = message_factory.GetMessageClass(descriptor)()
    try:
        json_format.ParseDict(_with_durations(value, result.DESCRIPTOR), result)
    except json_format.ParseError as error:
        path, reason = _explain(str(error))
        raise Unreadable(path, f"is no {name}: {reason}") from None
    return result


def _with_durations(value: Any, descriptor: Any) -> Any:
    """The value with durations as protobuf writes them: people write `500ms`, as Istio allows."""
    if not isinstance(value, Mapping):
        return value
    if descriptor.full_name == "google.protobuf.Any":
        inner = _descriptor(str(value.get("@type", "")).rpartition("/")[2])
        return value if inner is None else _with_durations(value, inner)
    fields = {**descriptor.fields_by_camelcase_name, **descriptor.fields_by_name}
    return {name: _field(given, fields.get(name)) for name, given in value.items()}


def _field(value: Any, field: Any) -> Any:
    if field is None or field.message_type is None:
        return value
    of = field.message_type
    if of.GetOptions().map_entry:
        inner = of.fields_by_name["value"]
        entries = value.items() if isinstance(value, Mapping) else ()
        return {name: _field(given, inner) for name, given in entries} or value
    if isinstance(value, list):
        return [_message(one, of) for one in value]
    return _message(value, of)


def _message(value: Any, descriptor: Any) -> Any:
    if descriptor.full_name == "google.protobuf.Duration" and isinstance(value, str):
        seconds = parse_duration(value)
        return value if seconds is None else f"{seconds:.9f}s"
    return _with_durations(value, descriptor)


def _descriptor(name: str) -> Any:
    return descriptor_pool.Default().FindMessageTypeByName(name) if _load(name) else None


def type_urls(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every `@type` below the value that Envoy would look up, with its path."""
    if isinstance(value, Mapping):
        url = value.get("@type")
        if isinstance(url, str):
            yield f"{path}['@type']", url
            # What a TypedStruct holds is the business of the extension that reads it.
            if url.endswith(".TypedStruct"):
                return
        for name, inner in value.items():
            yield from type_urls(inner, f"{path}.{name}")
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from type_urls(inner, f"{path}[{index}]")


@functools.lru_cache(maxsize=1024)
def _load(name: str) -> bool:
    """Whether there is such a message, once the modules of its package are imported."""
    pool = descriptor_pool.Default()
    if not _known(pool, name):
        # Packages are small letters, messages (nested ones too) begin with a capital.
        package = re.match(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*(?=\.[A-Z])", name)
        if package is None or package[0].partition(".")[0] not in _ROOTS:
            return False
        try:
            module = importlib.import_module(package[0])
        except ModuleNotFoundError:
            return False
        for one in pkgutil.iter_modules(module.__path__):
            if one.name.endswith("_pb2"):
                importlib.import_module(f"{package[0]}.{one.name}")
    return _known(pool, name)


def _known(pool: descriptor_pool.DescriptorPool, name: str) -> bool:
    try:
        pool.FindMessageTypeByName(name)
    except KeyError:
        return False
    return True


def _explain(text: str) -> tuple[str, str]:
    """Path and reason of a ParseError, which says both in one sentence."""
    text = text.partition("\n")[0].strip()
    place = re.search(r' at "?[A-Za-z]\w*(?P<path>(?:\.\w+|\[\d+\])*)\.*"?\.*$', text)
    path = ""
    if place is not None:
        path, text = place["path"], text[: place.start()]
    outer = re.compile(r"Failed to parse (?P<name>\S+) field: ")
    names: list[str] = []
    while (prefix := outer.match(text)) is not None:
        names.append(prefix["name"])
        text = text[prefix.end() :]
    if place is None and names:
        path = "." + ".".join(names)
    return path, text.rstrip(".")
