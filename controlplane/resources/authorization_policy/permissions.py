"""`to` and the conditions on destinations as Envoy's permissions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from envoy.config.rbac.v3.rbac_pb2 import Permission

from controlplane.resources.authorization_policy import matchers
from controlplane.resources.authorization_policy.principals import Unsupported
from controlplane.resources.authorization_policy.schema import Condition, Operation

ANY = Permission(any=True)

_EXPERIMENTAL = "experimental."
_METADATA = "experimental.envoy.filters."

_Of = Callable[[str], Permission]


def operation(given: Operation, *, http: bool) -> Permission:
    """All fields of an operation. Raises Unsupported."""
    parts: list[Permission] = []
    for positive, negative, of, only_http in (
        (given.hosts, given.not_hosts, _host, True),
        (given.ports, given.not_ports, _port, False),
        (given.methods, given.not_methods, _method, True),
        (given.paths, given.not_paths, _path, True),
    ):
        if only_http and not http and (positive or negative):
            raise Unsupported
        parts += _values(positive, negative, of)
    return all_of(parts)


def condition(given: Condition) -> Permission | None:
    """A `when` about the destination; None if it is about something else."""
    of: _Of | None = {
        "destination.ip": _address,
        "destination.port": _port,
        "connection.sni": _server_name,
    }.get(given.key)
    if given.key.startswith(_METADATA):
        name, _, key = given.key.removeprefix(_EXPERIMENTAL).partition("[")
        of = partial(_metadata, name, key.removesuffix("]"))
    return None if of is None else all_of(_values(given.values, given.not_values, of))


def all_of(parts: list[Permission]) -> Permission:
    """AND; nothing asked is everything."""
    if not parts:
        return ANY
    return parts[0] if len(parts) == 1 else Permission(and_rules=Permission.Set(rules=parts))


def _any_of(parts: Iterable[Permission]) -> Permission:
    found = list(parts)
    return found[0] if len(found) == 1 else Permission(or_rules=Permission.Set(rules=found))


def _values(positive: tuple[str, ...], negative: tuple[str, ...], of: _Of) -> list[Permission]:
    parts = []
    if positive:
        parts.append(_any_of(of(value) for value in positive))
    if negative:
        parts.append(Permission(not_rule=_any_of(of(value) for value in negative)))
    return parts


def _host(value: str) -> Permission:
    return Permission(header=matchers.header(":authority", value, ignore_case=True))


def _port(value: str) -> Permission:
    return Permission(destination_port=int(value))


def _method(value: str) -> Permission:
    return Permission(header=matchers.header(":method", value))


def _path(value: str) -> Permission:
    return Permission(url_path=matchers.path(value))


def _address(value: str) -> Permission:
    return Permission(destination_ip=matchers.cidr(value))


def _metadata(name: str, key: str, value: str) -> Permission:
    return Permission(metadata=matchers.metadata(name, key, value))


def _server_name(value: str) -> Permission:
    return Permission(requested_server_name=matchers.string(value))
