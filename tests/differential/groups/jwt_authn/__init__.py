"""The HTTP filter `jwt_authn`: which tokens it takes, what it says of the others, what it forwards,
what it notes in dynamic metadata, and how routes and `rbac` read that."""

from __future__ import annotations

from tests.differential.groups.jwt_authn import (
    answers,
    forwarded,
    keys,
    places,
    readers,
    requirements,
    tokens,
)
from tests.differential.model import Group

_PARTS = (tokens, keys, places, forwarded, requirements, readers, answers)

GROUP = Group(
    name="jwt_authn",
    doc=__doc__,
    listeners={name: listener for part in _PARTS for name, listener in part.LISTENERS.items()},
    cases=[case for part in _PARTS for case in part.cases()],
)
