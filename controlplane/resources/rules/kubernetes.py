"""Rules that Kubernetes' kinds share. Its API server has more; these keep the mesh safe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from controlplane.problem import Problem, shown
from controlplane.resources.common.pod import Container
from controlplane.resources.schema import below

_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
PROTOCOLS = frozenset({"", "TCP", "UDP", "SCTP"})


def data_keys(given: Mapping[str, object], path: str) -> Iterator[Problem]:
    """Keys of Secret and ConfigMap, which may become files."""
    for key in given:
        if not _DATA_KEY.fullmatch(key) or key in {".", ".."}:
            reason = f"{shown(key)} is no key: letters, digits, - _ . and 253 at most"
            yield Problem(below(path, key), reason)


def port_protocol(text: str, path: str) -> Iterator[Problem]:
    """The transport of a port."""
    if text not in PROTOCOLS:
        yield Problem(path, f"must be TCP, UDP or SCTP, is {shown(text)}")


def unique_names(given: Iterable[str], path: str, *, one_empty: bool = False) -> Iterator[Problem]:
    """Names of ports: all different, and none empty where there are several.

    `one_empty`: "" is a name like others.
    """
    listed = list(given)
    seen: dict[str, int] = {}
    for index, name in enumerate(listed):
        if not name and len(listed) > 1 and not one_empty:
            yield Problem(f"{path}[{index}].name", "is required where there are several ports")
        elif seen.setdefault(name, index) != index:
            reason = f"{shown(name)} is the name of [{seen[name]}] as well; rename it"
            yield Problem(f"{path}[{index}].name", reason)


def containers(given: Iterable[Container], path: str) -> Iterator[Problem]:
    """Ports of containers."""
    for index, container in enumerate(given):
        for number, port in enumerate(container.ports):
            yield from port_protocol(port.protocol, f"{path}[{index}].ports[{number}].protocol")
