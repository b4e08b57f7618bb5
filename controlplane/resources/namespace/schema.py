"""Kubernetes' Namespace: labels and annotations are all that a mesh reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Namespace:
    """Has no fields that matter."""
