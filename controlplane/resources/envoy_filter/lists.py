"""Where in a list of filters, chains or routes a patch puts its value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlplane.resources.envoy_filter.merge import merge
from controlplane.resources.envoy_filter.select import Wanted

Concerns = Callable[[Any], bool]


def apply(items: Any, patch: Wanted, concerns: Concerns, *, anywhere: bool) -> None:
    """Changes `items`, a repeated field. `concerns`: whether the patch is about an element;
    `anywhere`: it names none, so that what is inserted may go to an end."""
    operation = patch.patch.operation
    places = [index for index, item in enumerate(items) if concerns(item)]
    if operation == "REMOVE":
        for index in reversed(places):
            del items[index]
    elif operation in {"MERGE", "MERGE_AND_REPLACE_LIST"}:
        for index in places:
            replace = operation == "MERGE_AND_REPLACE_LIST"
            merge(items[index], patch.value(), replace_lists=replace)
    elif operation == "REPLACE":
        for index in places[:1]:
            items[index].CopyFrom(patch.value())
    elif operation == "ADD":
        items.append(patch.value())
    elif operation == "INSERT_FIRST":
        _insert(items, 0, patch.value())
    elif operation == "INSERT_BEFORE" and (places or anywhere):
        _insert(items, 0 if anywhere else places[0], patch.value())
    elif operation == "INSERT_AFTER" and (places or anywhere):
        _insert(items, len(items) if anywhere else places[0] + 1, patch.value())


def _insert(items: Any, index: int, value: Any) -> None:
    items.insert(index, value)
