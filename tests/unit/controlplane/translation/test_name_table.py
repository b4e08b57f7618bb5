"""Names and addresses for a DNS server beside the workload."""

from __future__ import annotations

from typing import Any

from controlplane.translation.translator import IstioTranslator
from mesh.api.name_table import TYPE_URL, NameTable
from tests.support import meshes

_WORLD = """
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {clusterIP: 10.1.2.3, ports: [{port: 9080}], selector: {app: reviews}}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: other}
spec: {clusterIP: None, ports: [{port: 5432}], selector: {app: db}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: db-0, namespace: other}
spec: {address: 10.0.0.7, labels: {app: db}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api}
spec: {hosts: [api.example.com], ports: [{number: 443, name: tls, protocol: TLS}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: block}
spec:
  hosts: [block.example.com]
  addresses: [10.9.0.0/16, 10.9.8.7]
  ports: [{number: 1, name: tcp, protocol: TCP}]
  resolution: NONE
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: hidden, namespace: other}
spec:
  hosts: [hidden.example.com]
  addresses: [10.9.8.9]
  ports: [{number: 1, name: tcp, protocol: TCP}]
  exportTo: ["."]
"""
_PROXY = "{id: a.default, namespace: default, service_account: a, addresses: [10.0.0.1]}"


def _table(proxy: Any = None) -> Any:
    world = meshes.world(_WORLD)
    given = proxy or meshes.proxy(_PROXY)
    sent = world.graph.value_of(IstioTranslator().everything(world.view(), TYPE_URL, given))
    return [NameTable.FromString(one.body).table for one in sent]


def test_addresses_of_names() -> None:
    (table,) = _table()
    assert {host: list(one.ips) for host, one in table.items() if host != "api.example.com"} == {
        "reviews.default.svc.cluster.local": ["10.1.2.3"],
        "db.other.svc.cluster.local": ["10.0.0.7"],
        # A block is no address of a name.
        "block.example.com": ["10.9.8.7"],
    }
    (allocated,) = table["api.example.com"].ips
    assert allocated.startswith("240.240.")


def test_where_a_name_comes_from() -> None:
    (table,) = _table()
    one = table["db.other.svc.cluster.local"]
    assert (one.registry, one.shortname, one.namespace) == ("Kubernetes", "db", "other")
    one = table["api.example.com"]
    assert (one.registry, one.shortname, one.namespace) == ("External", "", "")


def test_gateways_have_none() -> None:
    gateway = "{type: router, id: g.default, namespace: default, service_account: g, addresses: []}"
    assert _table(meshes.proxy(gateway)) == []
