"""Tables of Go's tests, read without Go: composite literals of protobuf messages to YAML's values.

Understands what such tables are made of: literals, constants of time, enums, wrappers, oneofs. A
case with anything else (a variable, a function) cannot be read and is counted as skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(
    r"""\s+ | //[^\n]*
    | (?P<text>"(?:[^"\\]|\\.)*" | `[^`]*`)
    | (?P<number>\d[\d_.eExXa-fA-F]*)
    | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_TABLE = re.compile(r"(?:\[\]|map\[string\])struct \{(.*?)\n\t+\}\{", re.DOTALL)
_FIELD = re.compile(r"([\w, ]+?)\s+[\[\]*\w.]+$", re.MULTILINE)
_NANOSECONDS = {
    "time.Hour": 3_600_000_000_000,
    "time.Minute": 60_000_000_000,
    "time.Second": 1_000_000_000,
    "time.Millisecond": 1_000_000,
    "time.Microsecond": 1_000,
    "time.Nanosecond": 1,
}
#: Go's names of oneofs, which YAML does not have.
_ONE_OFS = frozenset(
    "ActionDetail ErrorType FilterConfig HashAlgorithm HashKey HealthCheckMethod HttpDelayType"
    " Gw LbPolicy MatchType MetricMatch Ne ObjectTypes PrivateKeyProvider.Provider"
    " RedirectPort Specifier Tracer".split()
)
#: Packages of istio.io/api, by the names that Istio's tests give them.
_PACKAGES = (
    "networking.",
    "security_beta.",
    "telemetry.",
    "extensions.",
    "api.",
    "type_beta.",
    "meshconfig.",
)
#: Constants of Istio's.
_CONSTANTS = {
    "gvk.KubernetesGateway.Group": "gateway.networking.k8s.io",
    "gvk.KubernetesGateway.Kind": "Gateway",
    "gvk.Service.Group": "",
    "gvk.Service.Kind": "Service",
    "wellknown.HTTPConnectionManager": "envoy.filters.network.http_connection_manager",
}
_NAMES = {"Consecutive_5XxErrors": "consecutive5xxErrors", "String_": "string"}


class Unreadable(Exception):
    """More than literals."""


@dataclass
class _Composite:
    """`Type{key: value, ...}`; keys are None where there are none."""

    type: str
    entries: list[tuple[Any, Any]]


@dataclass
class _Duration:
    nanoseconds: float


@dataclass
class _Unknown:
    """A name that only Go knows."""

    name: str


def cases(source: str, function: str) -> Iterator[dict[str, Any]]:
    """Every entry of the tables of a test function, by field; values are for `to_yaml`.

    The key of a table that is a map is its `name`.
    """
    found = re.search(rf"^func {function}\(.*?^}}", source, re.DOTALL | re.MULTILINE)
    assert found is not None, function
    for table in _TABLE.finditer(found[0]):
        declared = re.sub(r"//.*", "", table[1])
        fields = [one.strip() for names in _FIELD.findall(declared) for one in names.split(",")]
        for key, entry in _Parser(found[0][table.end() - 1 :]).literal("").entries:
            if isinstance(entry, _Composite):
                keyed = bool(entry.entries) and entry.entries[0][0] is not None
                values = [value for _, value in entry.entries]
                yield {
                    "name": key,
                    **dict(entry.entries if keyed else zip(fields, values, strict=True)),
                }


def expression(source: str) -> Any:
    """One expression; for `to_yaml`."""
    return _Parser(f"{source};").expression()


class _Parser:
    """Of one expression and what is in it."""

    def __init__(self, source: str) -> None:
        self._tokens = _tokens(source)
        self._kind, self._token = next(self._tokens)

    def _next(self) -> str:
        token = self._token
        self._kind, self._token = next(self._tokens, ("end", ""))
        if self._kind == "end":
            raise Unreadable(token)
        return token

    def expression(self) -> Any:
        value = self._operand()
        while self._token in {"*", "+"}:
            sign, other = self._next(), self._operand()
            if isinstance(value, _Unknown) or isinstance(other, _Unknown):
                value = _Unknown(sign)
            else:
                value = value * other if sign == "*" else value + other
        return value

    def _operand(self) -> Any:
        kind, token = self._kind, self._token
        if token == "{":
            return self.literal("")
        if token == "[" or token == "map":
            return self._typed(self._type())
        self._next()
        if token == "&":
            return self._operand()
        if token == "-":
            value = self._operand()
            return value if isinstance(value, _Unknown) else -value
        if kind == "text":
            return token[1:-1] if token[0] == "`" or "\\x" in token else json.loads(token)
        if kind == "number":
            plain = token.replace("_", "")
            return float(plain) if "." in plain else int(plain, 0)
        return self._typed(token)

    def _typed(self, name: str) -> Any:
        """What follows a name: a literal of that type, the arguments of a call, or nothing."""
        if self._token == "{":
            return self.literal(name)
        if self._token == "(":
            return self._call(name)
        if name in {"true", "false"}:
            return name == "true"
        if name == "nil":
            return None
        if name in _NANOSECONDS:
            return _NANOSECONDS[name]
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if name.startswith(_PACKAGES):
            # `ServiceEntry_DNS_ROUND_ROBIN`: names of messages have small letters.
            parts = name.partition(".")[2].split("_")
            while parts and re.search("[a-z]", parts[0]):
                parts.pop(0)
            if parts:
                return "_".join(parts)
        return _Unknown(name)

    def _type(self) -> str:
        token = self._next()
        if token == "[":
            while self._next() != "]":
                pass
            return "[]" + self._type()
        if token == "map":
            self._next()
            self._type()
            self._next()
            return "map:" + self._type()
        return self._type() if token == "*" else token

    def _call(self, name: str) -> Any:
        self._next()
        arguments = []
        while self._token != ")":
            arguments.append(self.expression())
            if self._token == ",":
                self._next()
        self._next()
        match name, arguments:
            case "durationpb.New", [int() | float() as nanoseconds]:
                return _Duration(nanoseconds)
            case "strings.Repeat", [str() as text, int() as times]:
                return text * times
            case _, [argument] if name.startswith("wrapperspb."):
                return argument
        return _Unknown(name)

    def literal(self, name: str) -> _Composite:
        self._next()
        entries: list[tuple[Any, Any]] = []
        while self._token != "}":
            key, value = None, self.expression()
            if self._token == ":":
                self._next()
                key, value = value, self.expression()
            entries.append((key.name if isinstance(key, _Unknown) else key, value))
            if self._token == ",":
                self._next()
        self._kind, self._token = next(self._tokens, ("end", ""))
        return _Composite(name, entries)


def _tokens(source: str) -> Iterator[tuple[str, str]]:
    for found in _TOKEN.finditer(source):
        if found.lastgroup:
            yield found.lastgroup, found[0]


def to_yaml(value: Any) -> Any:
    """A value of a case as YAML would have it. Raises Unreadable."""
    match value:
        case _Unknown():
            raise Unreadable(value.name)
        case _Duration():
            return f"{value.nanoseconds / 1e9:.9f}s"
        case _Composite(type=name) if name.startswith("[]"):
            return [to_yaml(one) for _, one in value.entries]
        case _Composite(type=name) if name.startswith("map:"):
            return {key: to_yaml(one) for key, one in value.entries}
        case _Composite(type=name) if "Duration" in name:
            given = dict(value.entries)
            seconds, nanoseconds = (to_yaml(given.get(one, 0)) for one in ("Seconds", "Nanos"))
            return f"{seconds + nanoseconds / 1e9:.9f}s"
        case _Composite(type=name) if name.startswith(("wrapperspb.", "wrappers.")):
            return to_yaml(dict(value.entries).get("Value", "Bool" not in name and 0))
        case _Composite(type=name) if name.startswith("structpb."):
            # A Struct, or a Value whose oneof says the type.
            return to_yaml(value.entries[0][1]) if value.entries else {}
        case _Composite():
            return _message(value)
    return value


def _message(value: _Composite) -> Any:
    match value.entries:
        case [("Kind", _Composite(type=name) as given)] if name.startswith("structpb."):
            return to_yaml(given)  # In a map, where the type goes without saying.
    result: dict[str, Any] = {}
    for key, given in value.entries:
        if key is None:
            raise Unreadable(value.type)
        one = to_yaml(given)
        if one is None:
            continue
        named = f"{value.type.rpartition('.')[2]}.{key}"
        if {key, named} & _ONE_OFS or (key == "Type" and isinstance(one, dict)):
            result |= one
        else:
            result[_NAMES.get(key) or key[0].lower() + key[1:]] = one
    return result
