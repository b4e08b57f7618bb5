"""What WasmPlugin and TrafficExtension share: the module, its machine, the traffic it is for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from controlplane.problem import Problem
from controlplane.resources.schema import Length, Pattern, Port

FailStrategy = Literal["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"]
PullPolicy = Literal["UNSPECIFIED_POLICY", "IfNotPresent", "Always"]
PluginType = Literal["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"]
WorkloadMode = Literal["UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"]

Sha256 = Annotated[str, Pattern(r"([a-f0-9]{64})?", "64 digits of 0-9 and a-f")]
PluginName = Annotated[str, Length(1, 256)]
SecretName = Annotated[str, Length(1, 253)]


@dataclass(frozen=True, slots=True)
class PortSelector:
    number: Port


@dataclass(frozen=True, slots=True)
class TrafficSelector:
    """One of `ports` (or any) in this mode; UNDEFINED is CLIENT_AND_SERVER."""

    mode: WorkloadMode = "UNDEFINED"
    ports: tuple[PortSelector, ...] = ()


@dataclass(frozen=True, slots=True)
class EnvVar:
    name: Annotated[str, Length(1, 256)]
    #: HOST: the value of the sidecar's own variable of that name.
    value_from: Literal["INLINE", "HOST"] = "INLINE"
    value: Annotated[str, Length(0, 2048)] | None = None


@dataclass(frozen=True, slots=True)
class VmConfig:
    env: Annotated[tuple[EnvVar, ...], Length(0, 256)] = ()


_SCHEMES = ("http", "https", "file", "oci")


def check_url(url: str, path: str) -> Iterator[Problem]:
    """A URL without a scheme is an image of a registry: `registry.example/plugin:1`."""
    reason = ""
    try:
        parts = urlsplit(url if "://" in url else f"oci://{url}")
        if parts.scheme not in _SCHEMES:
            reason = f"{parts.scheme}:// is not supported; use {', '.join(_SCHEMES)}"
        elif not (parts.path if parts.scheme == "file" else parts.hostname):
            reason = f"{url!r} names no {'file' if parts.scheme == 'file' else 'host'}"
        elif any(character.isspace() or not character.isprintable() for character in url):
            reason = f"{url!r} has blanks or control characters"
        elif parts.port == 0:
            reason = f"{url!r} has the port 0"
    except ValueError as error:
        reason = f"{url!r} is no URL: {error}"
    if reason:
        yield Problem(path, reason)


def check_vm(config: VmConfig | None, path: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, variable in enumerate(config.env if config else ()):
        where = f"{path}.env[{index}]"
        if variable.name in seen:
            yield Problem(f"{where}.name", f"{variable.name} is there twice; keep one")
        seen.add(variable.name)
        if variable.value_from == "HOST" and variable.value is not None:
            reason = "is taken from the host (valueFrom: HOST); leave the value out"
            yield Problem(f"{where}.value", reason)


def check_match(selectors: tuple[TrafficSelector, ...], path: str) -> Iterator[Problem]:
    for index, selector in enumerate(selectors):
        seen: set[int] = set()
        for place, port in enumerate(selector.ports):
            if port.number in seen:
                where = f"{path}[{index}].ports[{place}].number"
                yield Problem(where, f"{port.number} is there twice; keep one")
            seen.add(port.number)
