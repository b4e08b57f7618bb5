"""YAML inside of a string: MeshConfig in a ConfigMap, an annotation of a pod."""

from __future__ import annotations

from typing import Any

from controlplane.sources import document
from controlplane.sources.document import Document


def read(text: str, what: str) -> Document | str | None:
    """The object; None where there is nothing; or why it is none."""
    contents = document.read(text.encode(errors="surrogatepass"), what)
    if contents.refused:
        reason = contents.refused[0].problems[0].reason
        return "must be an object" if reason == document.NO_OBJECT else reason
    if len(contents.documents) > 1:
        return "holds more than one document"
    return contents.documents[0] if contents.documents else None


def value(text: str, what: str) -> dict[str, Any] | str:
    """Its fields, or why there are none."""
    found = read(text, what)
    if isinstance(found, str):
        return found
    return found.value if found is not None else {}
