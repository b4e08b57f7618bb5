"""One file per group of behaviour: a bootstrap and the table of cases that runs on it."""

from __future__ import annotations

import importlib
import pkgutil

from tests.differential.model import Group


def _load() -> list[Group]:
    names = sorted(m.name for m in pkgutil.iter_modules(__path__))
    return [importlib.import_module(f"{__name__}.{name}").GROUP for name in names]


GROUPS: list[Group] = _load()
