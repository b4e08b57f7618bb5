"""What a workload claims to be besides its identity, held against what it may be.

Its labels decide which services it stands behind, and so whose traffic it gets and whose accounts
clients take for genuine. So they must be granted: by the join token with which it came (the
certificate carries that on), or by a WorkloadGroup, Deployment or Pod of its namespace and service
account. A claim is covered by one of these as a whole, never by parts of several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from controlplane.ca.authenticate import grants_of
from controlplane.ca.grants import Grants, flags
from controlplane.registry import templates
from controlplane.registry.canonical import canonical
from controlplane.registry.workloads import TLS_MODE
from controlplane.world.proxy import Proxy
from controlplane.world.world import World
from controlplane.xds.identity import Identity, Peer, Unauthenticated
from controlplane.xds.node import Impostor

#: Labels that say where something runs, or that are overwritten: they select nobody.
_FREE = frozenset({"istio-locality", TLS_MODE})
#: Of what could have been granted, so much is told.
_TOLD = 5


class Claims:
    """`xds.node.Claims`, by the world as it is when it is asked."""

    def __init__(self, world: World) -> None:
        self._world = world

    def admit(self, proxy: Proxy, peer: Peer) -> Callable[[], str]:
        """Raises Impostor."""
        identity = Identity("", proxy.namespace, proxy.service_account)
        try:
            grants = grants_of(peer)
        except Unauthenticated as error:
            raise Impostor(str(error)) from None
        labels = dict(proxy.labels)
        self.check(identity, labels, grants)

        def why_not() -> str:
            try:
                self.check(identity, labels, grants)
            except Impostor as error:
                return str(error)
            return ""

        return why_not

    def check(self, identity: Identity, labels: Mapping[str, str], grants: Grants) -> None:
        """Whether a workload of this namespace and service account may have these labels. Raises
        Impostor."""
        # What only says again what other labels say needs no grant of its own.
        again = canonical(labels)
        claimed = {
            key: value
            for key, value in labels.items()
            if key not in _FREE and again.get(key) != value
        }
        beyond = [pair for pair in claimed.items() if not grants.allow(*pair)]
        if not beyond:
            return
        namespace, account = identity.namespace, identity.service_account
        known = templates.of_account(self._world.view(), namespace, account)
        if any(claimed.items() <= set(one.labels) for one in known):
            return
        raise Impostor(_text(namespace, account, beyond, grants, known))


def _text(
    namespace: str,
    account: str,
    beyond: list[tuple[str, str]],
    grants: Grants,
    known: tuple[templates.Template, ...],
) -> str:
    said = ", ".join(f"{key}={value}" for key, value in beyond)[:500]
    token = f"its join token grants {grants}" if grants.pairs else "its join token grants nothing"
    names = ", ".join(one.name for one in known[:_TOLD])
    sources = f"{names} say otherwise" if names else "no WorkloadGroup or Deployment is of it"
    return (
        f"service account {namespace}/{account} may not be {said}: {token}, and {sources}."
        f" Join with a token that grants it (mesh token create -n {namespace} --service-account"
        f" {account} {flags(beyond)}), or apply a WorkloadGroup with all its labels and this"
        " serviceAccount: what a workload is decides whose requests it gets"
    )
