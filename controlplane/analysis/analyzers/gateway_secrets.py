"""Credentials of Gateways that are not there, or are no certificate."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.analysis.gateway_hosts import no_workloads
from controlplane.analysis.workloads import KINDS, indexed
from controlplane.resources.secret.schema import Secret

#: Certificate and key, in the order in which they are looked for.
_PAIRS = (("cert", "key"), ("tls.crt", "tls.key"))


def _run(collection: Collection) -> Iterator[Finding]:
    all_workloads = indexed(collection)
    for gateway in collection.of("Gateway"):
        workload = next(all_workloads.selected(gateway.spec.selector), None)
        if workload is None:
            if collection.knows(*KINDS):
                yield no_workloads(gateway)
            continue
        for index, server in enumerate(gateway.spec.servers):
            if server.tls is None:
                continue
            names = [("credentialName", server.tls.credential_name)]
            names += [
                (f"credentialNames[{place}]", name)
                for place, name in enumerate(server.tls.credential_names)
            ]
            for field, name in names:
                path = f"spec.servers[{index}].tls.{field}"
                # `scheme://name` comes from elsewhere than a Secret of the namespace.
                if not name or "://" in name:
                    continue
                if not collection.exists("Secret", workload.namespace, name):
                    code = codes.REFERENCED_RESOURCE_NOT_FOUND
                    yield found(code, gateway.key, path, what="credentialName", name=name)
                    continue
                secret = collection.find("Secret", workload.namespace, name)
                problem = wrong_certificate(secret.spec) if secret is not None else ""
                if problem:
                    yield found(
                        codes.INVALID_GATEWAY_CREDENTIAL,
                        gateway.key,
                        path,
                        name=gateway.name,
                        namespace=workload.namespace,
                        problem=problem,
                    )


def wrong_certificate(secret: Secret) -> str:
    """Why it is no credential, or "". Says nothing of what is in it."""
    # Not needed but here, and large.
    from cryptography import x509

    for certificate, key in _PAIRS:
        shown, hidden = secret.value(certificate), secret.value(key)
        if shown is None or hidden is None or not (shown.reveal() and hidden.reveal()):
            continue
        try:
            with warnings.catch_warnings():
                # A certificate that the library likes less than TLS does is none of its business.
                warnings.simplefilter("ignore")
                found_all = x509.load_pem_x509_certificates(shown.reveal())
        except ValueError:
            return f"{certificate} is no certificate in PEM"
        now = datetime.now(UTC)
        if any(now > one.not_valid_after_utc for one in found_all):
            return f"{certificate} has expired"
        if any(now < one.not_valid_before_utc for one in found_all):
            return f"{certificate} is not valid yet"
        return ""
    pairs = " nor ".join(" and ".join(pair) for pair in _PAIRS)
    return f"it has neither {pairs}"


ANALYZER = Analyzer(
    name="gateway.SecretAnalyzer",
    description="Credentials of Gateways that are not there, or are no certificate",
    codes=(codes.REFERENCED_RESOURCE_NOT_FOUND, codes.INVALID_GATEWAY_CREDENTIAL),
    run=_run,
    needs=("Secret",),
)
