"""What the control plane asks of a source: list, then watch from there.

A folder is the first source; a built-in Kubernetes-style API, Kubernetes itself and etcd follow.
The shape is Kubernetes': a list has a version, a watch tells everything that happened after it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

from controlplane.problem import Refused
from controlplane.resources.resource import Key, Resource


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything that a source has, at one moment."""

    resources: tuple[Resource[Any], ...]
    #: What could not be taken, each with its place. Where a last good state is known, the
    #: resource is in `resources` too.
    refused: tuple[Refused, ...]
    #: Opaque; a watch goes on from here.
    version: str
    #: What was taken all the same, but is hardly what somebody wanted.
    warnings: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What happened between two versions, applied together."""

    updated: tuple[Resource[Any], ...]
    removed: tuple[Key, ...]
    #: All that is refused now, not only what is new.
    refused: tuple[Refused, ...]
    version: str
    #: All that is warned of now.
    warnings: tuple[Refused, ...] = ()


class Gone(Exception):
    """The version asked for is too old to continue from: list again."""


class Source(Protocol):
    """One place where resources come from."""

    @property
    def name(self) -> str:
        """What people call it in messages: the folder's path, the API's address."""

    async def list(self) -> Listing:
        """Everything, now."""

    def watch(self, version: str) -> AsyncIterator[Change]:
        """What happens after `version`, for ever. Raises Gone."""
