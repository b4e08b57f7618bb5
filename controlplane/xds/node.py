"""A proxy, out of the node that it claims to be and the identity that it has proved."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Protocol

from google.protobuf import json_format
from google.protobuf.json_format import MessageToDict

from controlplane.world.proxy import (
    ENVOYS,
    HEEDED,
    NOWHERE,
    Locality,
    Proxy,
)
from controlplane.xds.request import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controlplane.xds.identity import Identity, Peer

TYPES = ("sidecar", "router")
#: Metadata that has a field of its own in `Proxy`, or that nothing is made of and is large.
_APART = frozenset({
    "ANNOTATIONS", "CLUSTER_ID", "INSTANCE_IPS", "LABELS", "NAMESPACE", "NETWORK",
    "PLATFORM_METADATA", "SERVICE_ACCOUNT",
})  # fmt: skip


#: What a program may call itself, in characters.
_AGENT = 100


class Impostor(Exception):
    """The node claims what its identity does not cover: PERMISSION_DENIED with this text."""


class Claims(Protocol):
    """What proxies may say of themselves that their identity does not tell: their labels."""

    def admit(self, proxy: Proxy, peer: Peer) -> Callable[[], str]:
        """Raises Impostor. What is returned says later whether that still holds: "", or why it
        does not."""


def proxy(node: Any, identity: Identity | None, limit: int) -> Proxy:
    """`node` is `envoy.config.core.v3.Node`. Without an identity (a trusted port) its claims count.

    Raises BadRequest and Impostor.
    """
    size = node.ByteSize()
    if size > limit:
        raise BadRequest(f"node has {size} bytes, more than {limit}: shorten its metadata")
    parts = node.id.split("~")
    if len(parts) != 4:
        raise BadRequest(f"node.id is {node.id[:200]!r}, not TYPE~IP~NAME.NAMESPACE~DOMAIN")
    kind, address, name, domain = parts
    if kind not in TYPES:
        raise BadRequest(f"node.id: proxies of type {kind[:40]!r} are not served, only {TYPES}")
    metadata = _metadata(node)
    claimed = _text(metadata, "NAMESPACE")
    named = name.rpartition(".")[2] if "." in name else ""
    account = _text(metadata, "SERVICE_ACCOUNT")
    if identity is None:
        namespace = claimed or named or "default"
        account = account or "default"
        _same("node.id", "namespace", named, namespace, "its metadata NAMESPACE")
    else:
        namespace = identity.namespace
        _same("metadata NAMESPACE", "namespace", claimed, namespace, str(identity))
        _same("node.id", "namespace", named, namespace, str(identity))
        _same("node.id", "namespace", _domain_namespace(domain), namespace, str(identity))
        _same(
            "metadata SERVICE_ACCOUNT",
            "service account",
            account,
            identity.service_account,
            str(identity),
        )
        account = identity.service_account
    labels = _labels(metadata)
    return Proxy(
        type=kind,
        id=name,
        namespace=namespace,
        service_account=account,
        addresses=_addresses(address, metadata),
        labels=tuple(sorted(labels.items())),
        locality=_locality(node, labels),
        network=_text(metadata, "NETWORK"),
        cluster=_text(metadata, "CLUSTER_ID"),
        dns_domain=domain.partition(".svc.")[2] or "cluster.local",
        metadata=tuple(sorted((k, _flat(v)) for k, v in metadata.items() if k not in _APART)),
        runs=_runs(node),
        agent=_agent(node),
    )


def _metadata(node: Any) -> dict[str, Any]:
    try:
        found: dict[str, Any] = MessageToDict(node.metadata)
    except (ValueError, json_format.Error) as error:
        # Numbers that JSON does not have.
        raise BadRequest(f"node.metadata cannot be read: {error}") from None
    return found


def _runs(node: Any) -> tuple[str, ...]:
    """The stock Envoy tells all of its extensions, and has none of Istio's filters."""
    if not node.extensions:
        return ENVOYS
    told = {
        url.rpartition("/")[2]
        for one in node.extensions
        if not one.disabled
        for url in one.type_urls
    }
    found = tuple(sorted(told & HEEDED))
    # Most are alike: one tuple for all of them.
    return ENVOYS if found == ENVOYS else found


def _agent(node: Any) -> str:
    """`envoy/1.40.0`; a part that it does not tell is left out."""
    build = node.user_agent_build_version.version
    told = node.HasField("user_agent_build_version")
    number = f"{build.major_number}.{build.minor_number}.{build.patch}" if told else ""
    version = node.user_agent_version or number
    text = "/".join(filter(None, (node.user_agent_name, version)))[:_AGENT]
    return text if text.isprintable() else ascii(text)


def _same(where: str, what: str, claim: str, truth: str, proof: str) -> None:
    if claim and claim != truth:
        raise Impostor(
            f"{where} claims {what} {claim[:253]!r}, but {proof} is of {what} {truth!r}:"
            " a proxy can only be what it has proved to be"
        )


def _domain_namespace(domain: str) -> str:
    namespace, dot, _ = domain.partition(".svc.")
    return namespace if dot else ""


def _text(metadata: Mapping[str, Any], key: str) -> str:
    value = metadata.get(key, "")
    if not isinstance(value, str):
        raise BadRequest(f"node.metadata {key} must be a string")
    return value


def _labels(metadata: Mapping[str, Any]) -> dict[str, str]:
    labels = metadata.get("LABELS") or {}
    if not isinstance(labels, dict) or not all(isinstance(one, str) for one in labels.values()):
        raise BadRequest("node.metadata LABELS must be an object of strings")
    return labels


def _addresses(first: str, metadata: Mapping[str, Any]) -> tuple[str, ...]:
    found = [first] if first else []
    found += [one.strip() for one in _text(metadata, "INSTANCE_IPS").split(",") if one.strip()]
    for one in found:
        try:
            ip_address(one)
        except ValueError:
            raise BadRequest(f"node: {one[:64]!r} is no IP address") from None
        if "%" in one:
            # `fe80::1%eth0`, or anything behind the sign: others cannot reach it, and refuse it.
            raise BadRequest(f"node: {one[:64]!r} has a zone, which only its own machine knows")
    return tuple(dict.fromkeys(found))


def _locality(node: Any, labels: Mapping[str, str]) -> Locality:
    found = Locality(node.locality.region, node.locality.zone, node.locality.sub_zone)
    if found == NOWHERE and (label := labels.get("istio-locality")):
        # A label cannot hold a slash: Istio takes a point for it.
        found = Locality(*label.split("/" if "/" in label else ".")[:3])
    return found


def _flat(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
