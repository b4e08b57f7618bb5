"""Webhooks that lead to a control plane elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.analysis.raw import items, text
from controlplane.resources.resource import Key
from controlplane.resources.rules.addresses import is_ip

_VALIDATORS = ("istiod-default-validator", "istio-validator")
_INJECTORS = ("istio-sidecar-injector",)


def _run(collection: Collection) -> Iterator[Finding]:
    for kind, names in (
        ("ValidatingWebhookConfiguration", _VALIDATORS),
        ("MutatingWebhookConfiguration", _INJECTORS),
    ):
        for one in collection.of(kind):
            if not one.name.startswith(names):
                continue
            for index, hook in enumerate(items(one.spec.get("webhooks"))):
                client = hook.get("clientConfig")
                if isinstance(client, dict):
                    path = f"webhooks[{index}].clientConfig"
                    yield from _client(one.key, path, text(hook.get("name")), client)


def _client(key: Key, path: str, hook: str, client: dict[str, object]) -> Iterator[Finding]:
    url = client.get("url")
    if not isinstance(url, str):
        if client.get("service") is None:
            yield found(
                codes.INVALID_EXTERNAL_CONTROL_PLANE,
                key,
                path,
                address='""',
                webhook=hook,
                problem="is blank",
            )
        return
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        yield found(
            codes.INVALID_EXTERNAL_CONTROL_PLANE,
            key,
            f"{path}.url",
            address=url,
            webhook=hook,
            problem="is no URL",
        )
        return
    if is_ip(host):
        code = codes.EXTERNAL_CONTROL_PLANE_IS_NO_HOST
        yield found(code, key, f"{path}.url", address=url, webhook=hook)


ANALYZER = Analyzer(
    name="externalcontrolplane.ExternalControlPlaneAnalyzer",
    description="Webhooks that lead to a control plane elsewhere",
    codes=(codes.INVALID_EXTERNAL_CONTROL_PLANE, codes.EXTERNAL_CONTROL_PLANE_IS_NO_HOST),
    run=_run,
)
