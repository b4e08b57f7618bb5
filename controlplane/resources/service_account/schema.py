"""Kubernetes' ServiceAccount: its name is the identity, its annotations are read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Has no fields that matter."""
