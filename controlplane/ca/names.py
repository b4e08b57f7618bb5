"""What may be the name of a namespace or a service account (RFC 1123, as Kubernetes has it)."""

from __future__ import annotations

import re

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def is_name(text: str) -> bool:
    """Whether it can stand in an identity."""
    return _NAME.fullmatch(text) is not None
