"""Secrets of proxies: what SDS is answered with for `kubernetes://NAME`, and for the roots of
`configmap://NAMESPACE/NAME-cacert`.

Only a proxy of the Secret's own namespace gets it, and only if a Gateway selects the proxy and its
listeners or clusters name the secret (Istio asks Kubernetes whether the proxy's service account may
read it; namespace and labels are what we can prove). A sidecar gets those that a DestinationRule
which selects it names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig, Secret

from controlplane.registry.workloads import Labels
from controlplane.resources.destination_rule.select import credentials
from controlplane.resources.resource import Resource
from controlplane.translation.pack import packed
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

_SCHEME = "kubernetes://"
_CONFIG_MAP = "configmap://"
_CA_SUFFIX = "-cacert"
#: Names of the parts: of Kubernetes' TLS secrets, and of Istio's generic ones.
_CERTIFICATE, _KEY = ("tls.crt", "cert"), ("tls.key", "key")
_CA, _CRL = ("ca.crt", "cacert"), ("ca.crl", "crl")


@query
def secret(view: View, namespace: str, name: str) -> Encoded | None:
    """The secret of a name, for proxies of a namespace; None if there is none for them."""
    if name.startswith(_CONFIG_MAP):
        return _of_config_map(view, namespace, name)
    if not name.startswith(_SCHEME):
        return None
    place, _, short = name.removeprefix(_SCHEME).rpartition("/")
    if place not in {"", namespace}:
        return None
    resource = view.resource("Secret", namespace, short)
    if resource is not None and not short.endswith(_CA_SUFFIX):
        return _certificate(name, resource)
    # `NAME-cacert`: a Secret of its own, or the CA in the Secret NAME.
    if resource is None and short.endswith(_CA_SUFFIX):
        resource = view.resource("Secret", namespace, short.removesuffix(_CA_SUFFIX))
    return None if resource is None else _roots(name, resource)


def named(name: str, held: Iterable[Encoded]) -> bool:
    """Whether any of these resources names the secret."""
    # `name` is the first field of SdsSecretConfig, and messages in messages are bytes as they are.
    sought = SdsSecretConfig(name=name).SerializeToString()
    return any(sought in one.body for one in held)


@query
def of_sidecar(view: View, namespace: str, labels: Labels, name: str) -> Encoded | None:
    """The secret of a name, for a sidecar that may have it."""
    short = name.removeprefix(_SCHEME)
    allowed = credentials(view, namespace, labels)
    if not allowed.intersection((short, short.removesuffix(_CA_SUFFIX))):
        return None
    return secret(view, namespace, name)


def _of_config_map(view: View, namespace: str, name: str) -> Encoded | None:
    place, _, short = name.removeprefix(_CONFIG_MAP).partition("/")
    if place != namespace or not short.endswith(_CA_SUFFIX):
        return None
    resource = view.resource("ConfigMap", namespace, short.removesuffix(_CA_SUFFIX))
    roots = None if resource is None else resource.spec.data.get("ca.crt")
    if not roots:
        return None
    built = Secret(name=name)
    built.validation_context.trusted_ca.inline_string = roots
    return encoded(name, packed(built))


def _certificate(name: str, resource: Resource[Any]) -> Encoded | None:
    certificate, key = _part(resource, _CERTIFICATE), _part(resource, _KEY)
    if certificate is None or key is None:
        return None
    built = Secret(name=name)
    built.tls_certificate.certificate_chain.inline_bytes = certificate
    built.tls_certificate.private_key.inline_bytes = key
    return encoded(name, packed(built))


def _roots(name: str, resource: Resource[Any]) -> Encoded | None:
    roots = _part(resource, _CA)
    if roots is None:
        return None
    built = Secret(name=name)
    built.validation_context.trusted_ca.inline_bytes = roots
    crl = _part(resource, _CRL)
    if crl is not None:
        built.validation_context.crl.inline_bytes = crl
    return encoded(name, packed(built))


def _part(resource: Resource[Any], names: tuple[str, ...]) -> bytes | None:
    for name in names:
        value = resource.spec.value(name)
        if value is not None:
            revealed: bytes = value.reveal()
            return revealed
    return None
