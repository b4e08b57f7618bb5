"""Kinds that only analysis looks at: their resources have the object itself for a spec."""

from __future__ import annotations

from typing import Any, Final

KINDS: Final = frozenset(
    {
        ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    }
)


def items(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; nothing of what is none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def labels(value: Any) -> dict[str, str]:
    given = value if isinstance(value, dict) else {}
    return {name: one for name, one in given.items() if isinstance(one, str)}
