"""A configuration dump: its sections, what is in them, and nothing secret of it.

A dump may come from a file or from a proxy that is not ours: what is not where it should be counts
as not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from controlplane.commands.common import CommandError

#: Where a proxy's admin port has it.
DUMP: Final = "/config_dump?include_eds"
_REDACTED: Final = "[redacted]"
#: Fields of `Secret` messages that are shown to nobody, wherever they stand.
_SECRET: Final = frozenset({
    "private_key", "private_key_provider", "password", "pkcs12", "session_ticket_keys",
    "generic_secret", "secret_access_key", "session_token",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Held:
    """One resource that a proxy holds."""

    name: str
    #: ACTIVE, WARMING, DRAINING or STATIC.
    state: str
    value: dict[str, Any]


class Dump:
    """`/config_dump?include_eds`."""

    def __init__(self, value: Any, where: str) -> None:
        """Raises CommandError for what is none."""
        configs = items(obj(value), "configs")
        if not configs:
            raise CommandError(f"{where}: is no configuration dump (GET {DUMP})")
        try:
            self.whole: dict[str, Any] = redacted(value)
        except RecursionError:
            raise CommandError(f"{where}: is nested too deeply for a dump") from None
        self._sections = {
            text(one, "@type").rpartition(".")[2]: one for one in items(self.whole, "configs")
        }

    @property
    def bootstrap(self) -> dict[str, Any]:
        return obj(self._section("BootstrapConfigDump"))

    def clusters(self) -> list[Held]:
        section = self._section("ClustersConfigDump")
        return [
            *_held(section, "static_clusters", "cluster", "STATIC"),
            *_held(section, "dynamic_active_clusters", "cluster", "ACTIVE"),
            *_held(section, "dynamic_warming_clusters", "cluster", "WARMING"),
        ]

    def listeners(self) -> list[Held]:
        section = self._section("ListenersConfigDump")
        found = list(_held(section, "static_listeners", "listener", "STATIC"))
        for one in items(section, "dynamic_listeners"):
            for state in ("active", "warming", "draining"):
                listener = obj(obj(one.get(f"{state}_state")).get("listener"))
                if listener:
                    name = text(listener, "name") or text(one, "name")
                    found.append(Held(name, state.upper(), listener))
        return found

    def routes(self) -> list[Held]:
        section = self._section("RoutesConfigDump")
        return [
            *_held(section, "static_route_configs", "route_config", "STATIC"),
            *_held(section, "dynamic_route_configs", "route_config", "ACTIVE"),
        ]

    def endpoints(self) -> list[Held]:
        section = self._section("EndpointsConfigDump")
        return [
            *_held(section, "static_endpoint_configs", "endpoint_config", "STATIC", "cluster_name"),
            *_held(
                section, "dynamic_endpoint_configs", "endpoint_config", "ACTIVE", "cluster_name"
            ),
        ]

    def secrets(self) -> list[Held]:
        section = self._section("SecretsConfigDump")
        return [
            *_held(section, "static_secrets", "secret", "STATIC"),
            *_held(section, "dynamic_active_secrets", "secret", "ACTIVE"),
            *_held(section, "dynamic_warming_secrets", "secret", "WARMING"),
        ]

    def extensions(self) -> list[Held]:
        return list(_held(self._section("EcdsConfigDump"), "ecds_filters", "ecds_filter", "ACTIVE"))

    def _section(self, name: str) -> dict[str, Any]:
        return self._sections.get(name, {})


def redacted(value: Any) -> Any:
    """Without what is secret. Proxies leave it out of their dumps; a file may be from anywhere."""
    if isinstance(value, dict):
        return {
            key: _REDACTED if key in _SECRET and one else redacted(one)
            for key, one in value.items()
        }
    return [redacted(one) for one in value] if isinstance(value, list) else value


def obj(value: Any) -> dict[str, Any]:
    """An object; empty if it is none."""
    return value if isinstance(value, dict) else {}


def items(value: Any, key: str) -> list[dict[str, Any]]:
    """The objects of a list in an object."""
    found = obj(value).get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def text(value: Any, key: str) -> str:
    """A string in an object; "" if it is none."""
    found = obj(value).get(key)
    return found if isinstance(found, str) else ""


def words(value: Any, key: str) -> list[str]:
    """A list of strings in an object."""
    found = obj(value).get(key)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def address(value: Any) -> tuple[str, int | None]:
    """Host and port of `core.v3.Address`; a path or another name has no port."""
    one = obj(value)
    socket = obj(one.get("socket_address"))
    if socket:
        port = socket.get("port_value", 0)
        return text(socket, "address"), port if isinstance(port, int) else 0
    path = text(one.get("pipe"), "path")
    if path:
        return f"unix://{path}", None
    return text(one.get("envoy_internal_address"), "server_listener_name") or "-", None


def istio_config(value: Any, kind: str) -> str:
    """`reviews.default`: the object of which it was made, "" if its metadata do not say."""
    istio = obj(obj(obj(obj(value).get("metadata")).get("filter_metadata")).get("istio"))
    _, found, rest = text(istio, "config").partition("/namespaces/")
    parts = rest.split("/")
    if found and len(parts) == 3 and parts[1] == kind:
        return f"{parts[2]}.{parts[0]}"
    return ""


def _held(
    section: dict[str, Any], key: str, inner: str, state: str, name: str = "name"
) -> Iterator[Held]:
    for one in items(section, key):
        value = obj(one.get(inner))
        if value:
            yield Held(text(value, name), state, value)
        elif inner == "secret" and text(one, "name"):
            # One that is waited for has no value yet.
            yield Held(text(one, "name"), state, {})
