"""The types that are served, the order in which they leave, and what Istio calls them."""

from __future__ import annotations

from mesh import api
from mesh.api import name_table

CLUSTER, ENDPOINT, LISTENER = api.CLUSTER, api.ENDPOINT, api.LISTENER
ROUTE, SECRET = api.ROUTE, api.SECRET
PREFIX = "type.googleapis.com/"
EXTENSION = PREFIX + "envoy.config.core.v3.TypedExtensionConfig"
NAMES = name_table.TYPE_URL
#: What Istio's agents say of their application: no subscription, and not answered.
HEALTH = PREFIX + "istio.v1.HealthInformation"

#: Make before break: what others refer to comes first. Types that are not here follow.
ORDER = (CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, EXTENSION)
#: An empty first request asks for all of these, and a state-of-the-world response holds all that
#: the client may have: what is absent is gone. Of other types a response holds what is new.
WHOLE = frozenset({CLUSTER, LISTENER, NAMES})
#: What is no longer there is not taken from who has it: a listener that drains may need it, and
#: requests would fail without. Who needs it no longer unsubscribes.
KEPT = frozenset({EXTENSION})

_SHORT = {
    CLUSTER: "cds",
    ENDPOINT: "eds",
    LISTENER: "lds",
    ROUTE: "rds",
    SECRET: "sds",
    EXTENSION: "ecds",
    NAMES: "nds",
}


def short(type_url: str) -> str:
    """`cds`, as in Istio's metrics; the message's name for types that have no such name."""
    return _SHORT.get(type_url) or type_url.rpartition(".")[2]
