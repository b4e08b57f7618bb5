"""Endpoints of several priorities."""

from __future__ import annotations

from tests.differential.model import TO_A, Case, Group, Listener, req

GROUP = Group(
    name="priority",
    listeners={"main": Listener(TO_A.replace("cluster: a", "cluster: two"))},
    clusters="""
- name: two
  type: STATIC
  connect_timeout: 0.3s
  load_assignment:
    cluster_name: two
    endpoints:
    - priority: 0
      lb_endpoints: [{health_status: UNHEALTHY, endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${a}}}}}]
    - priority: 1
      lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${b}}}}}]
""",
    cases=[Case("spills_over", req())],
)
